"""Carries controls to the streams that they are for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from deepmusic.errors import AddressUnknown, DeepmusicError, NoCapacity
from deepmusic.model.style_vector import StyleVector
from deepmusic.session.events import ChangeStyle, Control
from deepmusic.session.parameters import PARAMETERS
from deepmusic.stage.metronome import Metronome
from deepmusic.transports.osc.answers import ReturnPath, done
from deepmusic.transports.osc.codec import Message
from deepmusic.transports.osc.counters import Count, Counters
from deepmusic.transports.osc.errands import Errands
from deepmusic.transports.osc.moment import Moment
from deepmusic.transports.osc.namespace import (
    AT,
    ON,
    SetNumber,
    SetStyle,
    read_at,
    read_change,
    read_on,
    stream_part,
    target,
)
from deepmusic.transports.osc.ports import LiveSession, SessionDirectory


class Conductor:
    """Changes parameters of streams. All methods are [loop].

    Args:
        sessions: The streams that run.
        errands: Looks styles up.
        counters: Counts what fails.
        metronome: Knows the beats.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        sessions: SessionDirectory,
        errands: Errands,
        counters: Counters,
        metronome: Metronome,
        clock: Callable[[], float],
    ) -> None:
        self._sessions = sessions
        self._errands = errands
        self._counters = counters
        self._metronome = metronome
        self._clock = clock

    def control(self, message: Message, moment: Moment, path: ReturnPath) -> None:
        """Carries out a control; numbers are silent where all is well, styles are answered once they are looked up.

        Args:
            message: Its address may match several parameters: each is tried, and each failure answered.
            moment: When it is to act, unless it names a sample itself.
            path: To who asked.

        Raises:
            AddressUnknown: There is no such parameter, or no stream of that name.
            MalformedMessage: A pattern is broken.
        """
        address = message.address
        meant = target(address)
        if not meant.parameters:
            raise AddressUnknown(f"expected an address such as /deepmusic/strength, got {address[:64]!r}")
        sessions = self._sessions.running()
        if meant.stream is not None:
            sessions = [session for session in sessions if meant.stream.matches(stream_part(session.name))]
            if not sessions:
                raise AddressUnknown(f"no stream is named so: {address[:64]!r}; ask /deepmusic/sessions")
        for name in meant.parameters:
            when = moment
            try:
                if name == AT:
                    sample, change = read_at(message.arguments)
                    when = Moment(sample=sample)
                elif name == ON:
                    quantise, change = read_on(message.arguments)
                    when = moment.quantised(self._metronome, quantise, self._clock())
                else:
                    change = read_change(PARAMETERS[name], message.arguments)
                if isinstance(change, SetNumber):
                    self._move(sessions, change, when)
                else:
                    self._restyle(address, sessions, change, when, path)
            except DeepmusicError as error:
                path.refuse(address, error)

    def _move(self, sessions: Sequence[LiveSession], change: SetNumber, moment: Moment) -> None:
        taken = [
            session.offer(
                Control(
                    name=change.parameter.name,
                    value=change.value,
                    at_sample=moment.sample_of(session),
                    ramp_samples=_samples(change.ramp_ms, session),
                )
            )
            for session in sessions
        ]
        self._check_all_taken(taken)

    def _restyle(
        self, address: str, sessions: Sequence[LiveSession], change: SetStyle, moment: Moment, path: ReturnPath
    ) -> None:
        async def errand() -> None:
            vectors: dict[str, StyleVector] = {}  # streams of one bundle share a vector
            taken: list[bool] = []
            failure: DeepmusicError | None = None
            for session in sessions:
                digest = session.facts.bundle_digest
                if digest not in vectors:
                    try:
                        vectors[digest] = await asyncio.to_thread(session.style, change.styles)
                    except DeepmusicError as error:  # of one bundle; the streams of others are changed all the same
                        failure = error
                        continue
                event = ChangeStyle(
                    vector=vectors[digest],
                    at_sample=moment.sample_of(session),
                    fade_samples=_samples(change.fade_ms, session),
                )
                taken.append(session.offer(event))
            if failure is not None:
                raise failure
            self._check_all_taken(taken)
            path.send(done(address, len(sessions)))

        self._errands.put(address, path, errand, instead_of=(path.peer, address) if moment.is_at_once else None)

    def _check_all_taken(self, taken: Sequence[bool]) -> None:
        if n_refused := taken.count(False):
            self._counters.add(Count.BUSY, n_refused)
            raise NoCapacity(f"{n_refused} of {len(taken)} streams have no room for more changes; send fewer")


def _samples(milliseconds: float | None, session: LiveSession) -> int | None:
    return None if milliseconds is None else round(milliseconds * session.audio_format.sample_rate_hz / 1000.0)
