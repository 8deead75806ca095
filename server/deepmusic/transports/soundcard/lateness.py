"""How long answers take, over a whole evening: counted by tenths of a millisecond, so that any buffer can be judged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BIN_S = 1e-4
N_BINS = 20_000
"""Two seconds; what took longer counts in the last bin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LatenessFacts:
    """What was counted."""

    n_answers: int
    """Answers so far."""
    p50_s: float
    """Half of them took at most so long; 0 where there are none."""
    p99_s: float
    """99 of 100 took at most so long."""
    longest_s: float
    """All of them took at most so long, 2 s at most."""


class Lateness:
    """A histogram of times. One thread adds; others may read at any moment."""

    def __init__(self) -> None:
        self._counts = np.zeros(N_BINS, np.int64)

    def add(self, seconds: float) -> None:
        """Counts an answer that took so long."""
        self._counts[min(max(int(seconds / BIN_S), 0), N_BINS - 1)] += 1

    def clear(self) -> None:
        """Forgets everything."""
        self._counts[:] = 0

    def n_beyond(self, seconds: float) -> int:
        """Answers that took longer; those of the same tenth of a millisecond count too."""
        return int(self._counts[min(int(seconds / BIN_S), N_BINS - 1) :].sum())

    def facts(self) -> LatenessFacts:
        """What was counted so far."""
        counts = self._counts.copy()
        n_answers = int(counts.sum())
        if not n_answers:
            return LatenessFacts(n_answers=0, p50_s=0.0, p99_s=0.0, longest_s=0.0)
        ends = np.searchsorted(np.cumsum(counts), [0.5 * n_answers, 0.99 * n_answers, n_answers])
        p50_s, p99_s, longest_s = ((1 + ends) * BIN_S).tolist()
        return LatenessFacts(n_answers=n_answers, p50_s=p50_s, p99_s=p99_s, longest_s=longest_s)
