"""What a session costs on this machine: in a tight loop, at live pace, in memory; and how late it really is."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deepmusic.audio import Audio, AudioFormat
from deepmusic.model.catalog import LoadedBundle
from deepmusic.model.runtime import TransferModel
from deepmusic.model.scheduler import StepScheduler
from deepmusic.model.style_vector import StyleVector
from deepmusic.session.config import ModelFacts, SessionConfig, Setting, model_facts
from deepmusic.session.events import AudioIn, AudioOut, Failure, Finish, OutEvent
from deepmusic.session.offline import run_to_end
from deepmusic.session.session import Session
from deepmusic.session.worker import SessionWorker
from deepmusic.styles.learn import learn

RATE_HZ = 48_000
N_CHANNELS = 2
STEP_SAMPLES = 1024
"""One model step at 48 kHz, and the block that is measured with: each block is answered by one step."""

WARM_UP_STEPS = 20
"""Steps before the tight loop is timed: caches fill and buffers are made."""

STEP_S = STEP_SAMPLES / RATE_HZ
AUDIO_FORMAT = AudioFormat(sample_rate_hz=RATE_HZ, n_channels=N_CHANNELS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """Times in milliseconds."""

    p50_ms: float
    p99_ms: float
    p99_9_ms: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Distribution:
        """The percentiles of times in seconds."""
        p50, p99, p99_9 = np.percentile(np.array(seconds) * 1000.0, [50.0, 99.0, 99.9]).tolist()
        return cls(p50_ms=p50, p99_ms=p99, p99_9_ms=p99_9)


@dataclass(frozen=True, slots=True, kw_only=True)
class TightLoop:
    """One stream, as fast as it goes."""

    rtf: float
    """Time taken over the length of the audio."""
    core_fraction: float
    """Processor time of the whole process over the length of the audio."""
    outside_over_inside: float
    """Time outside the model over time inside it."""
    step: Distribution
    """Time of a step with everything around it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LivePace:
    """Several streams at the pace of a host, each with a deadline: by default of one step, or of one segment."""

    n_streams: int
    seconds: float
    core_fraction: float
    """Processor time of the whole process over wall time, for each stream."""
    answer: Distribution
    """From handing a block over to its answer."""
    n_steps: int
    n_late: int
    n_failed: int
    resident_bytes: int | None
    """What each further stream added to the memory of the process; None where the system does not say."""


class TimedModel:
    """A model that remembers how long its steps took.

    Args:
        model: the real one.
        clock: seconds.
    """

    def __init__(self, model: TransferModel, clock: Callable[[], float]) -> None:
        self._model = model
        self._clock = clock
        self.device = model.device
        self.seconds = 0.0

    def step(
        self,
        bands: npt.NDArray[np.float32],
        style: npt.NDArray[np.float32],
        freeze: npt.NDArray[np.float32],
        state: npt.NDArray[np.float32],
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """[any] One step of the real model."""
        started_s = self._clock()
        result = self._model.step(bands, style, freeze, state)
        self.seconds += self._clock() - started_s
        return result


def example_content(seconds: float) -> Audio:
    """Stereo chords with a beat, the same every time: float32 `(2, samples)` at 48 kHz, peak 0.5."""
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    chord = sum(np.sin(2.0 * np.pi * hz * k * time_s) / k for hz in (110.0, 164.81, 220.0, 277.18) for k in range(1, 9))
    beat: npt.NDArray[np.float64] = np.random.default_rng(1).standard_normal((2, len(time_s))) * np.exp(
        -20.0 * (time_s % 0.5)
    )
    audio = np.stack([chord, chord]) * (0.6 + 0.4 * np.cos(2.0 * np.pi * 0.5 * time_s)) + beat
    return np.ascontiguousarray(audio * (0.5 / np.abs(audio).max()), dtype=np.float32)


def example_style(bundle: LoadedBundle) -> StyleVector:
    """A style learned from two seconds of brassy noise."""
    noise = np.random.default_rng(2).standard_normal((2, 2 * RATE_HZ))
    brass = np.sign(np.sin(2.0 * np.pi * 233.0 * np.arange(2 * RATE_HZ) / RATE_HZ))
    return learn((0.1 * brass + 0.02 * noise).astype(np.float32), RATE_HZ, bundle.encoder, name="bench")


def tight_loop(bundle: LoadedBundle, style: StyleVector, seconds: float) -> TightLoop:
    """Run one stream over `seconds` of audio without waiting, or over one segment where that is longer."""
    # On a processor a step runs in the calling thread, and the time of that thread leaves other programs out.
    clock = time.thread_time if bundle.transfer.device == "cpu" else time.perf_counter
    model = TimedModel(bundle.transfer, clock)
    session = _session(replace(model_facts(bundle.transfer), handle=model), style)
    audio = example_content(max(seconds, session.segment_samples / RATE_HZ))
    n_steps = audio.shape[1] // STEP_SAMPLES

    def play(index: int, position: int) -> float:
        block = np.ascontiguousarray(audio[:, index * STEP_SAMPLES : (index + 1) * STEP_SAMPLES])
        started_s = time.perf_counter()
        run_to_end(session, AudioIn(block=block, first_sample=position * STEP_SAMPLES))
        return time.perf_counter() - started_s

    for position in range(WARM_UP_STEPS):
        play(position % n_steps, position)
    model.seconds, cpu_s, started_s = 0.0, time.process_time(), clock()
    times = [play(index, WARM_UP_STEPS + index) for index in range(n_steps)]
    cpu_s, total_s = time.process_time() - cpu_s, clock() - started_s
    played_s = n_steps * STEP_S
    return TightLoop(
        rtf=math.fsum(times) / played_s,
        core_fraction=cpu_s / played_s,
        outside_over_inside=(total_s - model.seconds) / model.seconds,
        step=Distribution.of(times),
    )


class LiveStream:
    """One stream of the live measurement.

    Args:
        facts: of the model.
        style: its style.
        scheduler: runs its steps.
        deadline_s: how long after its input a step may take; ``None`` for a step, or a segment.
    """

    def __init__(
        self, facts: ModelFacts, style: StyleVector, scheduler: StepScheduler, deadline_s: float | None
    ) -> None:
        self.answer_s: list[float] = []
        self.failure: Failure | None = None
        self._sent_s: dict[int, float] = {}
        session = _session(facts, style)
        if deadline_s is None:
            deadline_s = session.segment_samples / RATE_HZ  # what a live client has by default
        self.worker = SessionWorker(session, scheduler, self._take, deadline_s=deadline_s)
        self.worker.start()

    def send(self, block: Audio, index: int) -> None:
        """[loop] Hand over block `index`."""
        self._sent_s[index] = time.perf_counter()
        self.worker.post(AudioIn(block=block, first_sample=index * STEP_SAMPLES, sequence=index))

    def finish(self) -> None:
        """[loop] Let it end."""
        self.worker.post(Finish())
        self.worker.join(10.0)

    def _take(self, event: OutEvent) -> None:
        """[worker] Note when an answer comes."""
        if isinstance(event, AudioOut) and event.sequence in self._sent_s:
            self.answer_s.append(time.perf_counter() - self._sent_s.pop(event.sequence))
        elif isinstance(event, Failure):
            self.failure = event


def live_pace(
    bundle: LoadedBundle, style: StyleVector, n_streams: int, seconds: float, *, deadline_s: float | None = None
) -> LivePace:
    """Run `n_streams` streams for `seconds` as hosts would: a block whenever its last sample is due."""
    blocks = _step_blocks(example_content(min(max(seconds, 0.1), 10.0)))
    facts = model_facts(bundle.transfer)
    scheduler = StepScheduler(1)
    before = resident_bytes()
    streams = [LiveStream(facts, style, scheduler, deadline_s) for _ in range(n_streams)]
    n_blocks = max(1, round(seconds / STEP_S))
    try:
        started_s, cpu_s = time.perf_counter(), time.process_time()
        for index in range(n_blocks):
            for place, stream in enumerate(streams):
                due_s = started_s + (index + 1 + place / n_streams) * STEP_S
                time.sleep(max(0.0, due_s - time.perf_counter()))
                stream.send(blocks[index % len(blocks)], index)
        elapsed_s, cpu_s = time.perf_counter() - started_s, time.process_time() - cpu_s
        after = resident_bytes()
        for stream in streams:
            stream.finish()
    finally:
        for stream in streams:
            stream.worker.stop(5.0)
        scheduler.stop()
    failure = next((stream.failure for stream in streams if stream.failure is not None), None)
    if failure is not None:
        raise failure.error
    stats = [stream.worker.stats for stream in streams]
    return LivePace(
        n_streams=n_streams,
        seconds=elapsed_s,
        core_fraction=cpu_s / elapsed_s / n_streams,
        answer=Distribution.of([answer_s for stream in streams for answer_s in stream.answer_s]),
        n_steps=sum(s.steps for s in stats),
        n_late=sum(s.late_steps for s in stats),
        n_failed=sum(s.failed_steps for s in stats),
        resident_bytes=None if before is None or after is None else max(0, after - before) // n_streams,
    )


def latencies_samples(bundle: LoadedBundle, style: StyleVector) -> tuple[int, int]:
    """The latency that a session declares, and the one that an impulse through its dry path has, in samples."""
    session = _session(model_facts(bundle.transfer), style, settings=(Setting(name="strength", value=0.0),))
    at = 3 * STEP_SAMPLES + 17
    audio = np.zeros((N_CHANNELS, at + session.latency_samples + STEP_SAMPLES), np.float32)
    audio[:, at] = 0.5
    out = [e.block for e in run_to_end(session, AudioIn(block=audio, first_sample=0)) if isinstance(e, AudioOut)]
    return session.latency_samples, int(np.argmax(np.abs(np.concatenate(out, axis=1)[0]))) - at


def resident_bytes() -> int | None:
    """Memory of this process that is in use; None where the system does not say (Linux does)."""
    try:
        fields = Path("/proc/self/statm").read_text(encoding="ascii").split()
    except OSError:
        return None
    return int(fields[1]) * 4096


def _step_blocks(audio: Audio) -> tuple[Audio, ...]:
    """Cut audio into whole steps; what is left over at its end is dropped."""
    ends = range(STEP_SAMPLES, audio.shape[1] + 1, STEP_SAMPLES)
    return tuple(np.ascontiguousarray(audio[:, end - STEP_SAMPLES : end]) for end in ends)


def _session(facts: ModelFacts, style: StyleVector, *, settings: tuple[Setting, ...] = ()) -> Session:
    return Session(SessionConfig(audio_format=AUDIO_FORMAT, settings=settings), facts, style)
