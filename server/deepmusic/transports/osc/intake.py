"""Datagrams in, messages that wait for their turn out: nothing of it takes longer than its bytes.

::

    datagram -> gate -> guard -> time tags -> a bounded queue -> (the bridge, a slice at a time)
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from deepmusic.errors import MalformedMessage
from deepmusic.transports.osc.answers import ReturnPath
from deepmusic.transports.osc.counters import Count, Counters
from deepmusic.transports.osc.datagram import IMMEDIATELY, CheckedMessage, messages_of
from deepmusic.transports.osc.gate import Gate, Peer
from deepmusic.transports.osc.moment import Moment
from deepmusic.transports.osc.time_tag import seconds_ahead

MAX_WAITING = 1024
"""Messages that wait for their turn. A datagram that does not fit is dropped whole: half a bundle is no bundle."""

LONGEST_AHEAD_S = 60.0
"""Time tags further ahead are taken for a wrong clock and dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A message that waits for its turn."""

    packet: bytes
    """Checked."""
    moment: Moment
    """When it is to act; one for all messages of a bundle."""
    path: ReturnPath
    """To who sent it."""


class Intake:
    """Takes datagrams. All methods are [loop].

    Args:
        gate: Admits sources.
        path_to: The way back to the sender of a datagram of so many bytes.
        counters: Counts what is dropped.
        clock: Monotonic seconds.
        wall_clock: Seconds since 1970; read for time tags alone.
    """

    def __init__(
        self,
        gate: Gate,
        path_to: Callable[[Peer, int], ReturnPath],
        counters: Counters,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
    ) -> None:
        self._gate = gate
        self._path_to = path_to
        self._counters = counters
        self._clock = clock
        self._wall_clock = wall_clock
        self._waiting: deque[Waiting] = deque()  # bounded by MAX_WAITING
        self.filled = asyncio.Event()
        """Set while something waits."""

    def receive(self, datagram: bytes, address: tuple[str | int, ...]) -> None:
        """Takes a datagram, or drops it and counts why."""
        self._counters.add(Count.DATAGRAMS)
        peer = self._gate.peer(address)
        if peer is None:
            self._counters.add(Count.FOREIGN)
            return
        if not self._gate.take(peer, 1):
            self._counters.add(Count.FLOODED)
            return
        messages = _checked(datagram)
        if messages is None:
            self._counters.add(Count.MALFORMED)
        elif len(messages) > 1 and not self._gate.take(peer, len(messages) - 1):
            self._counters.add(Count.FLOODED)
        elif len(self._waiting) + len(messages) > MAX_WAITING:
            self._counters.add(Count.BUSY)
        else:
            self._queue(messages, self._path_to(peer, len(datagram)))

    def offer(self, packet: bytes, peer: Peer) -> bool:
        """Takes a packet of a connection, or drops it for good; False where it has to come again a little later."""
        messages = _checked(packet)
        n_messages = len(messages) if messages else 1
        if len(self._waiting) + n_messages > MAX_WAITING or not self._gate.take(peer, n_messages):
            return False
        self._counters.add(Count.DATAGRAMS)
        if messages is None:
            self._counters.add(Count.MALFORMED)
        else:
            self._queue(messages, self._path_to(peer, len(packet)))
        return True

    def take(self) -> Waiting | None:
        """The next message, if there is one."""
        if not self._waiting:
            self.filled.clear()
            return None
        return self._waiting.popleft()

    def _queue(self, messages: list[CheckedMessage], path: ReturnPath) -> None:
        now_s, wall_s = self._clock(), self._wall_clock()
        moments: dict[int, Moment] = {IMMEDIATELY: Moment()}
        for message in messages:
            ahead_s = seconds_ahead(message.time_tag, wall_s) if message.time_tag != IMMEDIATELY else None
            if ahead_s is not None:
                if ahead_s > LONGEST_AHEAD_S:
                    self._counters.add(Count.TOO_EARLY)
                    continue
                if ahead_s <= 0.0:
                    self._counters.add(Count.LATE)
                due_s = now_s + ahead_s if ahead_s > 0.0 else None
                moments.setdefault(message.time_tag, Moment(due_s=due_s))
            self._counters.add(Count.MESSAGES)
            self._waiting.append(Waiting(packet=message.packet, moment=moments[message.time_tag], path=path))
            self.filled.set()


def _checked(datagram: bytes) -> list[CheckedMessage] | None:
    """What has passed the guard; ``None`` where nothing may."""
    try:
        return messages_of(datagram)
    except MalformedMessage:
        return None
