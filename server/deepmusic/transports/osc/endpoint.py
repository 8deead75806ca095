"""The sockets of the bridge, UDP and TCP at one address: when they open and close, and how much is read from them.

asyncio's own datagram transport reads one datagram a turn of the loop, and cannot be told to pause. A flood of 50 000 a
second keeps the loop turning: 0.38 of a core (measured), and steps of streams come late for it. This one reads several
in a turn and rests where more are waiting, which takes 0.06 of a core; what comes meanwhile the system drops.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Iterable

from deepmusic.errors import PortInUse
from deepmusic.stage.performer import Performer
from deepmusic.transports.osc.bridge import Bridge
from deepmusic.transports.osc.connections import BACKLOG, Connections
from deepmusic.transports.osc.counters import OscStats
from deepmusic.transports.osc.datagram import MAX_DATAGRAM_BYTES
from deepmusic.transports.osc.gate import Network, Peer
from deepmusic.transports.osc.ports import SessionDirectory, SessionOpener, StyleList
from deepmusic.transports.osc.query.service import OscQuery

MAX_DATAGRAMS_A_TURN = 32
"""Datagrams that are read before everything else on the loop has its turn."""

REST_S = 0.005
"""How long nothing is read after so many: some 6000 a second are read at the most, twice what may be carried out."""

_TRIES = 16
"""Free ports of UDP that are tried until one is free for TCP too."""


class OscServer:
    """Serves OSC over UDP and TCP at one address. All methods are [loop], its making too.

    Args:
        sessions: The streams that run.
        styles: The library.
        opener: Opens sessions for audio over OSC; ``None`` where none is served.
        networks: Allowed beside loopback.
        performer: Has the beat and the set; without one there is a beat alone.
    """

    def __init__(
        self,
        sessions: SessionDirectory,
        styles: StyleList,
        *,
        opener: SessionOpener | None = None,
        networks: Iterable[Network] = (),
        performer: Performer | None = None,
    ) -> None:
        self._bridge = Bridge(
            sessions, styles, self._send, opener=opener, senders=self, networks=networks, performer=performer
        )
        self._connections = Connections(self._bridge)
        self.query = OscQuery(self._bridge, sessions, styles)
        """Describes the address space to whoever asks over HTTP."""
        self._loop = asyncio.get_running_loop()
        self._socket: socket.socket | None = None
        self._listening: socket.socket | None = None
        self._own: dict[Peer, socket.socket] = {}  # of senders of audio; bounded by their number
        self._rests: dict[socket.socket, asyncio.TimerHandle] = {}
        self._running: asyncio.Task[None] | None = None

    @property
    def stats(self) -> OscStats:
        """What was done and what was not."""
        return self._bridge.stats

    async def start(self, host: str, port: int) -> int:
        """Listens.

        Args:
            host: A name or an IP address.
            port: 0 takes a free one.

        Returns:
            The port.

        Raises:
            PortInUse: Somebody listens there already, or the host is none of this machine's.
        """
        try:
            infos = await self._loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
            self._socket, self._listening = _bound_pair(infos[0][0], infos[0][4])
        except (OSError, UnicodeError) as error:  # no name of a host can be so long, or have an empty part
            raise PortInUse(
                f"expected an address that is free over UDP and TCP for OSC, got {host}:{port}, where something "
                "listens already or which is not this machine's; stop that, or choose another with --osc HOST:PORT",
                resource=f"{host}:{port}",
            ) from error
        self._listen(self._socket)
        self._running = self._loop.create_task(self._run(self._listening), name="deepmusic-osc")
        self.query.osc_port = int(self._socket.getsockname()[1])
        return self.query.osc_port

    async def stop(self) -> None:
        """Closes the sockets and ends what runs; what waits is dropped."""
        self._bridge.close()
        for peer in tuple(self._own):
            self.sender_left(peer)
        if self._socket is not None:
            self._close(self._socket)
            self._socket = None
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        if self._listening is not None:
            self._listening.close()
        self._connections.close()

    def sender_came(self, peer: Peer) -> None:
        """A peer sends audio from now on: it gets a socket of its own, so that no flood of others drowns it."""
        if peer.is_connected or peer in self._own or self._socket is None:
            return
        own = _connected_beside(self._socket, peer)
        if own is not None:
            self._own[peer] = own
            self._listen(own)

    def sender_left(self, peer: Peer) -> None:
        """It sends no more."""
        own = self._own.pop(peer, None)
        if own is not None:
            self._close(own)

    def _close(self, on: socket.socket) -> None:
        rest = self._rests.pop(on, None)
        if rest is not None:
            rest.cancel()
        self._stop_listening(on)
        on.close()

    async def _run(self, listening: socket.socket) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._bridge.run())
            tasks.create_task(self._connections.run(listening))
            tasks.create_task(self.query.run())

    def _listen(self, on: socket.socket) -> None:
        self._rests.pop(on, None)
        try:
            self._loop.add_reader(on, self._read, on)
        except NotImplementedError:  # Windows' loop cannot tell when there is something: look after each rest
            self._read(on)
            self._rests[on] = self._loop.call_later(REST_S, self._listen, on)

    def _stop_listening(self, on: socket.socket) -> bool:
        try:
            return self._loop.remove_reader(on)
        except NotImplementedError:
            return False

    def _read(self, on: socket.socket) -> None:
        for _ in range(MAX_DATAGRAMS_A_TURN):
            try:
                data, address = on.recvfrom(MAX_DATAGRAM_BYTES + 1)
            except BlockingIOError:
                return
            except OSError:  # a peer that has gone answers so, on some systems; a datagram that is cut, on others
                continue
            self._bridge.receive(data, address)
        if self._stop_listening(on):
            self._rests[on] = self._loop.call_later(REST_S, self._listen, on)

    def _send(self, packet: bytes, peer: Peer) -> bool:
        if peer.is_connected:
            return self._connections.send(packet, peer) or self.query.send(packet, peer)
        if self._socket is None:
            return False
        try:
            self._socket.sendto(packet, peer.address)
        except OSError:  # the system's buffer is full, or the peer cannot be reached: it is UDP
            return False
        return True


def _bound_pair(family: int, address: tuple[object, ...]) -> tuple[socket.socket, socket.socket]:
    """A socket for datagrams and one for connections, at the same port."""
    for tries_left in reversed(range(_TRIES)):
        datagrams = _bound(family, socket.SOCK_DGRAM, address)
        try:
            return datagrams, _bound(family, socket.SOCK_STREAM, datagrams.getsockname())
        except OSError:
            datagrams.close()
            if address[1] or not tries_left:
                raise
    raise AssertionError("a port was found or an error raised")


def _bound(family: int, kind: int, address: tuple[object, ...]) -> socket.socket:
    bound = socket.socket(family, kind)
    bound.setblocking(False)
    try:
        if kind == socket.SOCK_STREAM and os.name == "posix":  # or a restart waits for the connections of the last run
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        if kind == socket.SOCK_STREAM:
            bound.listen(BACKLOG)
    except OSError:
        bound.close()
        raise
    return bound


def _connected_beside(main: socket.socket, peer: Peer) -> socket.socket | None:
    """A socket at the same address that hears one peer alone; ``None`` where the system cannot.

    Linux hands a datagram to the socket that is connected to its sender, if there is one, and into that socket's own
    buffer. Elsewhere two sockets at one address would take each other's.
    """
    if not sys.platform.startswith("linux"):
        return None
    own = socket.socket(main.family, socket.SOCK_DGRAM)
    own.setblocking(False)
    try:
        for one in (main, own):  # for this moment only: nobody else is to share the port
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        own.bind(main.getsockname())
        own.connect(peer.address)
    except OSError:
        own.close()
        return None
    finally:
        main.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    return own
