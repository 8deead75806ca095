"""A parameter over the stream's samples: constant values joined by straight ramps, known to the sample.

``dsp.crossfade.Ramp`` is read once, in order. A parameter of a session acts on places of the pipeline that lag behind
each other, and a stretch that begins anew reads positions again: so this one may be read anywhere, any number of times.

::

    value   target ________/‾‾‾‾‾‾‾‾
                          /
            origin ______/
                         |   |
                     start   start + length - 1: the first sample that has the target
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import islice

import numpy as np

from deepmusic.audio import Audio

MAX_MOVES = 8192
"""Moves of one parameter that have not been heard yet; a further one is refused, and its sender told. A move with every
block of 16 samples is within it: 1024 blocks that a stream may have unanswered, and 1.3 s of a bundle's latency."""


@dataclass(slots=True)
class _Move:
    start: int
    target: float
    length: int
    origin: float = 0.0

    def value(self, position: int) -> float:
        done = position - self.start + 1
        if done >= self.length:
            return self.target
        return self.origin + (self.target - self.origin) * (done / self.length)


class Automation:
    """The values of one parameter at every sample of the stream.

    Args:
        value: What it is before the first move.
    """

    def __init__(self, value: float) -> None:
        self._value = value
        self._moves: list[_Move] = []  # by start; bounded by MAX_MOVES

    @property
    def last_target(self) -> float:
        """Where it will be once everything that is scheduled has happened."""
        return self._moves[-1].target if self._moves else self._value

    def move(self, target: float, start: int, length: int) -> bool:
        """Schedules a ramp; one that begins while another runs takes over from where that one is.

        One that begins where another begins replaces it, which nobody could hear: so a fader that is moved while no
        audio comes fills nothing up.

        Args:
            target: Value at its end.
            start: Sample position of the first value that differs.
            length: Samples of the ramp; 0 and 1 are a step.

        Returns:
            False where ``MAX_MOVES`` are scheduled already and this one is not taken.
        """
        place = bisect_right(self._moves, start, key=_start)
        if place and self._moves[place - 1].start == start:
            place -= 1
            del self._moves[place]
        if len(self._moves) >= MAX_MOVES:
            return False
        self._moves.insert(place, _Move(start, target, length))
        for index in range(place, len(self._moves)):
            move = self._moves[index]
            move.origin = self._moves[index - 1].value(move.start - 1) if index else self._value
        return True

    def at(self, position: int) -> float:
        """The value at a sample."""
        index = bisect_right(self._moves, position, key=_start)
        return self._moves[index - 1].value(position) if index else self._value

    def steady_value(self, first: int, count: int) -> float | None:
        """The value, where it is one and the same from ``first`` to ``first + count - 1``; else ``None``."""
        if not self._moves:
            return self._value
        index = bisect_right(self._moves, first, key=_start)
        if index < len(self._moves) and self._moves[index].start < first + count:
            return None
        if index == 0:
            return self._value
        move = self._moves[index - 1]
        return move.target if move.origin == move.target or first - move.start + 1 >= move.length else None

    def over(self, first: int, count: int) -> Audio:
        """The values from ``first`` to ``first + count - 1``, float32 ``(count,)``."""
        values = np.full(count, self._value, np.float32)
        begun = max(bisect_right(self._moves, first, key=_start) - 1, 0)
        for move in islice(self._moves, begun, None):
            if move.start >= first + count:
                break
            low = max(move.start - first, 0)
            done = np.arange(first + low - move.start + 1, first + count - move.start + 1, dtype=np.float64)
            share = np.minimum(done / max(move.length, 1), 1.0)
            values[low:] = np.where(share < 1.0, move.origin + (move.target - move.origin) * share, move.target)
        return values

    def forget(self, before: int) -> None:
        """Drops moves that no position from ``before`` on can see."""
        if not self._moves:
            return
        n_past = bisect_right(self._moves, before, key=_start)
        if not n_past:
            return
        last = self._moves[n_past - 1]
        if before - last.start + 1 >= last.length:
            self._value = last.target
        else:
            n_past -= 1
        del self._moves[:n_past]


def _start(move: _Move) -> int:
    return move.start
