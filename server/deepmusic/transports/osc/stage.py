"""The beat and the set over OSC: a tempo, a downbeat, a cue, and what subscribers hear of them.

::

    /deepmusic/tempo 126.5 4        the running beat runs on, faster or slower
    /deepmusic/downbeat             a bar begins now, or at the bundle's time tag
    /deepmusic/cue next             prev, go NAME, go NUMBER
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from deepmusic.errors import BadParameter
from deepmusic.stage.metronome import LEAD_S
from deepmusic.stage.performer import Performer
from deepmusic.stage.set_list import Cue
from deepmusic.stage.tempo import Tempo
from deepmusic.transports.osc.answers import Answer, ReturnPath, done
from deepmusic.transports.osc.codec import Argument, encode
from deepmusic.transports.osc.errands import Errands
from deepmusic.transports.osc.moment import Moment
from deepmusic.transports.osc.namespace import Question

_SHOWN_DIGITS = 1
"""Of a tempo, behind the point: a clock that is followed trembles below that."""


@dataclass(slots=True)
class StageTold:
    """What one subscriber knows of the beat and the set."""

    tempo: tuple[float, int] | None = None
    """Beats per minute, beats of a bar."""
    cue: int | None = None
    """Number of the last one."""


class Stage:
    """Carries out what concerns the beat and the set. All methods are [loop].

    Args:
        performer: Has both.
        errands: Looks styles up, one cue after another.
        clock: Monotonic seconds.
    """

    def __init__(self, performer: Performer, errands: Errands, clock: Callable[[], float]) -> None:
        self._performer = performer
        self._errands = errands
        self._clock = clock

    def set_tempo(self, arguments: Sequence[Argument], moment: Moment) -> None:
        """Takes beats per minute and, if they are to change, the beats of a bar.

        Raises:
            BadParameter: The arguments are no tempo.
            BadConfig: It is out of range.
        """
        metronome = self._performer.metronome
        beats = metronome.tempo.beats_per_bar
        match tuple(arguments):
            case (int() | float() as bpm,):
                pass
            case (int() | float() as bpm, int() | float() as wanted):
                beats = round(wanted)
            case _:
                raise BadParameter("expected beats per minute, and the beats of a bar; got something else")
        metronome.set_tempo(Tempo(bpm=float(bpm), beats_per_bar=beats), moment.time_s(self._clock()))

    def downbeat(self, arguments: Sequence[Argument], moment: Moment) -> None:
        """A bar begins; a button that is let go (0) says nothing."""
        if not arguments or arguments[0]:
            self._performer.metronome.downbeat(moment.time_s(self._clock()))

    def play(self, arguments: Sequence[Argument], moment: Moment, path: ReturnPath) -> None:
        """Plays a cue, and answers with its number once it is with the streams.

        Raises:
            BadParameter: There is no such cue.
            NoCapacity: Too many commands wait.
        """
        self._errands.check_room()  # first: a cue that is refused must not move the set
        now_s = self._clock()
        cue = self._cue(arguments)
        number = self._performer.cues.number
        playing = self._performer.begin(cue, max(moment.time_s(now_s), now_s + LEAD_S))

        async def errand() -> None:
            await asyncio.to_thread(playing.look_up)
            playing.hand_in(self._clock() + LEAD_S)
            path.send(done(Question.CUE.value, number))

        self._errands.put(Question.CUE.value, path, errand)

    def _cue(self, arguments: Sequence[Argument]) -> Cue:
        cues = self._performer.cues
        match tuple(arguments):
            case ("next",):
                return cues.next()
            case ("prev",):
                return cues.previous()
            case ("go", str() as name):
                return cues.go(name)
            case ("go", int() | float() as number):
                return cues.go(round(number))
            case _:
                raise BadParameter("expected next, prev, or go and a cue's name or number; got something else")


def stage_news(performer: Performer, told: StageTold) -> Iterator[bytes]:
    """Messages about what a subscriber does not know yet; each counts as told once it is taken.

    Args:
        performer: Has the beat and the set.
        told: What it knows; changed.
    """
    now, cues = performer.metronome.tempo, performer.cues
    tempo = (round(now.bpm, _SHOWN_DIGITS), now.beats_per_bar)
    if told.tempo != tempo:
        told.tempo = tempo
        yield encode(Answer.TEMPO_NOW.value, "fi", *tempo)
    if len(cues) and told.cue != cues.number:
        told.cue = cues.number
        name = cues.current.name if cues.current is not None else ""
        yield encode(Answer.CUE_NOW.value, "isi", cues.number, name, len(cues))
