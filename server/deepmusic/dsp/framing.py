"""From blocks of any size to whole steps, and back.

Only this module knows that hosts choose their block size. A ``StepFramer`` gathers, an ``OutputFifo`` that starts with
``step_samples - 1`` samples of silence hands out as many samples as came in, whatever the blocks are::

    blocks   |--300--|--300--|--300--|--300--|        n samples in
    steps    |------------1024------------|-          as soon as they are whole
    fifo     1023 of silence, then the steps          n samples out, 1023 late
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np

from deepmusic.audio import Audio


class StepFramer:
    """Gathers blocks of any size into steps of one size.

    Args:
        n_channels: Channels.
        step_samples: Samples of a step, 1 or more.
    """

    def __init__(self, n_channels: int, step_samples: int) -> None:
        if step_samples < 1:
            raise ValueError(f"expected a step of 1 sample or more, got {step_samples}")
        self._step = np.zeros((n_channels, step_samples), np.float32)
        self._n_pending = 0

    @property
    def n_pending(self) -> int:
        """Samples that wait for their step to become whole, 0 to ``step_samples - 1``."""
        return self._n_pending

    def push(self, block: Audio) -> Iterator[Audio]:
        """Takes ``(channels, n)`` and yields every step that is whole now, ``(channels, step_samples)``, in new memory.

        The iterator has to be run to its end before the next call.
        """
        step_samples = self._step.shape[1]
        taken = 0
        while taken < block.shape[1]:
            n_new = min(step_samples - self._n_pending, block.shape[1] - taken)
            self._step[:, self._n_pending : self._n_pending + n_new] = block[:, taken : taken + n_new]
            self._n_pending += n_new
            taken += n_new
            if self._n_pending == step_samples:
                self._n_pending = 0
                yield self._step.copy()

    def pad(self) -> Audio | None:
        """The last step, filled up with silence; None where nothing is pending."""
        if not self._n_pending:
            return None
        step = self._step.copy()
        step[:, self._n_pending :] = 0.0
        self._n_pending = 0
        return step

    def reset(self) -> None:
        """Forgets what is pending."""
        self._n_pending = 0


class OutputFifo:
    """Samples in the order in which they came, in pieces of any size.

    Args:
        n_channels: Channels.
        max_samples: Bound; a push beyond it is our own bug and raises.
        silence_samples: Silence that stands in front at the start.
    """

    def __init__(self, n_channels: int, *, max_samples: int, silence_samples: int = 0) -> None:
        if not 0 <= silence_samples <= max_samples:
            raise ValueError(f"expected 0 to {max_samples} samples of silence, got {silence_samples}")
        self._n_channels = n_channels
        self._max_samples = max_samples
        self._silence_samples = silence_samples
        self._silence_left = silence_samples
        self._pieces: deque[Audio] = deque()  # bounded by max_samples: pieces are never empty
        self._n_queued = 0

    @property
    def n_available(self) -> int:
        """Samples that can be popped now."""
        return self._silence_left + self._n_queued

    def push(self, audio: Audio) -> None:
        """Takes ``(channels, n)`` and keeps the array itself: hand it over, do not change it afterwards."""
        n_new = audio.shape[1]
        if self.n_available + n_new > self._max_samples:
            raise OverflowError(f"expected at most {self._max_samples} samples, got {self.n_available + n_new}")
        if n_new:
            self._pieces.append(audio)
            self._n_queued += n_new

    def pop(self, n_samples: int) -> Audio:
        """The next ``(channels, n_samples)``, in new memory; there have to be as many."""
        if n_samples > self.n_available:
            raise IndexError(f"expected at most {self.n_available} samples to be asked for, got {n_samples}")
        out = np.empty((self._n_channels, n_samples), np.float32)
        filled = min(n_samples, self._silence_left)
        out[:, :filled] = 0.0
        self._silence_left -= filled
        self._n_queued -= n_samples - filled
        while filled < n_samples:
            piece = self._pieces[0]
            n_taken = min(piece.shape[1], n_samples - filled)
            out[:, filled : filled + n_taken] = piece[:, :n_taken]
            filled += n_taken
            if n_taken == piece.shape[1]:
                self._pieces.popleft()
            else:
                self._pieces[0] = piece[:, n_taken:]
        return out

    def reset(self) -> None:
        """Only the silence of the start is left."""
        self._pieces.clear()
        self._n_queued = 0
        self._silence_left = self._silence_samples
