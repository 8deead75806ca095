"""Which sample of a stream comes in at which time, as far as the arrivals of its blocks tell.

::

    sample                            . '  the line: the rate's slope through the earliest arrival of late
        |                  . ' x    . '
        |        . ' x            x        x   the end of a block, at its arrival: on the line or below it
        |  . ' x
        +--------------------------------- time

A block is never early by more than its sender is ahead, and often late by the network's and the machine's moods. So the
line lies through the block that was late by least, of the last seconds: it follows a clock that drifts, and one late
block does not move it.
"""

from __future__ import annotations

WINDOW_S = 2.0
"""How long an arrival counts at least, and half of how long at most. Clocks 100 ppm apart part by 0.4 ms in that."""

LONGEST_SILENCE_S = 1.0
"""After a longer one the stream counts as stopped, and its next block begins a new line."""


class Arrivals:
    """The line through a stream's arrivals.

    Args:
        sample_rate_hz: Slope of the line.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        self._rate_hz = sample_rate_hz
        self._last_s = -float("inf")
        self._began_s = 0.0
        self._older: float | None = None  # samples ahead of time 0, the most of the window before
        self._newest = 0.0  # the same, of the window that runs

    def add(self, end_sample: int, now_s: float) -> None:
        """Takes note of a block.

        Args:
            end_sample: Position behind its last sample.
            now_s: When it came.
        """
        ahead = end_sample - now_s * self._rate_hz
        if now_s - self._last_s > LONGEST_SILENCE_S:
            self._older, self._newest, self._began_s = None, ahead, now_s
        elif now_s - self._began_s > WINDOW_S:
            self._older, self._newest, self._began_s = self._newest, ahead, now_s
        self._newest = max(self._newest, ahead)
        self._last_s = now_s

    def position(self, at_s: float, now_s: float) -> int | None:
        """The sample that comes in at a time, past or future; ``None`` where the stream has stopped or not begun."""
        if now_s - self._last_s > LONGEST_SILENCE_S:
            return None
        ahead = self._newest if self._older is None else max(self._older, self._newest)
        return max(round(ahead + at_s * self._rate_hz), 0)
