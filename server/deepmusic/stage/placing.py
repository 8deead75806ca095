"""Brings what a session hands out to where the samples stand that it was made of."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np

from deepmusic.audio import Audio
from deepmusic.session.events import AudioOut

_SILENCE_SAMPLES = 65536
"""Silence is handed out in blocks of at most so many."""


class Placing:
    """A session's positions on one side, an unbroken recording on the other.

    Gaps are not in the recording, and a stream that begins anew hands out silence for what its tail has been for: both
    go. What was never handed out becomes silence.

    Args:
        latency_samples: Of the session: sample i of its output was made of sample i - latency.
    """

    def __init__(self, latency_samples: int) -> None:
        self._latency_samples = latency_samples
        self._owed: deque[tuple[int, int]] = deque()  # position and count; bounded by what the session holds

    def take(self, position: int, count: int) -> None:
        """So many samples of the recording go in at a position of the stream."""
        if self._owed and sum(self._owed[-1]) == position:
            first, before = self._owed.pop()
            self._owed.append((first, before + count))
        else:
            self._owed.append((position, count))

    def place(self, out: AudioOut) -> Iterator[Audio]:
        """What of a block stands in the recording, in order."""
        block, start = out.block, out.first_sample - self._latency_samples
        end = start + block.shape[1]
        while self._owed and self._owed[0][0] < end:
            first, count = self._owed.popleft()
            begin = min(max(start, first), first + count)
            if begin > first:
                yield from _silence(block.shape[0], begin - first)
            stop = min(end, first + count)
            if stop > begin:
                yield np.ascontiguousarray(block[:, begin - start : stop - start])
            if stop < first + count:
                self._owed.appendleft((stop, first + count - stop))
                return

    def rest(self, n_channels: int) -> Iterator[Audio]:
        """Silence for what is still owed when nothing more comes."""
        while self._owed:
            yield from _silence(n_channels, self._owed.popleft()[1])


def _silence(n_channels: int, count: int) -> Iterator[Audio]:
    for start in range(0, count, _SILENCE_SAMPLES):
        yield np.zeros((n_channels, min(_SILENCE_SAMPLES, count - start)), np.float32)
