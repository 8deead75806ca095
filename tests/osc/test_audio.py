"""Audio over OSC with real sockets and real sessions: opened, played, concealed, closed, and refused."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from pythonosc.osc_message_builder import OscMessageBuilder, build_msg

from deepmusic.app.sessions import Sessions
from deepmusic.audio import Audio, AudioFormat
from deepmusic.errors import AudioTooFast, BadConfig, BadName, BadParameter, NoCapacity, PortInUse
from deepmusic.session.config import SessionConfig
from deepmusic.session.events import AudioFlag, AudioIn, AudioOut, Failure, Finish, InEvent
from deepmusic.session.offline import render
from deepmusic.transports.osc.audio.messages import (
    DEFAULT_WAIT_MS,
    LONGEST_WAIT_MS,
    MAX_PACKET_BYTES,
    AudioAddress,
    frames_of_a_packet,
    read_in,
    read_open,
)
from deepmusic.transports.osc.audio.streams import DATAGRAMS_A_SECOND, IDLE_S, MAX_STREAMS
from deepmusic.transports.osc.bridge import Bridge
from deepmusic.transports.osc.endpoint import OscServer
from deepmusic.transports.osc.ports import Emit
from deepmusic.transports.wire.messages import StreamConfig
from deepmusic.transports.wire.pcm import PcmCodec, SampleFormat
from tests.osc.conftest import Stage
from tests.osc.network import Link
from tests.osc.rig import PATIENCE_S, Desk, FakeFacts, Reply, Rig, read
from tests.osc.test_flood import flooded
from tests.osc.test_questions import AFAR, LAN
from tests.osc.test_tcp import connected
from tests.rpc.canary import canary
from tests.rpc.serving import noise

RATE_HZ = 48000
CODECS = {form: PcmCodec(2, form) for form in SampleFormat}
BLOCK = 160


def audio_message(part: str, sequence: int, first_sample: int, pcm: bytes) -> bytes:
    builder = OscMessageBuilder(AudioAddress.IN.value)
    for value, kind in ((part, "s"), (sequence, "i"), (first_sample, "h"), (pcm, "b")):
        builder.add_arg(value, kind)
    return builder.build().dgram


def datagrams(audio: Audio, form: SampleFormat = SampleFormat.F32LE, part: str = "set") -> list[bytes]:
    return [
        audio_message(part, n, first, CODECS[form].encode(audio[:, first : first + BLOCK]))
        for n, first in enumerate(range(0, audio.shape[1], BLOCK))
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What came back."""

    audio: Audio
    latency: int
    flags: dict[int, AudioFlag]
    closed: Reply
    sizes: Sequence[int]


async def listened(rig: Rig, latency: int, n_samples: int, form: SampleFormat = SampleFormat.F32LE) -> Played:
    """Hears a stream to its end."""
    result, flags, sizes = np.zeros((2, n_samples + latency), np.float32), dict[int, AudioFlag](), list[int]()
    while True:
        answer = await rig.hear("/deepmusic/audio/out", "/deepmusic/audio/closed")
        if answer[0] == "/deepmusic/audio/closed":
            return Played(audio=result[:, latency:], latency=latency, flags=flags, closed=answer, sizes=sizes)
        _, _, _, first, bits, pcm = answer
        block = CODECS[form].decode(pcm, max_samples=4096)
        result[:, first : first + block.shape[1]] = block[:, : max(0, result.shape[1] - first)]
        flags[first] = AudioFlag(bits)
        sizes.append(len(pcm))


async def opened(rig: Rig, *more: object, form: str = "F32LE", style: str = "quiet") -> int:
    rig.say("/deepmusic/audio/open", "set", style, RATE_HZ, 2, form, *more)
    ready = await rig.hear("/deepmusic/audio/ready", "/fail")
    assert ready[:5] == ("/deepmusic/audio/ready", "set", RATE_HZ, 2, form)
    assert (await rig.hear("/done"))[1] == "/deepmusic/audio/open"
    return ready[6]


def rendered(stage: Stage, audio: Audio, style: str = "quiet") -> Audio:
    loaded = stage.serving.catalog.get("style-gain")
    sound = SessionConfig(audio_format=AudioFormat(sample_rate_hz=RATE_HZ, n_channels=2))
    return render(sound, loaded.transfer, stage.serving.styles.vector(style, loaded), audio)


async def paced(rig: Rig, packets: Sequence[bytes]) -> None:
    """At the pace of the sound, a few at a time."""
    loop = asyncio.get_running_loop()
    start_s = loop.time()
    for n, packet in enumerate(packets):
        if n % 3 == 0:
            await asyncio.sleep(start_s + n * BLOCK / RATE_HZ - loop.time())
        rig.throw(packet)


def as_live_as_a_busy_machine_allows(sessions: Sessions) -> None:
    """A step that comes late gives the dry signal, which no render has: here only samples are looked at."""
    inner = sessions.open

    def patient(config: StreamConfig, **rest: object) -> object:
        return inner(dataclasses.replace(config, deadline_samples=4 * RATE_HZ), **rest)  # type: ignore[arg-type]

    sessions.open = patient  # type: ignore[method-assign,assignment]


@pytest.fixture
def patient_stage(stage: Stage) -> Stage:
    as_live_as_a_busy_machine_allows(stage.serving.sessions)
    return stage


@pytest.mark.parametrize("form", SampleFormat)
async def test_a_stream_over_osc_gives_what_one_over_grpc_gives(patient_stage: Stage, rig: Rig, form: SampleFormat):
    audio = noise(60 * BLOCK)
    latency = await opened(rig, form=form.value)
    await paced(rig, datagrams(audio, form))
    rig.say("/deepmusic/audio/close", "set")
    played = await listened(rig, latency, audio.shape[1], form)
    through_the_wire = CODECS[form].decode(CODECS[form].encode(audio), max_samples=10**6)
    expected = rendered(patient_stage, through_the_wire)
    if form is SampleFormat.S16LE:
        np.testing.assert_allclose(played.audio, expected, atol=1.01 / 65536)
    else:
        np.testing.assert_array_equal(played.audio, expected)
    assert played.closed[:3] == ("/deepmusic/audio/closed", "set", "closed")
    assert played.closed[3:] == (audio.shape[1], audio.shape[1] + latency, 0, 0, 0, 0, 0, 0)
    assert max(played.sizes) <= MAX_PACKET_BYTES - 60
    assert any(AudioFlag.TAIL in flags for flags in played.flags.values())
    assert not stage_has_streams(patient_stage)


def stage_has_streams(stage: Stage) -> bool:
    return len(stage.osc._bridge._audio) > 0 or len(stage.serving.sessions.running()) > 0


async def test_controls_reach_it_as_any_stream(patient_stage: Stage, rig: Rig):
    audio = noise(40 * BLOCK)
    latency = await opened(rig, style="plain")
    rig.say("/deepmusic/session/set/style", "quiet", 0)
    await rig.hear("/done")
    rig.say("/deepmusic/sessions")
    assert (await rig.hear("/deepmusic/sessions.reply"))[1:4] == ("set", "style-gain", "quiet")
    await paced(rig, datagrams(audio))
    rig.say("/deepmusic/audio/close", "set")
    played = await listened(rig, latency, audio.shape[1])
    np.testing.assert_allclose(played.audio[:, 4800:], rendered(patient_stage, audio)[:, 4800:], atol=1e-4)


async def test_a_lossy_network_is_concealed_flagged_and_keeps_every_position(patient_stage: Stage, rig: Rig):
    """In real time; ``test_network`` has the figures."""
    audio = noise(300 * BLOCK)
    latency = await opened(rig, 30)
    loop, link, random = asyncio.get_running_loop(), Link(), np.random.default_rng(5)
    n_lost = 0
    start_s = loop.time()
    arrivals: list[tuple[float, int, bytes]] = []
    for n, packet in enumerate(datagrams(audio)):
        delay_s = link.delay_s(random)
        if delay_s is None:
            n_lost += 1
        else:
            arrivals.append((n * BLOCK / RATE_HZ + delay_s, n, packet))
    async with canary(patient_stage.serving):
        for at_s, _, packet in sorted(arrivals):
            await asyncio.sleep(start_s + at_s - loop.time())
            rig.throw(packet)
        rig.say("/deepmusic/audio/close", "set")
        played = await listened(rig, latency, audio.shape[1])
    samples_in, samples_out, _, duplicates, strays, gaps, concealed, _ = played.closed[3:]
    assert n_lost > 5
    assert samples_out == samples_in + latency
    assert audio.shape[1] - samples_in < 10 * BLOCK  # the last ones may be lost; nothing behind proves it
    assert gaps > 0
    assert concealed % BLOCK == 0
    assert concealed >= (n_lost - 5) * BLOCK
    assert (duplicates, strays) == (0, 0)
    flagged = {first for first, flags in played.flags.items() if AudioFlag.CONCEALED in flags}
    assert 0 < len(flagged) < len(played.flags)
    near = {first for first in played.flags for other in flagged if abs(first - other) < 4096}
    clean = [first for first in played.flags if first not in near and first > latency]
    expected = rendered(patient_stage, audio)
    for first in clean:
        place = slice(first - latency, first - latency + 100)
        np.testing.assert_allclose(played.audio[:, place], expected[:, place], atol=1e-4)
    assert patient_stage.osc.stats.malformed == 0


async def test_over_tcp_nothing_is_lost_and_the_end_of_the_connection_is_the_end(patient_stage: Stage):
    audio = noise(40 * BLOCK)
    async with connected(patient_stage.osc_address) as rig:
        rig.say("/deepmusic/audio/open", "set", "quiet", RATE_HZ, 2, "F32LE")
        latency = (await rig.hear("/deepmusic/audio/ready"))[6]
        for packet in datagrams(audio):
            rig.writer.write(rig._framing.frame(packet))
        rig.say("/deepmusic/audio/close", "set")
        played = await listened(rig, latency, audio.shape[1])  # type: ignore[arg-type]
        np.testing.assert_array_equal(played.audio, rendered(patient_stage, audio))
        rig.say("/deepmusic/audio/open", "again", "quiet", RATE_HZ, 2, "F32LE")
        await rig.hear("/deepmusic/audio/ready")
        assert stage_has_streams(patient_stage)
    await patient_stage.serving.wait_until(lambda: not stage_has_streams(patient_stage))


async def test_what_cannot_be_opened_is_said_and_takes_no_slot(stage: Stage, rig: Rig):
    for arguments, says in (
        (("set", "nobody", RATE_HZ, 2, "F32LE"), "no style is named"),
        (("set", "quiet", 8000, 2, "F32LE"), "expected a sample rate"),
        (("set", "quiet", RATE_HZ, 64, "F32LE"), "channels"),
        (("set", "quiet", RATE_HZ, 2, "MP3"), "F32LE or S16LE"),
        (("set",), "expected a name, a style"),
    ):
        rig.say("/deepmusic/audio/open", *arguments)
        answer = await rig.hear("/fail")
        assert answer[1] == "/deepmusic/audio/open"
        assert says in answer[2]
    rig.say("/deepmusic/audio/close", "set")
    assert "that you have opened" in (await rig.hear("/fail"))[2]
    await opened(rig)
    rig.say("/deepmusic/audio/open", "set", "quiet", RATE_HZ, 2, "F32LE")
    assert "a stream of yours has" in (await rig.hear("/fail"))[2]
    assert len(stage.serving.sessions.running()) == 1


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("", "brass", 48000, 2, "F32LE"), BadParameter),
        (("x\n", "brass", 48000, 2, "F32LE"), BadName),
        (("x", "brass", 48000, 2, "F32LE", -1), BadParameter),
        (("x", "brass", 48000, 2, "F32LE", LONGEST_WAIT_MS + 1), BadParameter),
        (("x", "brass", 48000, 2, "F32LE", 1, 1), BadParameter),
        (("x", "brass", 48000, 0, "F32LE"), BadConfig),
        (("x", "brass", 2**31 - 1, 2, "F32LE"), BadConfig),
        (("x", "brass", "48000", 2, "F32LE"), BadParameter),
    ],
)
def test_a_request_that_can_be_nothing_is_refused(arguments: tuple[object, ...], error: type[Exception]):
    with pytest.raises(error):
        read_open(arguments)  # type: ignore[arg-type]


def test_the_wait_has_a_default_and_a_packet_a_size():
    request = read_open(("x", "brass", 44100, 2, "S16LE"))
    assert request.wait_samples == round(DEFAULT_WAIT_MS * 44.1)
    for name in ("x", "é" * 64):
        assert 1 <= frames_of_a_packet(name, 32) * 32 <= MAX_PACKET_BYTES
    for broken in (
        (),
        ("x", 1, 2),
        ("x", 1, -1, b""),
        ("x", 1.0, 2, b""),
        ("x", 1, 2**60, b""),
        ("x", 1, 1, "no blob"),
    ):
        with pytest.raises(BadParameter):
            read_in(broken)


class FakeOwnSession:
    """Keeps what it is handed."""

    def __init__(self, config: StreamConfig, emit: Emit) -> None:
        self.config, self.emit = config, emit
        self.facts = FakeFacts()
        self.posted: list[InEvent] = []
        self.is_closed = False
        self.is_full = False

    def post(self, event: InEvent) -> None:
        if self.is_full:
            raise AudioTooFast("full")
        self.posted.append(event)

    def close(self) -> None:
        self.is_closed = True


class Studio(Desk):
    """A desk that serves audio, by sessions that are fakes."""

    def __init__(self) -> None:
        super().__init__("guitar", networks=LAN)
        self.own: list[FakeOwnSession] = []
        self.bridge = Bridge(
            self, self, self._send, opener=self, networks=LAN, clock=self.clock, wall_clock=self.wall_clock
        )

    def open(self, config: StreamConfig, *, max_block_samples: int, emit: Emit) -> FakeOwnSession:
        self.own.append(FakeOwnSession(config, emit))
        return self.own[-1]

    async def opened(self, peer: tuple[str | int, ...] = ("127.0.0.1", 50000), name: str = "set") -> list[Reply]:
        return await self.ask("/deepmusic/audio/open", name, "brass", RATE_HZ, 2, "F32LE", peer=peer)


@pytest.fixture
async def studio() -> AsyncIterator[Studio]:
    desk = Studio()
    assert [answer[0] for answer in await desk.opened()] == ["/deepmusic/audio/ready", "/done"]
    yield desk
    desk.bridge.close()


async def test_only_who_opened_a_stream_feeds_it(studio: Studio):
    packet = datagrams(noise(BLOCK))[0]
    studio.throw(packet, ("127.0.0.1", 50001))
    assert studio.own[0].posted == []
    studio.throw(packet)
    assert [type(event) for event in studio.own[0].posted] == [AudioIn]


async def test_a_peer_that_has_not_proved_that_it_hears_is_sent_no_audio():
    desk = Studio()
    await desk.opened(peer=AFAR)
    assert (desk.own, desk.bridge.stats.failed) == ([], 1)
    ((_, token),) = desk.say("/notify", 1, peer=AFAR)
    desk.say("/notify", 1, token, peer=AFAR)
    answers = await desk.opened(peer=AFAR)
    assert "/deepmusic/audio/ready" in [answer[0] for answer in answers]
    desk.bridge.close()


async def test_audio_has_a_budget_of_its_own_and_is_held_to_it(studio: Studio):
    packets = datagrams(noise(10 * BLOCK))
    for n in range(3):
        studio.throw(packets[n])
    assert studio.bridge.stats.messages == 2  # the opening and the question behind it
    for _ in range(round(DATAGRAMS_A_SECOND) + 10):
        studio.throw(packets[0])
    assert studio.bridge.stats.flooded >= 10
    assert studio.say("/version")
    studio.clock.now_s += 1.0
    before = studio.bridge.stats.flooded
    for first in range(0, 40 * RATE_HZ, 500):
        studio.throw(audio_message("set", 0, first, bytes(500 * 8)))
    assert studio.bridge.stats.flooded > before


async def test_what_is_broken_within_is_counted_and_concealed_like_a_loss(studio: Studio):
    before = studio.bridge.stats.malformed
    for broken in (
        audio_message("set", 0, 0, bytes(7)),
        audio_message("set", 0, 0, b"\0" * 8)[:-4],
        build_msg("/deepmusic/audio/in", ["set", 1, 2, "no blob"]).dgram,
        audio_message("set", 0, 2**60, bytes(8)),
    ):
        studio.throw(broken)
    assert studio.bridge.stats.malformed == before + 4
    studio.throw(audio_message("other", 0, 0, bytes(8)))
    assert studio.bridge.stats.failed == 1
    assert studio.own[0].posted == []
    studio.own[0].is_full = True
    studio.throw(datagrams(noise(BLOCK))[0])
    assert studio.bridge.stats.busy == 1


async def test_a_stream_that_nobody_feeds_ends_and_one_that_fails_says_why(studio: Studio):
    own = studio.own[0]
    studio.clock.now_s += IDLE_S + 1
    studio.bridge._audio.expire()
    assert isinstance(own.posted[-1], Finish)
    n_before = len(studio.sent)
    own.emit(Failure(error=NoCapacity("the machine is full")))
    await asyncio.sleep(0)
    assert [read(packet)[:3] for _, packet in studio.sent[n_before:]] == [
        ("/deepmusic/audio/closed", "set", "the machine is full")
    ]
    assert (own.is_closed, len(studio.bridge._audio)) == (True, 0)
    own.emit(AudioOut(block=np.zeros((2, 480), np.float32), first_sample=0, sequence=0))
    await asyncio.sleep(0)
    assert len(studio.sent) == n_before + 1


async def test_a_stream_whose_session_takes_no_more_ends_all_the_same(studio: Studio):
    studio.own[0].is_full = True
    answers = studio.say("/deepmusic/audio/close", "set")
    assert [answer[0] for answer in answers] == ["/deepmusic/audio/closed", "/done"]
    assert (studio.own[0].is_closed, len(studio.bridge._audio)) == (True, 0)


async def test_only_so_many_streams_and_none_where_no_audio_is_served(studio: Studio):
    for n in range(MAX_STREAMS - 1):
        assert (await studio.opened(name=f"s{n}"))[0][0] == "/deepmusic/audio/ready"
    ((address, _, text),) = await studio.opened(name="more")
    assert (address, "at most 16" in text) == ("/fail", True)
    desk = Desk("guitar")
    ((address, _, text),) = await desk.ask("/deepmusic/audio/open", "x", "brass", RATE_HZ, 2, "F32LE")
    assert (address, "no audio is served" in text) == ("/fail", True)


async def test_streams_that_are_opened_all_at_once_are_no_more(studio: Studio):
    for n in range(MAX_STREAMS + 3):
        studio.say("/deepmusic/audio/open", f"s{n}", "brass", RATE_HZ, 2, "F32LE")
    await studio.ask("/version")
    assert len(studio.bridge._audio) == len(studio.own) == MAX_STREAMS


async def test_the_server_that_stops_ends_what_plays(stage: Stage, rig: Rig):
    await opened(rig)
    await stage.osc.stop()
    async with asyncio.timeout(PATIENCE_S):
        await stage.serving.wait_until(lambda: not stage.serving.sessions.running())


async def test_a_flood_of_others_does_not_drown_a_sender_and_nobody_else_can_listen_at_the_port(
    patient_stage: Stage, rig: Rig
):
    audio = noise(150 * BLOCK)
    latency = await opened(rig)
    host, _, port = patient_stage.osc_address.rpartition(":")
    with pytest.raises(PortInUse):
        await OscServer(patient_stage.serving.sessions, patient_stage.serving.styles).start(host, int(port))
    with Rig(patient_stage.osc_address) as other:
        other.say("/sync", 3)  # everybody else is heard as before
        await other.hear("/synced")
    async with flooded(patient_stage.osc_address), asyncio.TaskGroup() as tasks:
        hearing = tasks.create_task(listened(rig, latency, audio.shape[1]))
        await paced(rig, datagrams(audio))
        rig.say("/deepmusic/audio/close", "set")
    played = hearing.result()
    np.testing.assert_array_equal(played.audio, rendered(patient_stage, audio))
    assert played.closed[3] == audio.shape[1]
    assert patient_stage.osc._own == {}
