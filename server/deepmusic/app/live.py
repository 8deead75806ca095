r"""The rig on a stage: a sound card, a stream for it, and OSC beside them.

::

    sound card --take--> stream --on_audio--> sound card          threads of the card and of the session
         \--> meters        ^------ controls ------ OSC           the loop
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from deepmusic.app.live_stream import LiveStream
from deepmusic.app.rig_profile import LONGEST_CUSHION_S
from deepmusic.audio import Audio, AudioFormat
from deepmusic.errors import BadConfig, DeepmusicError
from deepmusic.session.events import AudioFlag, AudioIn, AudioOut
from deepmusic.session.stats import SessionStats
from deepmusic.transports.soundcard.card import SILENCE_S, CardTerms, SoundCard
from deepmusic.transports.soundcard.cycle import Cycle
from deepmusic.transports.soundcard.device import DeviceFacts, DeviceWish
from deepmusic.transports.soundcard.lateness import Lateness, LatenessFacts
from deepmusic.transports.soundcard.meter import Meter

DEFAULT_CUSHION_S = 1024 / 48000
"""One model step, where neither a flag nor the rig's profile says otherwise."""

RETURN_S = 0.002
"""Of the cushion, what is kept back from the model for the ways to it and back: a wake-up on each."""

KEPT_CYCLES = 4096
"""Cycles whose beginning is remembered until their answer comes; 10 s of 128 samples at 48 kHz."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyParts:
    """What lies between microphone and loudspeaker, in samples; the device's part is what the device says of itself."""

    device_input: int
    stream: int
    cushion: int
    device_output: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.device_input + self.stream + self.cushion + self.device_output


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveStatus:
    """How it goes; what the terminal shows."""

    seconds: float
    """Since the set began."""
    device: DeviceFacts
    """The device, as it was last opened."""
    cycle_samples: int
    """Samples of its longest cycle, by what it says and by what came; 0 where neither is there yet."""
    is_running: bool
    """Whether it is there."""
    trouble: str
    """Why it is not there; empty while it is."""
    n_vanished: int
    """How often it has vanished."""
    latency: LatencyParts
    """From microphone to loudspeaker."""
    input_db: tuple[float, ...]
    """Peaks of each channel since the last look."""
    output_db: tuple[float, ...]
    """The same of the stream's output."""
    answers: LatenessFacts
    """How long blocks took from their cycle to their answer."""
    n_cycles: int
    """Cycles of the device."""
    n_starved: int
    """Cycles in which no answer was there and the delayed input was played."""
    n_xruns: int
    """Cycles that the device's own system missed."""
    longest_turn_s: float
    """Longest time that the audio process worked on a cycle."""
    stats: SessionStats
    """The stream's counters."""
    style: str
    """The style that was asked for last."""
    strength: float
    """0 to 1."""
    is_dry: bool
    """Whether bypass or panic is on."""


class LiveRig:
    """A sound card and its stream. Made and read on any thread.

    Args:
        wish: Which device.
        make_stream: Makes the stream, given who takes its output.
        cushion_s: By how much later than the stream's latency output is played; rounded up to whole cycles.
        on_answer: [worker] Told how long each answer took, in seconds.
    """

    def __init__(
        self,
        wish: DeviceWish,
        make_stream: Callable[[Callable[[AudioOut], None]], LiveStream],
        *,
        cushion_s: float = DEFAULT_CUSHION_S,
        on_answer: Callable[[float], None] | None = None,
    ) -> None:
        if not 0.0 < cushion_s <= LONGEST_CUSHION_S:
            given_ms, longest_ms = 1000.0 * cushion_s, 1000.0 * LONGEST_CUSHION_S
            raise BadConfig(
                f"expected a cushion above 0 and of at most {longest_ms:g} ms, got {given_ms:g}; see --cushion"
            )
        self.stream = make_stream(self._play)
        self.lateness = Lateness()
        self._cushion_s = cushion_s
        self._on_answer = on_answer
        self._card = SoundCard(wish, self)
        self._facts = DeviceFacts(name="", sample_rate_hz=48000, n_channels=1, period_samples=0, input="", output="")
        self._terms = CardTerms(latency_samples=0, cushion_samples=0)
        self._input_meter = self._output_meter = Meter(1)
        self._began_ns = [0] * KEPT_CYCLES
        self._started_s = time.monotonic()
        self._is_running, self._trouble = False, ""
        self._has_begun = threading.Event()
        self._n_cycles = self._n_starved = self._n_vanished = 0
        self._n_xruns = self._n_xruns_before = 0
        self._cycle_samples = 0
        self._longest_turn_ns = 0

    async def start(self) -> None:
        """[loop] Opens the device.

        Raises:
            DeepmusicError: It cannot be opened, or the stream has no such format.
        """
        await asyncio.to_thread(self._card.start)
        await asyncio.to_thread(self._has_begun.wait, SILENCE_S)  # a device knows its latencies once it runs
        self._started_s = time.monotonic()

    async def stop(self) -> None:
        """[loop] Gives the device back and ends the stream."""
        await asyncio.to_thread(self._card.stop)
        await asyncio.to_thread(self.stream.close)

    def status(self) -> LiveStatus:
        """[loop] How it goes; the meters begin anew."""
        values = self.stream.values
        device_input, device_output = self._card.device_latencies
        return LiveStatus(
            seconds=time.monotonic() - self._started_s,
            device=self._facts,
            cycle_samples=self._cycle_samples,
            is_running=self._is_running,
            trouble=self._trouble,
            n_vanished=self._n_vanished,
            latency=LatencyParts(
                device_input=device_input,
                stream=self._terms.latency_samples,
                cushion=self._terms.cushion_samples,
                device_output=device_output,
            ),
            input_db=self._input_meter.read_db(),
            output_db=self._output_meter.read_db(),
            answers=self.lateness.facts(),
            n_cycles=self._n_cycles,
            n_starved=self._n_starved,
            n_xruns=self._n_xruns_before + self._n_xruns,
            longest_turn_s=self._longest_turn_ns / 1e9,
            stats=self.stream.stats,
            style=str(values["style"]),
            strength=float(values["strength"]),
            is_dry=bool(values["bypass"] or values["panic"]),
        )

    def opened(self, facts: DeviceFacts) -> CardTerms:
        """[card] A device is there: a stream of its format is opened, or the one that waits goes on."""
        audio_format = AudioFormat(sample_rate_hz=facts.sample_rate_hz, n_channels=facts.n_channels)
        cushion = cushion_samples(self._cushion_s, facts.sample_rate_hz, facts.period_samples)
        deadline = max(1, cushion - round(RETURN_S * facts.sample_rate_hz))
        latency = self.stream.open(audio_format, deadline)
        if self._facts.n_channels != facts.n_channels or not self._n_cycles:
            self._input_meter, self._output_meter = Meter(facts.n_channels), Meter(facts.n_channels)
        self._n_xruns_before += self._n_xruns
        self._n_xruns = 0
        self._facts, self._cycle_samples = facts, facts.period_samples
        self._terms = CardTerms(latency_samples=latency, cushion_samples=cushion)
        self._is_running, self._trouble = True, ""
        return self._terms

    def take(self, block: Audio, cycle: Cycle) -> None:
        """[card] A block came in."""
        self._input_meter.add(block)
        self._began_ns[self._n_cycles % KEPT_CYCLES] = cycle.began_ns
        self.stream.post(AudioIn(block=block, first_sample=cycle.first_sample, sequence=self._n_cycles))
        self._n_cycles += 1
        self._cycle_samples = max(self._cycle_samples, cycle.n_samples)
        self._n_starved += cycle.is_starved
        self._n_xruns = cycle.n_xruns
        self._longest_turn_ns = max(self._longest_turn_ns, cycle.took_ns)
        self._has_begun.set()

    def gone(self, error: DeepmusicError) -> None:
        """[card] The device is not there."""
        self._n_vanished += self._is_running
        self._is_running, self._trouble = False, error.message

    def _play(self, audio: AudioOut) -> None:
        """[worker] An answer."""
        if AudioFlag.TAIL in audio.flags:  # of what was inside when the device vanished
            return
        self._card.play(audio.block, audio.first_sample)
        took_s = (time.monotonic_ns() - self._began_ns[audio.sequence % KEPT_CYCLES]) / 1e9
        self.lateness.add(took_s)
        if self._on_answer is not None:
            self._on_answer(took_s)
        self._output_meter.add(audio.block)


def cushion_samples(cushion_s: float, sample_rate_hz: int, period_samples: int) -> int:
    """A cushion as whole cycles of the device, at least one: what lies between two cycles is of no use to anybody."""
    wanted = max(1, round(cushion_s * sample_rate_hz))
    if not period_samples:
        return wanted
    return math.ceil(wanted / period_samples) * period_samples
