"""Which blocks are owed to the sender, and which samples answer them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from deepmusic.dsp.framing import OutputFifo
from deepmusic.session.events import AudioFlag, AudioOut, Timing
from deepmusic.session.pipeline import RenderedStep

_NO_TIMING = Timing()


@dataclass(frozen=True, slots=True, kw_only=True)
class OwedBlock:
    """A block that came in and has not been answered yet."""

    n_samples: int
    """As many as came in."""
    first_sample: int
    """Position in the stream."""
    sequence: int
    """Number that the sender gave it."""
    flags: AudioFlag = AudioFlag.NONE
    """What is known of it already."""
    is_discarded: bool = False
    """Whether nobody waits for it: the sound of a gap that was filled."""


class Answers:
    """Owed blocks in order, answered as soon as their samples are rendered.

    Output begins with ``step_samples - 1`` of silence: the last sample of a step can be answered in the very block that
    made the step whole, and every other one has to wait as long as that one would.

    Args:
        n_channels: Channels.
        step_samples: Samples of a step.
        max_samples: Largest sum of samples owed and rendered; the session keeps below it.
    """

    def __init__(self, n_channels: int, step_samples: int, max_samples: int) -> None:
        self._fifo = OutputFifo(n_channels, max_samples=max_samples, silence_samples=step_samples - 1)
        self._silence_samples = step_samples - 1
        self._owed: deque[OwedBlock] = deque()  # bounded by the session's backlog: each holds at least a sample
        self._runs: deque[tuple[int, AudioFlag, Timing]] = deque([(self._silence_samples, AudioFlag.NONE, _NO_TIMING)])
        self._n_given = 0
        self._runs_end = self._silence_samples

    @property
    def is_owing(self) -> bool:
        """Whether a block waits for its answer."""
        return bool(self._owed)

    def owe(self, block: OwedBlock) -> None:
        """Takes a block to answer."""
        self._owed.append(block)

    def push(self, step: RenderedStep, timing: Timing) -> None:
        """Takes rendered samples, in order."""
        self._fifo.push(step.audio)
        for n_samples, flags in step.flags:
            self._runs_end += n_samples
            self._runs.append((self._runs_end, flags, timing))

    def due(self) -> Iterator[tuple[OwedBlock, AudioOut]]:
        """Yields every owed block whose samples are there, in order."""
        while self._owed and self._fifo.n_available >= self._owed[0].n_samples:
            owed = self._owed.popleft()
            audio = self._fifo.pop(owed.n_samples)
            flags, timing = self._fate_of(owed)
            yield (
                owed,
                AudioOut(
                    block=audio,
                    first_sample=owed.first_sample,
                    sequence=owed.sequence,
                    flags=flags,
                    timing=timing,
                ),
            )

    def restart(self) -> None:
        """Silence in front again; nothing is owed."""
        assert not self._owed, "blocks are owed"
        self._fifo.reset()
        self._runs = deque([(self._silence_samples, AudioFlag.NONE, _NO_TIMING)])
        self._n_given, self._runs_end = 0, self._silence_samples

    def _fate_of(self, owed: OwedBlock) -> tuple[AudioFlag, Timing]:
        """Flags of the block and of all runs that its samples touch, and the times of the last of them."""
        self._n_given += owed.n_samples
        all_flags, last = owed.flags, _NO_TIMING
        while self._runs:
            run_end, flags, last = self._runs[0]
            if flags is not AudioFlag.NONE:  # operations on flags are slow, and most runs have none
                all_flags |= flags
            if run_end > self._n_given:
                break
            self._runs.popleft()
            if run_end == self._n_given:
                break
        return all_flags, last
