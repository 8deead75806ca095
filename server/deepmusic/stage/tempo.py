"""The beats of one clock as positions: where the next beat or bar begins, to the sample.

::

    beat        1       2       3       4       1       2
                |       |       |       |       |       |
    position  origin    :                       : next bar
                        : next beat, where a change is asked for in between

A tempo that begins at the next bar leaves the beats up to there as they are: each grid knows the one before it.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Self

from deepmusic.errors import BadConfig

LOWEST_BPM, HIGHEST_BPM = 20.0, 999.0
"""Beats per minute that a tempo may have: what drum machines and DAWs offer."""

MOST_BEATS_PER_BAR = 32
"""Longest bar."""

KEPT_CHANGES = 4
"""Changes that may lie ahead; of more than so many, the beats before the first of them are those behind it."""


class Quantise(enum.Enum):
    """Which boundary a change waits for."""

    OFF = "off"
    """None: it acts at once."""
    BEAT = "beat"
    """The next beat."""
    BAR = "bar"
    """The next first beat of a bar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tempo:
    """How fast, and how many beats make a bar.

    Raises:
        BadConfig: A value is out of its range.
    """

    bpm: float = 120.0
    """Beats per minute, 20 to 999."""
    beats_per_bar: int = 4
    """1 to 32."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.bpm) and LOWEST_BPM <= self.bpm <= HIGHEST_BPM):
            raise BadConfig(
                f"expected a tempo of {LOWEST_BPM:g} to {HIGHEST_BPM:g} beats per minute, got {self.bpm:g}", field="bpm"
            )
        if not 1 <= self.beats_per_bar <= MOST_BEATS_PER_BAR:
            raise BadConfig(
                f"expected 1 to {MOST_BEATS_PER_BAR} beats in a bar, got {self.beats_per_bar}", field="beats_per_bar"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class TempoMap:
    """A grid of beats over the positions of one clock. Arithmetic is exact: beat 100 000 is where it belongs.

    The grid reaches both ways: what lies before ``origin`` has beats too, unless another grid holds there.
    """

    tempo: Tempo
    """How fast, and how long a bar is."""
    rate_hz: int
    """Positions a second: a stream's sample rate."""
    origin: Fraction
    """Position of a first beat of a bar; need not be whole."""
    begins: int = 0
    """From this position on it holds, where there is a grid before it."""
    before: Self | None = None
    """The grid that holds up to there; ``None``: this one always has."""

    @property
    def beat_length(self) -> Fraction:
        """Positions from one beat to the next."""
        return _beat_length(self.tempo, self.rate_hz)

    def beat_at(self, position: Fraction | int) -> Fraction:
        """Beats since ``origin``, a whole number on a beat."""
        return (position - self.origin) / self.beat_length

    def position_of(self, beat: int) -> int:
        """The whole position nearest to a beat, counted from ``origin``."""
        return _nearest(self.origin + beat * self.beat_length)

    def next_boundary(self, quantise: Quantise, position: int) -> int:
        """The first position, this one or a later one, on which a change may act."""
        if quantise is Quantise.OFF:
            return position
        if self.before is not None and position < self.begins:
            earlier = self.before.next_boundary(quantise, position)
            if earlier < self.begins:
                return earlier
            position = self.begins
        stride = self.tempo.beats_per_bar if quantise is Quantise.BAR else 1
        # Half a position earlier, since a beat may have been rounded up to the position that is asked about.
        beat = math.floor(self.beat_at(position - Fraction(1, 2)) / stride) * stride
        while self.position_of(beat) < position:
            beat += stride
        return self.position_of(beat)

    def changed(self, tempo: Tempo, position: int) -> Self:
        """The grid from a change of tempo on: the beat that runs at ``position`` runs on at the new tempo.

        The beats before it stay. A change that was to come later is given up.
        """
        running = self._holding(position)
        begun = running.beat_at(position)
        if running.position_of(round(begun)) == position:  # beats lie between positions; on the nearest it has begun
            begun = Fraction(round(begun))
        return self.aligned(tempo, begun % running.tempo.beats_per_bar, position)

    def aligned(self, tempo: Tempo, beat: Fraction | int, position: int) -> Self:
        """The grid whose beat so many, counted from a first beat of a bar, lies at ``position``, where it begins."""
        return type(self)(
            tempo=tempo,
            rate_hz=self.rate_hz,
            origin=position - beat * _beat_length(tempo, self.rate_hz),
            begins=position,
            before=self._holding(position - 1)._shortened(KEPT_CHANGES),
        )

    def on_clock(self, rate_hz: int, position: int, at: int) -> Self:
        """The same beats as positions of another clock, whose ``position`` is this one's ``at``."""

        def placed(here: Fraction | int) -> Fraction:
            return position + (here - at) * Fraction(rate_hz, self.rate_hz)

        before = None if self.before is None else self.before.on_clock(rate_hz, position, at)
        return type(self)(
            tempo=self.tempo,
            rate_hz=rate_hz,
            origin=placed(self.origin),
            begins=_nearest(placed(self.begins)),
            before=before,
        )

    def _holding(self, position: int) -> Self:
        """The grid that holds at a position."""
        return self if self.before is None or position >= self.begins else self.before._holding(position)

    def _shortened(self, n_changes: int) -> Self:
        """With so many grids before it at most."""
        if self.before is None:
            return self
        return replace(self, before=self.before._shortened(n_changes - 1) if n_changes > 1 else None)


def _beat_length(tempo: Tempo, rate_hz: int) -> Fraction:
    return 60 * rate_hz / Fraction(tempo.bpm)


def _nearest(position: Fraction) -> int:
    return math.floor(position + Fraction(1, 2))
