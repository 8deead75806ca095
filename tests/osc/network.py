"""Audio over OSC through a network that loses, delays and reorders, in simulated time: a long set in minutes.

::

    sender -> datagrams -> link -> guard, codec, jitter buffer -> session -> datagrams -> link -> player

The datagrams, the guard, the codec, the jitter buffer and the session with its model are the real ones; only the clock
and the network are not. The sender's clock runs at its own speed. The player plays each sample when it is due, whether
it has come or not, and conceals what has not.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from pythonosc.osc_message_builder import OscMessageBuilder

from deepmusic.audio import Audio, AudioFormat
from deepmusic.session.config import SessionConfig
from deepmusic.session.events import AudioIn, AudioOut
from deepmusic.session.offline import run_to_end
from deepmusic.session.session import Session
from deepmusic.transports.osc.audio.jitter import JitterBuffer, JitterStats, Run
from deepmusic.transports.osc.audio.messages import AudioAddress, frames_of_a_packet, out, read_in
from deepmusic.transports.osc.codec import decode
from deepmusic.transports.osc.datagram import messages_of
from deepmusic.transports.wire.pcm import PcmCodec, SampleFormat

RATE_HZ = 48000
SOUND = AudioFormat(sample_rate_hz=RATE_HZ, n_channels=2)
PLAYED_SAMPLES = 480
COMPUTE_S = 0.003
"""From the last sample of a step to its output."""
SAME = 1e-4
"""The pass-through bundle gives the input back as exactly as transforms in float32 can."""
EXCERPT_S, MOST_LAG = 1.0, 480
"""What is compared for drift, once a minute, and how far it is looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One way through the network."""

    loss: float = 0.05
    """Share of datagrams that never come."""
    base_s: float = 0.01
    """Delay that every datagram has."""
    scale_s: float = 0.004
    """Of the Pareto (Lomax) jitter beyond it; each datagram has its own, so that they overtake one another."""
    shape: float = 2.5
    """Of the same: at 2.5 one in a hundred takes 5.3 scales longer, one in a thousand 14.8."""

    def delay_s(self, random: np.random.Generator) -> float | None:
        """The delay of the next datagram; ``None`` for one that is lost."""
        if random.random() < self.loss:
            return None
        return self.base_s + self.scale_s * float(random.pareto(self.shape))


@dataclass(slots=True, kw_only=True)
class Figures:
    """What came of it."""

    seconds: float
    sent: int = 0
    lost_up: int = 0
    sent_back: int = 0
    lost_down: int = 0
    server: JitterStats = field(default_factory=JitterStats)
    player: JitterStats = field(default_factory=JitterStats)
    waits_s: list[tuple[float, float]] = field(default_factory=list)
    """When a datagram came to the server, and how long it waited there."""
    lags: list[int] = field(default_factory=list)
    """Of each minute's excerpt: samples by which what was played lies beside where it belongs."""
    n_played: int = 0
    n_same: int = 0
    signal: float = 0.0
    error: float = 0.0

    @property
    def snr_db(self) -> float:
        """Of all that was played, against the same set without a network."""
        return 10.0 * float(np.log10(self.signal / max(self.error, 1e-30)))

    def waited_ms(self, from_s: float, to_s: float) -> float:
        """Mean wait at the server between two times."""
        return 1000.0 * float(np.mean([wait for at, wait in self.waits_s if from_s <= at < to_s]))

    def text(self) -> str:
        """For people."""
        minutes = self.seconds / 60.0
        lines = [f"{self.seconds:.0f} s of audio in {self.sent} datagrams up, {self.sent_back} down"]
        for name, lost, stats in (
            ("server", self.lost_up, self.server),
            ("player", self.lost_down, self.player),
        ):
            lines.append(
                f"{name}: {lost} lost on the way, {stats.reordered} out of order, {stats.late} too late, "
                f"{stats.gaps / minutes:.0f} gaps a minute, "
                f"{1000.0 * stats.concealed_samples / RATE_HZ / minutes:.0f} ms of them a minute"
            )
        end = self.seconds
        lines.append(
            f"wait at the server: {self.waited_ms(0.0, end / 10):.2f} ms in the first tenth, "
            f"{self.waited_ms(0.9 * end, end + 1.0):.2f} ms in the last"
        )
        lines.append(f"drift: {self.lags} samples; SNR {self.snr_db:.1f} dB")
        lines.append(f"{self.n_same / self.n_played:.1%} of the samples as if there were no network")
        return "\n".join(lines)


def melody(n_samples: int, seed: int = 3) -> Audio:
    """Notes of four harmonics with a soft start, another every quarter of a second; stereo, -12 dBFS."""
    random = np.random.default_rng(seed)
    n_note = RATE_HZ // 4
    notes: list[Audio] = []
    for _ in range(-(-n_samples // n_note)):
        hz = 110.0 * 2.0 ** (random.integers(0, 36) / 12.0)
        time_s = np.arange(n_note) / RATE_HZ
        wave = sum(np.sin(2.0 * np.pi * hz * k * time_s) / k for k in range(1, 5))
        ends = np.minimum(1.0, np.minimum(np.arange(n_note), np.arange(n_note)[::-1]) / 480.0)
        envelope = ends * np.exp(-3.0 * time_s)
        notes.append(np.stack([wave * envelope, 0.7 * wave * envelope]))
    return (0.12 * np.concatenate(notes, axis=1)[:, :n_samples]).astype(np.float32)


def play_through_a_network(
    seconds: float,
    make_session: Callable[[SessionConfig], Session],
    *,
    up: Link,
    down: Link,
    wait_s: float = 0.04,
    cushion_s: float = 0.15,
    clock_ppm: float = 0.0,
    seed: int = 1,
) -> Figures:
    """Plays a set and compares what is heard with what would be without a network.

    Args:
        seconds: Length of the set.
        make_session: A session whose output is its input.
        up: The way to the server.
        down: The way back.
        wait_s: How long the server waits for what is missing.
        cushion_s: How long the player waits on top of the stream's latency: for both ways, both waits, computing.
        clock_ppm: How much faster the sender's sound card runs than the server's clock.
        seed: Of the network.
    """
    return _Simulation(seconds, make_session, up, down, wait_s, cushion_s, clock_ppm, seed).run()


class _Simulation:
    def __init__(
        self,
        seconds: float,
        make_session: Callable[[SessionConfig], Session],
        up: Link,
        down: Link,
        wait_s: float,
        cushion_s: float,
        clock_ppm: float,
        seed: int,
    ) -> None:
        self.figures = Figures(seconds=seconds)
        self.random = np.random.default_rng(seed)
        self.up, self.down, self.cushion_s = up, down, cushion_s
        self.true_rate_hz = RATE_HZ * (1.0 + 1e-6 * clock_ppm)
        self.codec = PcmCodec(SOUND.n_channels, SampleFormat.F32LE)
        self.block = frames_of_a_packet("set", self.codec.frame_bytes)
        self.session = make_session(SessionConfig(audio_format=SOUND))
        self.at_server = JitterBuffer(SOUND, round(wait_s * RATE_HZ))
        self.at_player = JitterBuffer(SOUND, 0)
        self.source = melody(10 * RATE_HZ)
        self.events: list[tuple[float, int, Callable[[float], None]]] = []
        self.order = itertools.count()
        self.n_sent = 0
        self.came_s: dict[int, float] = {}
        self.excerpt: list[Audio] = []

    def at(self, time_s: float, what: Callable[[float], None]) -> None:
        heapq.heappush(self.events, (time_s, next(self.order), what))

    def content(self, first: int, n_samples: int) -> Audio:
        places = np.arange(first, first + n_samples)
        found = np.take(self.source, places, axis=1, mode="wrap")
        found[:, places < 0] = 0.0
        return found

    def run(self) -> Figures:
        self.at(self.block / self.true_rate_hz, self.send)
        first_s = (self.session.latency_samples + PLAYED_SAMPLES) / self.true_rate_hz + self.cushion_s
        self.at(first_s, self.play)
        while self.events:
            now_s, _, what = heapq.heappop(self.events)
            what(now_s)
        self.figures.server, self.figures.player = self.at_server.stats, self.at_player.stats
        return self.figures

    def send(self, now_s: float) -> None:
        first = self.n_sent * self.block
        builder = OscMessageBuilder(AudioAddress.IN.value)
        pcm = self.codec.encode(self.content(first, self.block))
        for value, kind in (("set", "s"), (self.n_sent, "i"), (first, "h"), (pcm, "b")):
            builder.add_arg(value, kind)
        self.figures.sent += 1
        if (delay_s := self.up.delay_s(self.random)) is None:
            self.figures.lost_up += 1
        else:
            datagram = builder.build().dgram
            self.at(now_s + delay_s, lambda then_s: self.receive(datagram, then_s))
        self.n_sent += 1
        due_s = (self.n_sent + 1) * self.block / self.true_rate_hz
        if due_s < self.figures.seconds:
            self.at(due_s, self.send)

    def receive(self, datagram: bytes, now_s: float) -> None:
        (message,) = messages_of(datagram)
        packet = read_in(decode(message.packet).arguments)
        self.came_s[packet.first_sample] = now_s
        block = self.codec.decode(packet.pcm, max_samples=4096)
        self.at_server.push(block, packet.first_sample, packet.sequence, now_s)
        self.go_on(now_s)

    def go_on(self, now_s: float) -> None:
        for run in self.at_server.pop(now_s):
            if not run.is_concealed:
                came_s = self.came_s.pop(run.first_sample)
                self.figures.waits_s.append((came_s, now_s - came_s))
            self.hand_over(run, now_s)
        if (due_s := self.at_server.due_s(now_s)) is not None:
            self.at(max(due_s, now_s + 1e-6), self.go_on)

    def hand_over(self, run: Run, now_s: float) -> None:
        for event in run_to_end(
            self.session, AudioIn(block=run.block, first_sample=run.first_sample, sequence=run.sequence)
        ):
            if isinstance(event, AudioOut):
                self.send_back(event, now_s + COMPUTE_S)

    def send_back(self, audio: AudioOut, now_s: float) -> None:
        for first in range(0, audio.block.shape[1], self.block):
            part = audio.block[:, first : first + self.block]
            packet = out("set", audio.sequence, audio.first_sample + first, int(audio.flags), self.codec.encode(part))
            assert len(packet) <= 1400
            self.figures.sent_back += 1
            if (delay_s := self.down.delay_s(self.random)) is None:
                self.figures.lost_down += 1
            else:
                self.at(now_s + delay_s, lambda then_s, packet=packet: self.hear(packet, then_s))

    def hear(self, packet: bytes, now_s: float) -> None:
        message = decode(packet)
        _, sequence, first_sample, _, pcm = message.arguments
        assert isinstance(sequence, int)
        assert isinstance(first_sample, int)
        assert isinstance(pcm, bytes)
        self.at_player.push(self.codec.decode(pcm, max_samples=4096), first_sample, sequence, now_s)

    def play(self, now_s: float) -> None:
        first = self.at_player.next_sample
        for run in self.at_player.pull(first + PLAYED_SAMPLES):
            self.compare(run)
        n_content = self.n_sent * self.block
        if self.at_player.next_sample + PLAYED_SAMPLES <= n_content:
            due = self.at_player.next_sample + PLAYED_SAMPLES + self.session.latency_samples
            self.at(due / self.true_rate_hz + self.cushion_s, self.play)

    def compare(self, run: Run) -> None:
        expected = self.content(run.first_sample - self.session.latency_samples, run.block.shape[1])
        error = run.block - expected
        figures = self.figures
        figures.signal += float(np.sum(expected.astype(np.float64) ** 2))
        figures.error += float(np.sum(error.astype(np.float64) ** 2))
        figures.n_played += error.shape[1]
        figures.n_same += int(np.count_nonzero(np.abs(error).max(axis=0) < SAME))
        at_s = run.first_sample / RATE_HZ % 60.0
        if at_s < EXCERPT_S:
            self.excerpt.append(run.block[0])
        elif self.excerpt:
            heard = np.concatenate(self.excerpt)
            first = run.first_sample - heard.size
            self.excerpt = []
            figures.lags.append(self.lag(heard, first))

    def lag(self, heard: np.ndarray, first: int) -> int:
        first -= self.session.latency_samples
        around = self.content(first - MOST_LAG, heard.size + 2 * MOST_LAG)[0]
        n_fft = 1 << (around.size + heard.size).bit_length()
        likeness = np.fft.irfft(np.fft.rfft(around, n_fft) * np.conj(np.fft.rfft(heard, n_fft)), n_fft)
        return MOST_LAG - int(np.argmax(likeness[: 2 * MOST_LAG + 1]))
