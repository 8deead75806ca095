"""A live stream through a real server, with changes and induced rescues, and its replay: equal bit for bit."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from deepmusic.app.recorder import Recorder
from deepmusic.audio import Audio
from deepmusic.cli.main import main
from deepmusic.errors import InferenceFailed
from deepmusic.model.scheduler import StepScheduler
from deepmusic.model.steps import OnDone, StepInput, StepModel, StepResult
from deepmusic.session.events import AudioFlag
from deepmusic.stage.receipt import Changed, Missed, Restyled
from deepmusic.transports.file.recorded import Recorded
from deepmusic.transports.osc.endpoint import OscServer
from deepmusic.transports.rpc.client import RpcClient, StyledAudio, TransferCall
from deepmusic.transports.wire.messages import StyleShare
from tests.osc.rig import Rig
from tests.rpc.serving import config, serving
from tests.session.streams import QUIET, noise
from tests.support.bundles import remembering_bundle

pytestmark = pytest.mark.real_time

RATE_HZ, BLOCK_SAMPLES = 48000, 480
N_BLOCKS = 200
DEADLINE_SAMPLES = 4096
FAILED_STEP, HELD_STEP = 30, 60
N_LATE_HEARD = 6
"""Late blocks that are heard before the answer that is held back comes: more steps are missed meanwhile."""


class Hindrance:
    """A scheduler whose answer to one step fails, and whose answer to another is held back until it is let go."""

    def __init__(self, scheduler: StepScheduler) -> None:
        self._scheduler = scheduler
        self._n_steps = 0
        self._held: list[tuple[OnDone, StepResult]] = []

    def submit(self, model: StepModel, step: StepInput, deadline_s: float | None, on_done: OnDone) -> None:
        number, self._n_steps = self._n_steps, self._n_steps + 1
        if number == FAILED_STEP:
            on_done(InferenceFailed("the test wants it so"))
        elif number == HELD_STEP:
            self._scheduler.submit(model, step, deadline_s, lambda result: self._held.append((on_done, result)))
        else:
            self._scheduler.submit(model, step, deadline_s, on_done)

    def let_go(self) -> None:
        while self._held:
            on_done, result = self._held.pop()
            on_done(result)


async def perform(call: TransferCall, rig: Rig, audio: Audio) -> None:
    """Sends the audio as a sound card would, and turns knobs meanwhile."""
    loop = asyncio.get_running_loop()
    start_s = loop.time()
    await call.control("mix", 0.8, at_sample=7001, ramp_samples=9000)
    for n in range(N_BLOCKS):
        await asyncio.sleep(start_s + (n + 1) * BLOCK_SAMPLES / RATE_HZ - loop.time())
        await call.send(audio[:, n * BLOCK_SAMPLES : (n + 1) * BLOCK_SAMPLES])
        if n % 20 == 10:
            await call.control("output_gain_db", -float(n % 7), ramp_samples=1000)
        if n == 45:
            await call.change_style("quiet", fade_samples=20_000)
        if n == 100:
            rig.say("/deepmusic/on", "beat", "style_weights", "faint", 0.25, "plain", 0.75)
        if n == 150:
            await call.change_style([StyleShare(name="quiet"), StyleShare(name="faint")], at_sample=85_001)
    await call.finish()


@pytest.fixture
async def performed(tmp_path: Path) -> tuple[Path, Audio, Audio]:
    """The folder of a recording, what was sent, and what was received."""
    audio = noise(N_BLOCKS * BLOCK_SAMPLES, QUIET, n_channels=2)
    hindrances: list[Hindrance] = []

    def hindered(scheduler: StepScheduler) -> Hindrance:
        hindrances.append(Hindrance(scheduler))
        return hindrances[0]

    received = np.zeros((2, audio.shape[1]), np.float32)
    n_late = 0
    recorder = Recorder(tmp_path / "takes", 10**8)
    make = {"remembering": remembering_bundle}
    async with serving(
        tmp_path / "bundles", make, default="remembering", scheduler_around=hindered, recorder=recorder
    ) as running:
        osc = OscServer(running.sessions, running.styles)
        port = await osc.start("127.0.0.1", 0)
        stream = replace(config(deadline_samples=DEADLINE_SAMPLES), session_id="guitar/1")
        async with RpcClient(running.address) as client, client.transfer(stream) as call:
            with Rig(f"127.0.0.1:{port}") as rig:
                playing = asyncio.create_task(perform(call, rig, audio))
                async for answer in call:
                    if isinstance(answer, StyledAudio):
                        first = answer.first_sample - call.ready.latency_samples
                        used = answer.block[:, max(0, -first) :]
                        received[:, max(0, first) : max(0, first) + used.shape[1]] = used
                        n_late += AudioFlag.LATE in answer.flags
                        if n_late == N_LATE_HEARD:
                            hindrances[0].let_go()
                await playing
        await osc.stop()
    hindrances[0].let_go()
    (take,) = (tmp_path / "takes").iterdir()
    return take, audio, received


def replayed(take: Path, out: Path, *options: str) -> Audio:
    assert main(["replay", str(take), "-o", str(out), *options]) == 0
    sound, rate_hz = soundfile.read(out, dtype="float32", always_2d=True)
    assert rate_hz == RATE_HZ
    return np.ascontiguousarray(sound.T)


async def test_a_replay_is_the_audio_that_was_received_bit_for_bit(
    performed: tuple[Path, Audio, Audio], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    take, audio, received = performed
    bundle = ("--bundle", str(tmp_path / "bundles/remembering"))
    with Recorded(take) as recorded:
        np.testing.assert_array_equal(recorded.read(0, recorded.n_samples), audio)
        missed = [entry for entry in recorded.entries if isinstance(entry, Missed)]
        assert {entry.reason for entry in missed} == {"late", "failed"}
        assert {entry.is_asked for entry in missed} == {True, False}
        assert sum(isinstance(entry, Restyled) for entry in recorded.entries) == 3
        assert sum(isinstance(entry, Changed) for entry in recorded.entries) == 11
        assert recorded.receipt.stream == "guitar/1"
        assert recorded.receipt.style.shares == (StyleShare(name="plain"),)
    np.testing.assert_array_equal(replayed(take, tmp_path / "again.wav", *bundle, "--json"), received)
    facts = json.loads(capsys.readouterr().out)
    assert facts["exact"] is True
    assert facts["differences"] == []
    assert facts["missed_steps"] == facts["replayed_misses"] == len(missed)
    clean = replayed(take, tmp_path / "clean.wav", *bundle, "--without-misses")
    assert not np.array_equal(clean, received)
    assert "as if they had been in time" in capsys.readouterr().err


async def test_the_dry_input_is_a_recording_that_any_program_opens(performed: tuple[Path, Audio, Audio]):
    take, audio, _ = performed
    sound, rate_hz = soundfile.read(take / "dry.wav", dtype="float32", always_2d=True)
    assert rate_hz == RATE_HZ
    np.testing.assert_array_equal(sound.T, audio)
