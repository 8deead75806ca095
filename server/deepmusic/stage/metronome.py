"""One tempo for all streams, and the beats of each as its own samples.

The metronome's own grid lies on the machine's clock, in microseconds. A stream is brought onto it once; from then on
its beats are counted in its samples, evenly, however its blocks arrive. A downbeat, or an outer
clock that is followed, brings it there anew, and so does its audio after a rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol
from weakref import WeakKeyDictionary

from deepmusic.audio import AudioFormat
from deepmusic.stage.tempo import Quantise, Tempo, TempoMap

LEAD_S = 0.005
"""What is asked for now is asked for so much later, so that it is with the stream before the block that holds the beat:
with less time to a beat it waits for the next one."""

MOST_APART_S = 0.05
"""A stream that is further from where it should be has rested, or its positions have jumped."""

DRIFT = 500e-6
"""How much faster or slower a sound card's clock may run than the machine's: five times what a cheap one does."""

_MICROSECONDS = 1_000_000


class Stream(Protocol):
    """A stream, as far as its time goes."""

    @property
    def audio_format(self) -> AudioFormat:
        """Rate and channels."""
        ...

    def position_at(self, at_s: float) -> int | None:
        """The sample that comes in at a time of the machine's clock; ``None`` where that cannot be told."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Placed:
    beats: TempoMap
    at_s: float
    position: int

    def is_still_so(self, at_s: float, position: int) -> bool:
        """Whether the stream ran on in between."""
        elapsed_s = at_s - self.at_s
        apart_s = abs((position - self.position) / self.beats.rate_hz - elapsed_s)
        return apart_s <= MOST_APART_S + DRIFT * abs(elapsed_s)


class Metronome:
    """Counts the beats. Time comes in with every call, in monotonic seconds, the clock by which streams are placed.

    Args:
        tempo: The tempo to begin with.
        at_s: When a bar begins.
    """

    def __init__(self, tempo: Tempo, at_s: float) -> None:
        self._grid = TempoMap(tempo=tempo, rate_hz=_MICROSECONDS, origin=Fraction(_microseconds(at_s)))
        self._placed: WeakKeyDictionary[Stream, _Placed] = WeakKeyDictionary()

    @property
    def tempo(self) -> Tempo:
        """How fast it is, or will be where a change waits for its beat or bar."""
        return self._grid.tempo

    def set_tempo(self, tempo: Tempo, at_s: float, quantise: Quantise = Quantise.OFF) -> None:
        """Another tempo, from a time or from the first beat or bar behind it on; the beats before it count on."""
        self._grid = _changed(self._grid, tempo, quantise, _microseconds(at_s))
        self._replace(at_s, lambda beats, position: _changed(beats, tempo, quantise, position))

    def downbeat(self, at_s: float) -> None:
        """A bar begins at that time."""
        self.align(self.tempo, 0, at_s)

    def align(self, tempo: Tempo, beat: int, at_s: float) -> None:
        """An outer clock says where a beat is.

        Args:
            tempo: How fast it is.
            beat: Beats since a bar began.
            at_s: When that beat is.
        """
        self._grid = self._grid.aligned(tempo, beat, _microseconds(at_s))
        self._replace(at_s, lambda beats, position: beats.aligned(tempo, beat, position))

    def boundary(self, stream: Stream, quantise: Quantise, at_s: float) -> int | None:
        """The input sample of a stream on which a change acts that is asked for at a time.

        Args:
            stream: Whose sample.
            quantise: What is waited for.
            at_s: The first beat or bar at this time or behind it is meant; for now, ``LEAD_S`` from now.

        Returns:
            ``None``, at once, where nothing is waited for, or where the stream has no such sample: it is not live, or
            its audio has stopped.
        """
        if quantise is Quantise.OFF:
            return None
        position = stream.position_at(at_s)
        if position is None:
            return None
        placed = self._placed.get(stream)
        beats = placed.beats if placed is not None and placed.is_still_so(at_s, position) else None
        if beats is None:
            beats = self._grid.on_clock(stream.audio_format.sample_rate_hz, position, _microseconds(at_s))
        self._placed[stream] = _Placed(beats=beats, at_s=at_s, position=position)
        return beats.next_boundary(quantise, position)

    def _replace(self, at_s: float, change: Callable[[TempoMap, int], TempoMap]) -> None:
        for stream, placed in tuple(self._placed.items()):
            position = stream.position_at(at_s)
            if position is None or not placed.is_still_so(at_s, position):
                del self._placed[stream]  # it is brought onto the grid anew when it is asked for
            else:
                self._placed[stream] = _Placed(beats=change(placed.beats, position), at_s=at_s, position=position)


def _changed(beats: TempoMap, tempo: Tempo, quantise: Quantise, position: int) -> TempoMap:
    return beats.changed(tempo, beats.next_boundary(quantise, position))


def _microseconds(at_s: float) -> int:
    return round(at_s * _MICROSECONDS)
