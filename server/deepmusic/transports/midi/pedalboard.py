"""What MIDI does to the beat and the set.

::

    clock, start, stop, continue,
    song position                    the beat follows
    a foot switch                    the next cue, or the one before it
    a program                        the cue of that number
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from deepmusic.errors import DeepmusicError
from deepmusic.stage.metronome import LEAD_S
from deepmusic.stage.midi_clock import MidiClock
from deepmusic.stage.performer import CuePlay, Performer
from deepmusic.stage.set_list import Cue, MidiMap
from deepmusic.stage.tempo import Tempo
from deepmusic.transports.midi.messages import (
    Continue,
    Controller,
    Program,
    SongPosition,
    Start,
    Stop,
    Tick,
    read_message,
)

ON_FROM = 64
"""MIDI 1.0: a switch is on from here."""

MAX_WAITING_CUES = 16
"""Cues that wait for their styles to be looked up; one more is dropped, and said in the log."""

_log = logging.getLogger(__name__)


class Pedalboard:
    """Carries out what comes from one port. All methods are [loop].

    Args:
        performer: Has the beat and the set.
        switches: Which controller does what.
        clock: Monotonic seconds.
    """

    def __init__(self, performer: Performer, switches: MidiMap, clock: Callable[[], float]) -> None:
        self._performer = performer
        self._switches = switches
        self._clock = clock
        self._midi_clock = MidiClock()
        self._pressed: set[int] = set()  # controllers that are on; at most two matter
        self._waiting: asyncio.Queue[CuePlay] = asyncio.Queue(MAX_WAITING_CUES)

    def take(self, data: bytes, at_s: float) -> None:
        """A message has come.

        Args:
            data: As it came.
            at_s: When, monotonic seconds.
        """
        match read_message(data):
            case Tick():
                self._tick(at_s)
            case Start():
                self._midi_clock.start()
            case Stop():
                self._midi_clock.stop()
            case Continue():
                self._midi_clock.resume()
            case SongPosition() as moved:
                self._midi_clock.position(moved.sixteenths)
            case Controller() as controller if self._is_heard(controller.channel):
                self._press(controller)
            case Program() as program if self._is_heard(program.channel):
                self._play(lambda: self._performer.cues.go(program.number))
            case _:
                pass

    def let_go(self) -> None:
        """The port has gone: what a foot held down then is not down any more, whatever was not said of it."""
        self._pressed.clear()

    async def run(self) -> None:
        """Plays cues, one after another, until it is cancelled."""
        while True:
            playing = await self._waiting.get()
            try:
                await asyncio.to_thread(playing.look_up)
                playing.hand_in(self._clock() + LEAD_S)
            except DeepmusicError as error:
                _log.warning("a cue was not played in full: %s", error.message)
            except Exception:
                _log.exception("a cue failed; the next one is played all the same")

    def _is_heard(self, channel: int) -> bool:
        return self._switches.channel is None or channel == self._switches.channel

    def _tick(self, at_s: float) -> None:
        beat = self._midi_clock.tick(at_s)
        if beat is not None:
            metronome = self._performer.metronome
            tempo = Tempo(bpm=beat.bpm, beats_per_bar=metronome.tempo.beats_per_bar)
            metronome.align(tempo, beat.beat, beat.at_s)

    def _press(self, controller: Controller) -> None:
        """A switch acts when it goes on; a pedal that says so again and again acts once."""
        number = controller.number
        if controller.value < ON_FROM:
            self._pressed.discard(number)
        elif number not in self._pressed:
            self._pressed.add(number)
            if number == self._switches.next:
                self._play(self._performer.cues.next)
            elif number == self._switches.previous:
                self._play(self._performer.cues.previous)

    def _play(self, step: Callable[[], Cue]) -> None:
        if self._waiting.full():
            _log.warning("expected cues a second apart at most, got more at once; one is dropped")
            return
        try:
            cue = step()
        except DeepmusicError as error:
            _log.warning("a foot switch: %s", error.message)
            return
        self._waiting.put_nowait(self._performer.begin(cue, self._clock() + LEAD_S))
