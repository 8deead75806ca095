"""What a buffer would have missed, judged afterwards: how long answers took, by tenths of a second."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

WINDOW_S = 0.1
"""Whatever is late within such a time is heard as one dropout."""

CYCLES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
"""Buffers that are judged, in cycles of the device."""

CONFIDENCE = 0.95
SURE_OF_NONE = -math.log(1.0 - CONFIDENCE)
"""Where none was seen, fewer than this many are to be expected in the same time, at that confidence (rule of three)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Buffer:
    """A buffer, judged."""

    samples: int
    """Its length."""
    seconds: float
    """The same in seconds."""
    n_seen: int
    """Dropouts that it would have had."""
    an_hour: float
    """Dropouts to be expected in an hour; where none was seen, at most so many."""


class Answers:
    """The longest answer of each window. [one thread] adds, and others read once it has ended.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._longest: list[float] = []  # a day's are a million
        self._ends_s = 0.0

    def add(self, seconds: float) -> None:
        """An answer came after so long."""
        now_s = self._clock()
        if now_s >= self._ends_s:
            self._ends_s = now_s + WINDOW_S
            self._longest.append(seconds)
        elif seconds > self._longest[-1]:
            self._longest[-1] = seconds

    def clear(self) -> None:
        """Forgets what was before, such as the first steps, for which caches fill."""
        self._longest.clear()
        self._ends_s = 0.0

    @property
    def windows(self) -> Sequence[float]:
        """The longest answer of each window, in seconds."""
        return tuple(self._longest)


def judge(
    windows: Sequence[float], *, period_samples: int, sample_rate_hz: int, kept_back_s: float, longest_s: float
) -> list[Buffer]:
    """What each buffer would have missed.

    Args:
        windows: Longest answers.
        period_samples: Samples of a cycle.
        sample_rate_hz: Of the device.
        kept_back_s: Of a buffer, what an answer may not use.
        longest_s: Longest buffer that is judged.
    """
    hours = len(windows) * WINDOW_S / 3600.0
    judged: list[Buffer] = []
    for n_cycles in CYCLES:
        samples = n_cycles * period_samples
        seconds = samples / sample_rate_hz
        if seconds > longest_s:
            break
        n_seen = sum(longest > seconds - kept_back_s for longest in windows)
        an_hour = (n_seen or SURE_OF_NONE) / hours if hours else math.inf
        judged.append(Buffer(samples=samples, seconds=seconds, n_seen=n_seen, an_hour=an_hour))
    return judged


def choose(judged: Sequence[Buffer]) -> Buffer | None:
    """The buffer behind the smallest without a dropout, where one is: a little more than just enough."""
    for place, buffer in enumerate(judged):
        if not buffer.n_seen:
            return judged[min(place + 1, len(judged) - 1)]
    return None
