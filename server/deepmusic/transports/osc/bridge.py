r"""The bridge: messages in, answers and news out. It knows no socket; ``endpoint`` has one.

::

    intake -> handle -> conductor -> streams
                 |          \-----> errands: styles, lists, /sync
                 \-> answers
    subscribers <- news <- a look at the streams, twenty times a second
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from itertools import chain, islice
from typing import TypeVar

from deepmusic.errors import BadParameter, NoCapacity
from deepmusic.session.parameters import PARAMETERS
from deepmusic.stage.performer import Performer
from deepmusic.stage.set_list import SetList
from deepmusic.transports.osc import answers
from deepmusic.transports.osc.answers import ReturnPath
from deepmusic.transports.osc.audio.messages import AUDIO_ADDRESSES, IN_PREFIX
from deepmusic.transports.osc.audio.streams import AudioStreams, Reception
from deepmusic.transports.osc.codec import Argument, decode
from deepmusic.transports.osc.conductor import Conductor
from deepmusic.transports.osc.counters import Count, Counters, OscStats
from deepmusic.transports.osc.errands import Errands
from deepmusic.transports.osc.gate import Gate, Network, Peer
from deepmusic.transports.osc.intake import Intake, Waiting
from deepmusic.transports.osc.moment import Moment
from deepmusic.transports.osc.namespace import QUESTIONS, Question
from deepmusic.transports.osc.ports import Senders, SessionDirectory, SessionOpener, StyleList
from deepmusic.transports.osc.stage import Stage, stage_news
from deepmusic.transports.osc.subscribers import EXPIRY_S, MAX_SUBSCRIBERS, Subscribers
from deepmusic.transports.osc.watch import LOOK_S, MAX_MESSAGES_A_LOOK, look, news

SLICE_S = 0.001
"""How long messages are carried out before everything else on the loop has its turn."""

MAX_LISTED = 32
"""Entries of one list that one question is answered with; the next question says where to go on."""

_log = logging.getLogger(__name__)

_Entry = TypeVar("_Entry")


class Bridge:
    """Drives the streams that run, as datagrams say. All methods are [loop], its making too.

    Args:
        sessions: The streams that run.
        styles: The library.
        send: Sends bytes to a peer; False where it cannot now.
        opener: Opens sessions for audio over OSC; ``None`` where none is served.
        senders: Hears who sends audio.
        networks: Allowed beside loopback.
        performer: Has the beat and the set; without one there is a beat alone.
        clock: Monotonic seconds, the same that the sessions have.
        wall_clock: Seconds since 1970; read for time tags alone.
    """

    def __init__(
        self,
        sessions: SessionDirectory,
        styles: StyleList,
        send: Callable[[bytes, Peer], bool],
        *,
        opener: SessionOpener | None = None,
        senders: Senders | None = None,
        networks: Iterable[Network] = (),
        performer: Performer | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._sessions = sessions
        self._styles = styles
        self._send = send
        self._clock = clock
        self._counters = Counters()
        self._subscribers = Subscribers(clock)
        self._has_subscribers = asyncio.Event()
        self._gate = Gate(networks, clock)
        self._intake = Intake(self._gate, self._path, self._counters, clock, wall_clock)
        self._errands = Errands(self._counters)
        self._performer = performer or Performer(sessions, SetList(), clock())
        self._stage = Stage(self._performer, self._errands, clock)
        self._conductor = Conductor(sessions, self._errands, self._counters, self._performer.metronome, clock)
        self._audio = AudioStreams(
            opener, senders, self._errands, self._subscribers.is_verified, send, self._counters, clock
        )

    @property
    def stats(self) -> OscStats:
        """What was done and what was not."""
        return self._counters.snapshot()

    def receive(self, datagram: bytes, address: tuple[str | int, ...]) -> None:
        """Takes a datagram; what is in it is carried out soon, and audio at once: its sound cannot wait."""
        if datagram.startswith(IN_PREFIX) and (peer := self._gate.peer(address)) is not None:
            reception = self._audio.receive(datagram, peer)
            if reception is not Reception.NO_AUDIO:
                self._counters.add(Count.DATAGRAMS)
                self._counters.add(Count.FLOODED, int(reception is Reception.TOO_MANY))
                return
        self._intake.receive(datagram, address)

    def admit(self, address: tuple[str | int, ...]) -> Peer | None:
        """Who connects; ``None`` for someone who may not."""
        return self._gate.peer(address, is_connected=True)

    def spend(self, peer: Peer, n_messages: int) -> bool:
        """Whether a peer may ask for so much now."""
        return self._gate.take(peer, n_messages)

    def offer(self, packet: bytes, peer: Peer) -> bool:
        """Takes a packet of a connection; False where it has to come again a little later."""
        if packet.startswith(IN_PREFIX):
            reception = self._audio.receive(packet, peer)
            if reception is not Reception.NO_AUDIO:
                self._counters.add(Count.DATAGRAMS, int(reception is Reception.TAKEN))
                return reception is Reception.TAKEN
        return self._intake.offer(packet, peer)

    def drop(self, why: Count) -> None:
        """Counts something that never became a packet."""
        self._counters.add(why)

    def forget(self, peer: Peer) -> None:
        """A connection has ended, and its subscription with it."""
        self._audio.forget(peer)
        self._subscribers.remove(peer)
        self._gate.forget(peer)

    def close(self) -> None:
        """Ends the streams of audio that are open."""
        self._audio.close()

    async def run(self) -> None:
        """Works until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._carry_out())
            tasks.create_task(self._errands.run())
            tasks.create_task(self._tell())
            tasks.create_task(self._audio.run())

    def work(self) -> bool:
        """Carries out what waits, for at most ``SLICE_S`` and the message in hand; whether more may be waiting."""
        end_s = self._clock() + SLICE_S
        while waiting := self._intake.take():
            self._handle(waiting)
            if self._clock() >= end_s:
                return True
        return False

    async def tell(self) -> None:
        """Tells the subscribers what is new, and lets everything else on the loop have its turn between two of them."""
        subscribers = self._subscribers.current()
        if not subscribers:
            self._has_subscribers.clear()
            return
        seen = [look(session) for session in self._sessions.running()]
        for peer, subscription in tuple(subscribers.items()):
            await asyncio.sleep(0)
            fresh = chain(stage_news(self._performer, subscription.stage), news(seen, subscription.told))
            for packet in islice(fresh, MAX_MESSAGES_A_LOOK):
                if not self._send(packet, peer):
                    self._counters.add(Count.WITHHELD)

    async def _carry_out(self) -> None:
        while True:
            await self._intake.filled.wait()
            self.work()
            await asyncio.sleep(0)

    async def _tell(self) -> None:
        while True:
            await self._has_subscribers.wait()
            try:
                await self.tell()
            except Exception:
                _log.exception("subscribers could not be told")
            await asyncio.sleep(LOOK_S)

    def _path(self, peer: Peer, n_bytes: int) -> ReturnPath:
        return ReturnPath(peer, n_bytes, self._subscribers.is_verified, self._send, self._counters)

    def _handle(self, waiting: Waiting) -> None:
        path, address = waiting.path, ""
        try:
            message = decode(waiting.packet)
            address = message.address
            question = QUESTIONS.get(address)
            if (audio := AUDIO_ADDRESSES.get(address)) is not None:
                self._audio.command(audio, message.arguments, path)
            elif question is None:
                self._conductor.control(message, waiting.moment, path)
            else:
                self._answer(question, message.arguments, waiting.moment, path)
        except Exception as error:
            path.refuse(address, error)

    def _answer(self, question: Question, arguments: Sequence[Argument], moment: Moment, path: ReturnPath) -> None:
        match question:
            case Question.TEMPO:
                self._stage.set_tempo(arguments, moment)
            case Question.DOWNBEAT:
                self._stage.downbeat(arguments, moment)
            case Question.CUE:
                self._stage.play(arguments, moment, path)
            case Question.CUES:
                cues = list(enumerate(self._performer.cues.cues, 1))
                self._list(question, cues, answers.cue, arguments, path)
            case Question.SESSIONS:
                sessions = self._sessions.running()
                self._list(question, sessions, answers.session, arguments, path)
            case Question.STYLES:
                self._list_styles(arguments, path)
            case Question.PARAMETERS:
                self._list(question, list(PARAMETERS.values()), answers.parameter, arguments, path)
            case Question.SYNC:
                self._sync(_whole(arguments, 0), path)
            case Question.NOTIFY:
                self._notify(arguments, path)
            case Question.STATUS:
                numbers = {"streams": len(self._sessions.running()), "subscribers": len(self._subscribers)}
                path.send(answers.status(numbers | asdict(self.stats)))
            case Question.VERSION:
                path.send(answers.version())

    def _list(
        self,
        question: Question,
        entries: Sequence[_Entry],
        written: Callable[[_Entry], bytes],
        arguments: Sequence[Argument],
        path: ReturnPath,
    ) -> None:
        first = max(_whole(arguments, 0), 0)
        for entry in entries[first : first + MAX_LISTED]:
            path.send(written(entry))
        path.send(answers.done(question.value, len(entries)))

    def _list_styles(self, arguments: Sequence[Argument], path: ReturnPath) -> None:
        async def errand() -> None:
            listings = await asyncio.to_thread(self._styles.listings)
            self._list(Question.STYLES, listings, answers.style, arguments, path)

        self._errands.put(Question.STYLES.value, path, errand)

    def _sync(self, number: int, path: ReturnPath) -> None:
        async def errand() -> None:
            path.send(answers.synced(number))

        self._errands.put(Question.SYNC.value, path, errand)

    def _notify(self, arguments: Sequence[Argument], path: ReturnPath) -> None:
        peer = path.peer
        if not _whole(arguments, 1):
            self._subscribers.remove(peer)
            path.send(answers.done(Question.NOTIFY.value, 0))
            return
        knows_token = len(arguments) > 1 and self._subscribers.knows_token(peer, _whole(arguments[1:], 0))
        if not (self._subscribers.is_verified(peer) or knows_token):
            path.send(answers.token(self._subscribers.token(peer)))
            return
        if not self._subscribers.add(peer):
            raise NoCapacity(f"expected at most {MAX_SUBSCRIBERS} subscribers, got more; end another's, or wait")
        self._has_subscribers.set()
        path.send(answers.done(Question.NOTIFY.value, EXPIRY_S))


def _whole(arguments: Sequence[Argument], otherwise: int) -> int:
    """The first argument as a whole number; Max and Pd send whole numbers as floats."""
    if not arguments:
        return otherwise
    if not isinstance(arguments[0], int | float):
        raise BadParameter("expected a whole number as the first argument, got something else")
    return round(arguments[0])
