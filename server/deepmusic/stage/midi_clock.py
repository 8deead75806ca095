"""Follows a MIDI clock: 24 ticks a beat, which come when a cable and two machines let them.

A line is laid through the ticks of the last beats. Its slope is the tempo, and it says where a beat really was, however
late its own tick came.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from deepmusic.stage.tempo import HIGHEST_BPM, LOWEST_BPM

TICKS_PER_BEAT = 24
"""MIDI 1.0, timing clock."""

TICKS_PER_SIXTEENTH = 6
"""MIDI 1.0: what a song position counts."""

KEPT_TICKS = 4 * TICKS_PER_BEAT
"""How many ticks the line is laid through, at most: four beats, so that a new tempo is followed within a bar."""

FEWEST_TICKS = TICKS_PER_BEAT // 2
"""How many it needs, at least."""

LONGEST_REST_S = 60.0 / LOWEST_BPM / TICKS_PER_BEAT * 2.0
"""After a longer rest the clock has stopped, and a new line begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockBeat:
    """A beat of the clock."""

    bpm: float
    """How fast it runs."""
    beat: int
    """Beats since the start of the song, 0 for the first."""
    at_s: float
    """When the beat is, monotonic seconds."""


class MidiClock:
    """Takes a clock's messages with the times of their arrival, and says where the beats are."""

    def __init__(self) -> None:
        self._n_ticks = -1  # of the last tick, counted from the start of the song
        self._ticks: deque[tuple[int, float]] = deque(maxlen=KEPT_TICKS)
        self._stopped_at: int | None = None  # the last tick of a song that stands still, while the clock runs on

    def start(self) -> None:
        """The song begins: the next tick is its first beat."""
        self._stopped_at = None
        self.position(0)

    def stop(self) -> None:
        """The song stands still. Its beats go on with the ticks, as those of a stage do that waits for it."""
        if self._stopped_at is None:
            self._stopped_at = self._n_ticks

    def resume(self) -> None:
        """The song goes on with the next tick, where it stood: what ticked meanwhile was none of it."""
        if self._stopped_at is not None:
            self._move(self._stopped_at)
            self._stopped_at = None

    def position(self, sixteenths: int) -> None:
        """The song is moved to a place, where the next tick is; a clock that runs on keeps its tempo."""
        self._move(sixteenths * TICKS_PER_SIXTEENTH - 1)
        if self._stopped_at is not None:
            self._stopped_at = self._n_ticks

    def _move(self, to: int) -> None:
        """The last tick was this one of the song."""
        before, self._n_ticks = self._n_ticks, to
        moved = [(tick + self._n_ticks - before, at_s) for tick, at_s in self._ticks]
        self._ticks = deque(moved, maxlen=KEPT_TICKS)

    def tick(self, at_s: float) -> ClockBeat | None:
        """A timing clock has come; the beat, where it is one and the tempo is known."""
        if self._ticks and at_s - self._ticks[-1][1] > LONGEST_REST_S:
            self._ticks.clear()
        self._n_ticks += 1
        self._ticks.append((self._n_ticks, at_s))
        if self._n_ticks % TICKS_PER_BEAT or len(self._ticks) < FEWEST_TICKS:
            return None
        tick_s, at_s = self._line()
        bpm = 60.0 / (tick_s * TICKS_PER_BEAT) if tick_s > 0.0 else 0.0
        if not LOWEST_BPM <= bpm <= HIGHEST_BPM:
            return None
        return ClockBeat(bpm=bpm, beat=self._n_ticks // TICKS_PER_BEAT, at_s=at_s)

    def _line(self) -> tuple[float, float]:
        """Seconds from tick to tick, and the time of the last one, by least squares."""
        count = len(self._ticks)
        mean_tick = sum(tick for tick, _ in self._ticks) / count
        mean_s = sum(at_s for _, at_s in self._ticks) / count
        spread = sum((tick - mean_tick) ** 2 for tick, _ in self._ticks)
        tick_s = sum((tick - mean_tick) * (at_s - mean_s) for tick, at_s in self._ticks) / spread
        return tick_s, mean_s + tick_s * (self._n_ticks - mean_tick)
