"""The rigs that are connected over TCP: who is let in, and how many."""

from __future__ import annotations

import asyncio
import logging
import socket
from functools import partial
from typing import Protocol

from deepmusic.transports.osc.connection import REST_S, Connection, PacketSink, watch_for_death
from deepmusic.transports.osc.counters import Count
from deepmusic.transports.osc.gate import Peer

MAX_CONNECTIONS = 32
"""Connections at a time. One more, and the one that was silent for longest is cut off; a rig that lives comes again."""

BACKLOG = 16
"""Connections that the system holds until they are accepted."""

_NO_ROOM_REST_S = 0.5

_log = logging.getLogger(__name__)


class Doorkeeper(PacketSink, Protocol):
    """Who says who may come in, beside taking packets; ``Bridge`` is one."""

    def admit(self, address: tuple[str | int, ...]) -> Peer | None:
        """[loop] Who connects; ``None`` for someone who may not."""
        ...


class Connections:
    """Accepts connections and keeps them. All methods are [loop].

    Args:
        bridge: Admits peers and takes their packets.
    """

    def __init__(self, bridge: Doorkeeper) -> None:
        self._bridge = bridge
        self._open: dict[Peer, Connection] = {}  # bounded by MAX_CONNECTIONS

    def __len__(self) -> int:
        return len(self._open)

    async def run(self, listening: socket.socket) -> None:
        """Accepts until it is cancelled, one connection each ``REST_S``: a storm of them costs no stream its time.

        Args:
            listening: Listens, does not block.
        """
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, address = await loop.sock_accept(listening)
            except OSError as error:  # no file descriptor is left, or whoever connected has gone already
                _log.warning("a connection could not be accepted: %s", error)
                await asyncio.sleep(_NO_ROOM_REST_S)
                continue
            await self._admit(accepted, address)
            await asyncio.sleep(REST_S)

    def send(self, packet: bytes, peer: Peer) -> bool:
        """Answers a peer; False where it has gone or does not read."""
        connection = self._open.get(peer)
        return connection is not None and connection.send(packet)

    def close(self) -> None:
        """Ends all of them."""
        for connection in tuple(self._open.values()):
            connection.abort()

    async def _admit(self, accepted: socket.socket, address: tuple[str | int, ...]) -> None:
        peer = self._bridge.admit(address)
        if peer is None:
            self._bridge.drop(Count.FOREIGN)
            accepted.close()
            return
        accepted.setblocking(False)
        try:
            watch_for_death(accepted)
            make = partial(Connection, peer, self._bridge, self._remove)
            _, connection = await asyncio.get_running_loop().connect_accepted_socket(make, accepted)
        except OSError:  # it has gone already
            accepted.close()
            return
        self._open[peer] = connection
        if len(self._open) > MAX_CONNECTIONS:
            min(self._open.values(), key=lambda one: one.heard_s).abort()

    def _remove(self, connection: Connection) -> None:
        if self._open.get(connection.peer) is connection:
            del self._open[connection.peer]
