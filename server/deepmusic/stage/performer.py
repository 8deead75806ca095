"""Plays cues: what a set, its beat and the streams that run come to. It knows neither who asks nor a clock.

::

    begin(cue)     now: where the set is, and the sample of each stream
    look_up()      on a thread: the styles, which lie in files
    hand_in()      back on the loop: every change, for the same sample, which is still to come
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from deepmusic.errors import DeepmusicError, NoCapacity
from deepmusic.model.style_share import StyleShare
from deepmusic.model.style_vector import StyleVector
from deepmusic.session.events import ChangeStyle, Control
from deepmusic.stage.cue_list import CueList
from deepmusic.stage.metronome import Metronome, Stream
from deepmusic.stage.set_list import Cue, SetList
from deepmusic.stage.tempo import Quantise, Tempo


class Facts(Protocol):
    """What is fixed for a stream's life."""

    @property
    def bundle_digest(self) -> str:
        """Of its bundle's manifest."""
        ...


class PlayedStream(Stream, Protocol):
    """A stream that cues are played on."""

    @property
    def facts(self) -> Facts:
        """[any] What is fixed for its life."""
        ...

    def offer(self, event: Control | ChangeStyle) -> bool:
        """[loop] Hands a change in, without waiting; False where it has no room for it."""
        ...

    def style(self, styles: Sequence[StyleShare]) -> StyleVector:
        """[any] Looks the styles up for the stream's bundle and blends them; reads files."""
        ...


class Streams(Protocol):
    """Knows the streams that run."""

    def running(self) -> Sequence[PlayedStream]:
        """[any] Those that are open, in the order of their opening."""
        ...


class Performer:
    """A set on its way through an evening. All methods are [loop].

    Args:
        streams: Those that cues are played on.
        cues: The set; an empty one still has a tempo.
        at_s: When the first bar begins, monotonic seconds.
    """

    def __init__(self, streams: Streams, cues: SetList, at_s: float) -> None:
        self._streams = streams
        self.metronome = Metronome(cues.tempo or Tempo(), at_s)
        """The beat of all streams."""
        self.cues = CueList(cues)
        """Where the set is."""

    def begin(self, cue: Cue, at_s: float) -> CuePlay:
        """Finds the sample of each stream on which a cue acts.

        Args:
            cue: What changes.
            at_s: It acts at this time, or at the first beat or bar behind it, as the cue says.
        """
        places = [(stream, self._place(stream, cue, at_s)) for stream in self._streams.running()]
        if cue.bpm is not None:
            tempo = Tempo(bpm=cue.bpm, beats_per_bar=self.metronome.tempo.beats_per_bar)
            self.metronome.set_tempo(tempo, at_s, cue.quantise)
        return CuePlay(cue, places)

    def _place(self, stream: PlayedStream, cue: Cue, at_s: float) -> int | None:
        if cue.quantise is Quantise.OFF:
            return stream.position_at(at_s)
        return self.metronome.boundary(stream, cue.quantise, at_s)


class CuePlay:
    """One cue on its way to the streams.

    Args:
        cue: What changes.
        places: The streams, and the input sample of each; ``None`` is the next one.
    """

    def __init__(self, cue: Cue, places: Sequence[tuple[PlayedStream, int | None]]) -> None:
        self._cue = cue
        self._places = places
        self._vectors: dict[str, StyleVector] = {}  # by bundle: streams of one bundle share a vector
        self._failure: DeepmusicError | None = None

    def look_up(self) -> None:
        """[any] Looks the cue's styles up for every bundle that plays; reads files."""
        for stream, _ in self._places:
            digest = stream.facts.bundle_digest
            if self._cue.styles and digest not in self._vectors:
                try:
                    self._vectors[digest] = stream.style(self._cue.styles)
                except DeepmusicError as error:  # what else the cue does is done all the same
                    self._failure = error

    def hand_in(self, at_s: float) -> int:
        """[loop] Hands the changes to the streams; gives the number of streams.

        Args:
            at_s: ``LEAD_S`` from now: a cue that waits for no beat, and whose moment passed while its styles were
                looked up, acts at this time.

        Raises:
            DeepmusicError: A style was not to be had, or a stream has no room; everything else was handed in.
        """
        n_refused = 0
        for stream, place in self._places:
            at_sample = self._still_to_come(stream, place, at_s)
            taken = [stream.offer(event) for event in self._events(stream, at_sample)]
            n_refused += not all(taken)
        if self._failure is not None:
            raise self._failure
        if n_refused:
            raise NoCapacity(f"{n_refused} of {len(self._places)} streams have no room for more changes; send fewer")
        return len(self._places)

    def _still_to_come(self, stream: PlayedStream, place: int | None, at_s: float) -> int | None:
        soon = stream.position_at(at_s) if self._cue.quantise is Quantise.OFF else None
        return place if soon is None else max(soon, place or 0)

    def _events(self, stream: PlayedStream, at_sample: int | None) -> list[Control | ChangeStyle]:
        rate_hz = stream.audio_format.sample_rate_hz
        ramp = None if self._cue.ramp_ms is None else round(self._cue.ramp_ms * rate_hz / 1000.0)
        events: list[Control | ChangeStyle] = [
            Control(name=setting.name, value=setting.value, at_sample=at_sample, ramp_samples=ramp)
            for setting in self._cue.settings
        ]
        vector = self._vectors.get(stream.facts.bundle_digest)
        if vector is not None:
            events.append(ChangeStyle(vector=vector, at_sample=at_sample, fade_samples=ramp))
        return events
