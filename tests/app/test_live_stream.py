"""The sound card's stream in this process: it begins anew without forgetting what it was told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from deepmusic.app.live import LiveRig, cushion_samples
from deepmusic.app.live_stream import LocalStream, StreamWish
from deepmusic.app.rig_profile import LONGEST_CUSHION_S
from deepmusic.app.sessions import OpenSession
from deepmusic.audio import AudioFormat
from deepmusic.errors import BadConfig, DeviceUnavailable, RequestError, ShuttingDown, StyleNotFound
from deepmusic.model.bundle import Bundle
from deepmusic.model.catalog import DEFAULT_BUNDLE
from deepmusic.model.style_vector import StyleVector
from deepmusic.session.config import Setting
from deepmusic.session.events import AudioFlag, AudioIn, AudioOut, ChangeStyle, Control
from deepmusic.transports.soundcard.cycle import Cycle
from deepmusic.transports.soundcard.device import DeviceFacts, DeviceWish
from deepmusic.transports.wire.messages import StreamConfig, StyleShare
from tests.support.bundles import passthrough_bundle

PATIENCE_S = 20.0
"""Only a hang takes as long."""
BLOCK = 1024
STEREO = AudioFormat(sample_rate_hz=48000, n_channels=2)


class Heard:
    """What comes out of a stream."""

    def __init__(self) -> None:
        self.blocks: list[AudioOut] = []
        self._came = threading.Condition()

    def take(self, audio: AudioOut) -> None:
        with self._came:
            self.blocks.append(audio)
            self._came.notify_all()

    def wait_for(self, first_sample: int) -> AudioOut:
        def found() -> AudioOut | None:
            return next(
                (b for b in self.blocks if b.first_sample == first_sample and not b.flags & AudioFlag.TAIL), None
            )

        with self._came:
            assert self._came.wait_for(lambda: found() is not None, PATIENCE_S)
            answer = found()
        assert answer is not None
        return answer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    passthrough_bundle(tmp_path / "passthrough")
    sound = 0.2 * np.sign(np.sin(2 * np.pi * 110.0 * np.arange(24000) / 48000))
    for name in ("first", "second"):
        soundfile.write(tmp_path / f"{name}.wav", sound, 48000, subtype="FLOAT")
    return tmp_path


def wish(folder: Path, style: str = "first.wav") -> StreamWish:
    settings = (Setting(name="strength", value=0.5),)
    return StreamWish(style=str(folder / style), bundle=str(folder / "passthrough"), settings=settings)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def stream(folder: Path, heard: Heard) -> Iterator[LocalStream]:
    stream = LocalStream(wish(folder), heard.take, device="cpu", styles=folder / "styles")
    yield stream
    stream.close()


@pytest.fixture
def begun(stream: LocalStream, monkeypatch: pytest.MonkeyPatch) -> list[StyleVector]:
    """The style that each session of the stream begins with."""
    begun, inner = list[StyleVector](), stream._sessions.open

    def opened(config: StreamConfig, **rest: Any) -> OpenSession:
        begun.append(rest["style"])
        return inner(config, **rest)

    monkeypatch.setattr(stream._sessions, "open", opened)
    return begun


def block(index: int, n_channels: int = 2) -> AudioIn:
    return AudioIn(block=np.full((n_channels, BLOCK), 0.1, np.float32), first_sample=index * BLOCK, sequence=index)


def test_a_session_that_fails_is_replaced_at_the_next_block_and_told_what_the_old_one_was_told(
    stream: LocalStream, heard: Heard, begun: list[StyleVector]
):
    stream.open(STEREO, BLOCK)
    stream.post(block(0))
    heard.wait_for(0)
    second = stream.styles.create("", np.full((1, 24000), 0.1, np.float32), 48000, bundle="", temporary=True)
    assert stream.offer(Control(name="mix", value=0.25))
    vector = stream.style([StyleShare(name=second.name)])
    assert stream.offer(ChangeStyle(vector=vector))
    failing = stream._session
    assert failing is not None
    stream.post(block(1, n_channels=1))  # no block of this stream: the session ends
    failing.join(PATIENCE_S)
    for index in range(2, 5):
        stream.post(block(index))
    heard.wait_for(4 * BLOCK)
    assert stream._session is not failing
    assert stream.running() == (stream,)
    assert (stream.values["mix"], stream.values["strength"], stream.values["style"]) == (0.25, 0.5, second.name)
    assert stream.stats.blocks_in >= 4  # over both sessions
    assert begun[0] is not vector
    assert begun[1] is vector


def test_the_same_format_again_goes_on_with_the_session_and_another_begins_a_new_one(stream: LocalStream):
    latency = stream.open(STEREO, BLOCK)
    first = stream._session
    assert stream.open(STEREO, BLOCK) == latency
    assert stream._session is first
    assert stream.open(AudioFormat(sample_rate_hz=96000, n_channels=1), BLOCK) > latency
    assert stream._session is not first
    assert stream.audio_format.sample_rate_hz == 96000


def test_while_no_session_can_be_had_controls_are_not_taken_and_nothing_else_fails(stream: LocalStream):
    stream.open(STEREO, BLOCK)
    facts = stream.facts
    stream._sessions.close(PATIENCE_S)
    with pytest.raises(ShuttingDown):  # the device came back otherwise, and there is no place for a session
        stream.open(AudioFormat(sample_rate_hz=96000, n_channels=1), BLOCK)
    assert stream.running() == ()
    assert stream.offer(Control(name="mix", value=0.25)) is False
    assert stream.position_at(0.0) is None
    assert stream.facts is facts
    with pytest.raises(DeviceUnavailable):
        stream.style([StyleShare(name="brass")])
    with pytest.raises(ShuttingDown):
        stream.open(STEREO, BLOCK)


def test_a_style_that_was_removed_plays_on_where_the_device_comes_back_otherwise(
    stream: LocalStream, heard: Heard, begun: list[StyleVector]
):
    stream.open(STEREO, BLOCK)
    second = stream.styles.create("", np.full((1, 24000), 0.1, np.float32), 48000, bundle="", temporary=True)
    vector = stream.style([StyleShare(name=second.name)])
    assert stream.offer(ChangeStyle(vector=vector))
    stream.styles.delete(stream._style)
    stream.styles.delete(second.name)
    stream.open(AudioFormat(sample_rate_hz=96000, n_channels=1), BLOCK)
    stream.post(block(0, n_channels=1))
    heard.wait_for(0)
    assert begun[1] is vector


@pytest.mark.parametrize(
    ("style", "error"), [("missing.wav", RequestError), ("no-such-style", StyleNotFound), ("a/b", RequestError)]
)
def test_a_style_that_is_not_there_is_refused_before_a_device_is_opened(
    folder: Path, style: str, error: type[Exception]
):
    bundle = str(folder / "passthrough")
    with pytest.raises(error):
        LocalStream(StreamWish(style=style, bundle=bundle), Heard().take, device="cpu", styles=folder / "styles")


def test_a_bundle_chosen_by_its_path_plays_even_where_the_one_that_ships_has_its_name(folder: Path, heard: Heard):
    chosen = passthrough_bundle(folder / "mine", name=DEFAULT_BUNDLE)
    passthrough_bundle(folder / "another", name=DEFAULT_BUNDLE)
    wanted = StreamWish(style=str(folder / "first.wav"), bundle=str(chosen))
    stream = LocalStream(wanted, heard.take, device="cpu", styles=folder / "styles")
    try:
        stream.open(STEREO, BLOCK)
        assert stream.facts.bundle_digest == Bundle.open(chosen).digest
    finally:
        stream.close()


def test_a_cushion_is_whole_cycles_and_at_least_one():
    assert cushion_samples(1024 / 48000, 48000, 256) == 1024
    assert cushion_samples(1024 / 48000, 48000, 300) == 1200
    assert cushion_samples(0.0001, 48000, 512) == 512
    assert cushion_samples(0.01, 44100, 0) == 441


@pytest.mark.parametrize("cushion_s", [0.0, -1.0, LONGEST_CUSHION_S + 0.01, float("nan")])
def test_a_cushion_out_of_range_is_refused_before_anything_starts(cushion_s: float):
    def never(on_audio: object) -> LocalStream:
        raise AssertionError("the stream was made")

    said = f"expected a cushion above 0 and of at most 500 ms, got {1000.0 * cushion_s:g}; see --cushion"
    with pytest.raises(BadConfig, match=said):
        LiveRig(DeviceWish(input="clock"), never, cushion_s=cushion_s)


async def test_a_rig_on_the_clock_plays_without_a_device_and_tells_how_it_goes(folder: Path):
    rig = LiveRig(
        DeviceWish(input="clock", n_channels=1),
        lambda take: LocalStream(wish(folder), take, device="cpu", styles=folder / "styles"),
    )
    await rig.start()
    status = rig.status()
    await rig.stop()
    assert status.is_running
    assert status.device.n_channels == len(status.input_db) == 1
    assert -30.0 < status.input_db[0] < 0.0  # the clock's noise
    assert (status.latency.stream, status.latency.cushion) == (1855, 1024)
    assert status.latency.total == 1855 + 1024
    assert status.strength == 0.5
    assert status.n_vanished == 0


async def test_the_cycle_of_a_device_that_does_not_say_it_is_known_once_it_runs(folder: Path):
    rig = LiveRig(
        DeviceWish(input="clock"),
        lambda take: LocalStream(wish(folder), take, device="cpu", styles=folder / "styles"),
        cushion_s=LONGEST_CUSHION_S,
    )
    rig.opened(DeviceFacts(name="USB", sample_rate_hz=48000, n_channels=2, period_samples=0, input="1", output="1"))
    assert rig.status().cycle_samples == 0
    for n, n_samples in enumerate((192, 256, 128)):
        cycle = Cycle(first_sample=256 * n, n_samples=n_samples, is_starved=False, began_ns=0, took_ns=1000, n_xruns=0)
        rig.take(np.zeros((2, n_samples), np.float32), cycle)
    assert rig.status().cycle_samples == 256
    await rig.stop()
