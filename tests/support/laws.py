"""Laws that hold for every processor, as functions that any test can call.

A law takes ``make``, which builds a new processor, and drives it from outside: it knows nothing of what is inside.
``cases`` gives the block sizes, rates and channel counts; those beyond the fast subset carry the marker ``matrix``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from deepmusic.audio import Audio
from deepmusic.dsp.framing import OutputFifo, StepFramer
from deepmusic.dsp.processor import Processor

Make = Callable[[], Processor]

RANDOM = 0
"""Stands for blocks of random sizes, empty ones among them."""

BLOCK_SIZES = (1, 16, 32, 64, 65, 127, 128, 300, 441, 480, 512, 1024, 2048, 8192, 8193, RANDOM)
RATES_HZ = (44100, 48000, 88200, 96000)
CHANNEL_COUNTS = (1, 2)

FAST_CASES = frozenset(
    {
        (64, 48000, 2),
        (65, 44100, 1),
        (480, 48000, 1),
        (1024, 48000, 2),
        (8193, 96000, 2),
        (RANDOM, 88200, 1),
        (RANDOM, 48000, 2),
    }
)

EXACT = 0.0
"""Tolerance of processors that promise the same bits for every split."""

DENORMAL_TIME_RATIO = 1.2
"""As promised for a denormal tail of 60 s."""

DENORMAL_TURNS = 1000
"""Blocks that are timed at most: the best of so many is steady, even on a busy machine."""

DENORMAL_PLACE_TURNS = 50
"""Blocks after which both processors are made anew: where their buffers lie can cost a fifth by itself (measured)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One cell of the matrix."""

    block_samples: int
    """Block size in samples, or ``RANDOM``."""

    sample_rate_hz: int
    """Rate in Hz."""

    n_channels: int
    """Channels."""

    def __str__(self) -> str:
        block = "random" if self.block_samples == RANDOM else str(self.block_samples)
        return f"{block}x{self.sample_rate_hz}x{self.n_channels}"


def cases() -> list[Any]:
    """Every cell, for ``pytest.mark.parametrize("case", laws.cases())``."""
    return [
        pytest.param(
            Case(block_samples=block, sample_rate_hz=rate, n_channels=channels),
            id=f"{'random' if block == RANDOM else block}-{rate}-{channels}",
            marks=() if (block, rate, channels) in FAST_CASES else (pytest.mark.matrix,),
        )
        for block in BLOCK_SIZES
        for rate in RATES_HZ
        for channels in CHANNEL_COUNTS
    ]


def music(n_channels: int, n_samples: int, sample_rate_hz: int = 48000, *, seed: int = 0) -> Audio:
    """A test signal with all that trips processors: tones, a click, silence, noise; peak about 1.4."""
    rng = np.random.default_rng(seed)
    seconds = np.arange(n_samples) / sample_rate_hz
    signal = rng.standard_normal((n_channels, n_samples)) * 0.15
    for frequency_hz in (55.0, 440.0, 6011.0):
        phase = rng.uniform(0.0, 2 * np.pi, (n_channels, 1))
        signal += 0.3 * np.sin(2 * np.pi * frequency_hz * seconds + phase)
    signal[:, n_samples // 3 : n_samples // 2] = 0.0
    signal[:, 2 * n_samples // 3 : 2 * n_samples // 3 + 1] = 1.0
    return signal.astype(np.float32)


def blocks(audio: Audio, block_samples: int, *, seed: int = 0) -> Iterator[Audio]:
    """The audio in blocks of one size, or of random sizes from 0 to 3000 for ``RANDOM``."""
    rng = np.random.default_rng(seed)
    at = 0
    while at < audio.shape[1]:
        size = (
            block_samples
            if block_samples != RANDOM
            else int(rng.choice((0, 1, rng.integers(2, 200), rng.integers(200, 3000))))
        )
        yield np.ascontiguousarray(audio[:, at : at + size])
        at += size


def run(processor: Processor, pieces: Sequence[Audio] | Iterator[Audio]) -> Audio:
    """Everything that the processor gives for the blocks, in a row; each answer has the size of its block."""
    answers: list[Audio] = []
    for piece in pieces:
        answer = processor.process(piece)
        assert answer.shape == piece.shape, f"gave {answer.shape} for a block of {piece.shape}"
        assert answer.dtype == np.float32, f"gave {answer.dtype}"
        answers.append(answer)
    return np.concatenate(answers, axis=1)


def streaming_equals_offline(
    make: Make, audio: Audio, block_samples: int | Sequence[int] = RANDOM, *, tolerance: float = EXACT
) -> None:
    """The same samples come out for any split into blocks as for one block, and earlier answers stay as they were."""
    offline = run(make(), [audio])
    sizes = [block_samples] if isinstance(block_samples, int) else block_samples
    for size in sizes:
        _assert_close(run(make(), blocks(audio, size)), offline, tolerance, f"in blocks of {size or 'random size'}")


def an_empty_block_changes_nothing(make: Make, audio: Audio) -> None:
    """Blocks of no samples are answered by blocks of no samples."""
    processor = make()
    half = audio.shape[1] // 2
    empty = audio[:, :0]
    streamed = run(processor, [empty, audio[:, :half], empty, empty, audio[:, half:]])
    _assert_close(streamed, run(make(), [audio]), EXACT, "with empty blocks between")


def causal(make: Make, audio: Audio) -> None:
    """What comes later changes nothing in what came out before."""
    for cut in (1, audio.shape[1] // 3, audio.shape[1] - 1):
        other = audio.copy()
        other[:, cut:] = -0.3
        before, after = run(make(), [audio]), run(make(), [other])
        _assert_close(after[:, :cut], before[:, :cut], EXACT, f"before sample {cut}, where the input changes")


def reset_equals_new(make: Make, audio: Audio) -> None:
    """After ``reset`` a used processor gives what a new one gives."""
    processor = make()
    run(processor, blocks(audio[:, ::-1].copy() * 3.0, RANDOM))
    processor.reset()
    _assert_close(run(processor, [audio]), run(make(), [audio]), EXACT, "after reset")


def flush_gives_the_tail(make: Make, audio: Audio) -> None:
    """``flush`` gives the last ``latency_samples`` samples, as silence would push them out, and leaves silence."""
    processor, pushed = make(), make()
    run(processor, [audio])
    run(pushed, [audio])
    tail = processor.flush()
    assert tail.shape == (audio.shape[0], processor.latency_samples)
    _assert_close(tail, pushed.process(np.zeros_like(tail)), EXACT, "in the tail")


def silent_until_primed(make: Make, n_channels: int, *, tolerance: float = EXACT) -> None:
    """The first ``latency_samples`` samples are silence."""
    latency = make().latency_samples
    out = run(make(), [np.full((n_channels, latency + 64), 0.25, np.float32)])
    _assert_close(out[:, :latency], np.zeros((n_channels, latency)), tolerance, "before the first sample is due")


def latency_as_declared(make: Make, n_channels: int, *, tolerance: float = EXACT) -> None:
    """An impulse comes out ``latency_samples`` later, alone; its place in the step makes no difference."""
    latency = make().latency_samples
    for position in (0, 1, 1000, 1023, 1024, 4099):
        impulse = np.zeros((n_channels, position + latency + 2000), np.float32)
        impulse[:, position] = 0.5
        expected = np.zeros_like(impulse)
        expected[:, position + latency] = 0.5
        _assert_close(run(make(), [impulse]), expected, tolerance, f"for an impulse at {position}")


def arguments_unchanged(make: Make, audio: Audio) -> None:
    """The block that goes in is only read, and the answer is no view of it nor of the state."""
    processor = make()
    given = audio.copy()
    given.flags.writeable = False
    answer = processor.process(given)
    kept = answer.copy()
    assert not np.shares_memory(answer, given), "the answer is a view of the argument"
    processor.process(given)
    processor.reset()
    np.testing.assert_array_equal(given, audio)
    np.testing.assert_array_equal(answer, kept, err_msg="a later call changed an earlier answer")


def finite_for_extremes(make: Make, n_channels: int, n_samples: int = 6000) -> None:
    """Silence, DC, full scale, an impulse, and floats far above full scale give finite samples."""
    impulse = np.zeros((n_channels, n_samples), np.float32)
    impulse[:, n_samples // 2] = 1.0
    square = np.where(np.arange(n_samples) // 50 % 2, 1.0, -1.0)
    extremes = {
        "silence": np.zeros((n_channels, n_samples), np.float32),
        "DC": np.ones((n_channels, n_samples), np.float32),
        "full scale": np.tile(square, (n_channels, 1)).astype(np.float32),
        "impulse": impulse,
        "1e30": np.tile(square * 1e30, (n_channels, 1)).astype(np.float32),
        "denormals": np.full((n_channels, n_samples), 1e-40, np.float32),
    }
    for name, audio in extremes.items():
        processor = make()
        out = np.concatenate([run(processor, blocks(audio, 1024)), processor.flush()], axis=1)
        assert np.isfinite(out).all(), f"{name} gives samples that are not finite"


def denormals_cost_no_more(make: Make, n_channels: int, *, block_samples: int = 1024) -> None:
    """A tail that fades into denormal numbers takes no longer than noise of normal level.

    The best time of each is compared, with both taken in turns; more turns are taken until they agree, so that only a
    processor that is slow every time fails.
    """
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((n_channels, block_samples)).astype(np.float32)
    loud, tiny = noise * np.float32(1e-2), noise * np.float32(1e-39)
    best_normal = best_denormal = float("inf")
    for turn in range(DENORMAL_TURNS):
        if turn % DENORMAL_PLACE_TURNS == 0:
            normal, denormal = make(), make()
            for _ in range(4 + 2 * normal.latency_samples // block_samples):  # past signals leave the state
                denormal.process(tiny)
        best_normal = min(best_normal, _seconds(normal, loud))
        best_denormal = min(best_denormal, _seconds(denormal, tiny))
        if turn >= 20 and best_denormal <= DENORMAL_TIME_RATIO * best_normal:
            return
    raise AssertionError(f"took {best_denormal:.2g} s where noise takes {best_normal:.2g} s")


def hold_all(make: Make, case: Case, *, tolerance: float = EXACT, impulse_tolerance: float = EXACT) -> None:
    """Every law but the one that takes time, for one cell of the matrix.

    Args:
        make: Builds the processor for the case's rate and channels.
        case: Block size, rate and channels.
        tolerance: Of streaming against offline, largest absolute difference.
        impulse_tolerance: Of the impulse against what comes out.
    """
    n_samples = 5000 if case.block_samples == 1 else 24000
    audio = music(case.n_channels, n_samples, case.sample_rate_hz)
    short = audio[:, :6000].copy()
    streaming_equals_offline(make, audio, case.block_samples, tolerance=tolerance)
    an_empty_block_changes_nothing(make, short)
    causal(make, short)
    reset_equals_new(make, short)
    flush_gives_the_tail(make, short)
    silent_until_primed(make, case.n_channels, tolerance=impulse_tolerance)
    latency_as_declared(make, case.n_channels, tolerance=impulse_tolerance)
    arguments_unchanged(make, short)
    finite_for_extremes(make, case.n_channels)


class Stepped:
    """A step-wise part as a processor: framer before it, fifo behind it, for holding it to the laws.

    Args:
        process: ``(channels, step_samples)`` to as many samples.
        reset: Puts the part back to its start.
        n_channels: Channels.
        step_samples: Samples of a step.
        inner_latency_samples: Delay of the part itself.
    """

    def __init__(
        self,
        process: Callable[[Audio], Audio],
        reset: Callable[[], None],
        n_channels: int,
        step_samples: int,
        inner_latency_samples: int,
    ) -> None:
        self._process = process
        self._reset = reset
        self._n_channels = n_channels
        self._framer = StepFramer(n_channels, step_samples)
        self._fifo = OutputFifo(n_channels, max_samples=1 << 20, silence_samples=step_samples - 1)
        self.latency_samples = step_samples - 1 + inner_latency_samples

    def process(self, block: Audio) -> Audio:
        """As many samples as came in."""
        for step in self._framer.push(block):
            self._fifo.push(self._process(step))
        return self._fifo.pop(block.shape[1])

    def flush(self) -> Audio:
        """The last samples, pushed out by silence."""
        return self.process(np.zeros((self._n_channels, self.latency_samples), np.float32))

    def reset(self) -> None:
        """Back to the start."""
        self._reset()
        self._framer.reset()
        self._fifo.reset()


def _assert_close(got: npt.NDArray[Any], expected: npt.NDArray[Any], tolerance: float, where: str) -> None:
    assert got.shape == expected.shape, f"{where}: {got.shape} instead of {expected.shape}"
    if got.size:
        difference = float(np.abs(got.astype(np.float64) - expected).max())
        assert difference <= tolerance, f"{where}: largest difference {difference:.3g}, allowed {tolerance:.3g}"


def _seconds(processor: Processor, block: Audio) -> float:
    start = time.perf_counter()
    processor.process(block)
    return time.perf_counter() - start
