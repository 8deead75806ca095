"""One rig over TCP: bytes in, packets to the bridge, answers out, and never more of either than there is room for.

TCP can wait, so what the budget does not allow yet is not dropped as a datagram is: it stays where it is, nothing more
is read, and the sender's own system holds it back. A rig that does not read its answers loses those that do not fit,
and after a while the connection.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Protocol, cast

from deepmusic.errors import MalformedMessage
from deepmusic.transports.osc.counters import Count
from deepmusic.transports.osc.framing import Unframer
from deepmusic.transports.osc.gate import Peer

READ_BYTES = 4096
"""Bytes that are read at a time; with the packet that they complete, all that is held of what came."""

MAX_PACKETS_A_TURN = 32
"""Packets that are taken before everything else on the loop has its turn."""

REST_S = 0.005
"""How long nothing is read after so many, or after one that the budget does not allow yet."""

MAX_UNSENT_BYTES = 65536
"""Answers that wait for a rig to read, in bytes; further ones are withheld and counted."""

SLOW_READER_S = 5.0
"""A rig that leaves half of them unread for so long is cut off."""

DEAD_AFTER_S = 30
"""A rig that vanished without a word (a cable, a battery) is noticed after about so long, by the system's probes."""

_PROBES = 3


class PacketSink(Protocol):
    """Where packets go; ``Bridge`` is one."""

    def offer(self, packet: bytes, peer: Peer) -> bool:
        """[loop] Takes a packet of a connection; False where it has to come again a little later."""
        ...

    def drop(self, why: Count) -> None:
        """[loop] Counts something that never became a packet."""
        ...

    def forget(self, peer: Peer) -> None:
        """[loop] A connection has ended."""
        ...


class Connection(asyncio.BufferedProtocol):
    """A connection from its handshake to its end. All methods are [loop].

    Args:
        peer: Who has connected.
        sink: Takes its packets.
        ended: Called with it at its end.
    """

    def __init__(self, peer: Peer, sink: PacketSink, ended: Ended) -> None:
        self.peer = peer
        self.heard_s = 0.0
        """When something came last, by the loop's clock."""
        self._sink = sink
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._space = bytearray(READ_BYTES)
        self._unframer = Unframer()
        self._held: bytes | None = None
        self._transport: asyncio.Transport | None = None
        self._rest: asyncio.TimerHandle | None = None
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begins."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=MAX_UNSENT_BYTES // 2)
        self.heard_s = self._loop.time()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends, whoever wanted it."""
        for timer in (self._rest, self._patience):
            if timer is not None:
                timer.cancel()
        self._transport = None
        self._sink.forget(self.peer)
        self._ended(self)

    def get_buffer(self, sizehint: int) -> bytearray:
        """Room for what is read next."""
        return self._space

    def buffer_updated(self, nbytes: int) -> None:
        """Takes what has been read."""
        self.heard_s = self._loop.time()
        self._unframer.push(bytes(self._space[:nbytes]))
        self._work()

    def pause_writing(self) -> None:
        """The rig has stopped reading."""
        self._patience = self._loop.call_later(SLOW_READER_S, self.abort)

    def resume_writing(self) -> None:
        """It reads again."""
        if self._patience is not None:
            self._patience.cancel()

    def send(self, packet: bytes) -> bool:
        """Answers; False where the rig does not read, or has said nothing yet and so has no framing."""
        transport, framing = self._transport, self._unframer.framing
        if transport is None or framing is None or transport.is_closing():
            return False
        if transport.get_write_buffer_size() + len(packet) > MAX_UNSENT_BYTES:
            return False
        transport.write(framing.frame(packet))
        return True

    def abort(self) -> None:
        """Ends it at once; answers that wait are lost."""
        if self._transport is not None:
            self._transport.abort()

    def _work(self) -> None:
        self._rest = None
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        for _ in range(MAX_PACKETS_A_TURN):
            try:
                packet = self._held if self._held is not None else self._unframer.next()
            except MalformedMessage:
                self._sink.drop(Count.MALFORMED)
                if self._unframer.is_lost:
                    transport.abort()
                    return
                continue
            if packet is None:
                transport.resume_reading()
                return
            self._held = None if self._sink.offer(packet, self.peer) else packet
            if self._held is not None:
                break
        transport.pause_reading()
        self._rest = self._loop.call_later(REST_S, self._work)


class Ended(Protocol):
    """Hears of a connection's end."""

    def __call__(self, connection: Connection, /) -> None:
        """[loop] The connection has ended."""
        ...


def watch_for_death(connected: socket.socket) -> None:
    """Lets the system find out when the other end has vanished, where it can."""
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", DEAD_AFTER_S // 2),
        ("TCP_KEEPINTVL", DEAD_AFTER_S // 2 // _PROBES),
        ("TCP_KEEPCNT", _PROBES),
        ("TCP_USER_TIMEOUT", 1000 * DEAD_AFTER_S),  # what was sent and never acknowledged
    ):
        if option := getattr(socket, name, None):
            connected.setsockopt(socket.IPPROTO_TCP, option, value)
