"""The socket of the bridge, and when it opens and closes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import cast

from deepmusic.errors import PortInUse
from deepmusic.transports.osc.bridge import Bridge
from deepmusic.transports.osc.counters import OscStats
from deepmusic.transports.osc.gate import Network, Peer
from deepmusic.transports.osc.ports import SessionDirectory, StyleList

MAX_UNSENT_BYTES = 65536
"""Answers that may wait for the network; a further one is dropped, and counted as withheld."""


class OscServer:
    """Serves OSC over UDP at one address. All methods are [loop], its making too.

    Args:
        sessions: The streams that run.
        styles: The library.
        networks: Allowed beside loopback.
    """

    def __init__(self, sessions: SessionDirectory, styles: StyleList, *, networks: Iterable[Network] = ()) -> None:
        self._bridge = Bridge(sessions, styles, self._send, networks=networks)
        self._transport: asyncio.DatagramTransport | None = None
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
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.create_datagram_endpoint(lambda: _Receiver(self._bridge), local_addr=(host, port))
        except OSError as error:
            raise PortInUse(
                f"expected a free UDP address for OSC, got {host}:{port}, where something listens already or which is "
                "not this machine's; stop that, or choose another with --osc HOST:PORT",
                resource=f"{host}:{port}",
            ) from error
        self._transport = transport
        self._running = loop.create_task(self._bridge.run(), name="deepmusic-osc")
        return cast("int", transport.get_extra_info("sockname")[1])

    async def stop(self) -> None:
        """Closes the socket and ends what runs; what waits is dropped."""
        if self._transport is not None:
            self._transport.close()
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    def _send(self, packet: bytes, peer: Peer) -> bool:
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        if cast("asyncio.WriteTransport", transport).get_write_buffer_size() > MAX_UNSENT_BYTES:
            return False
        transport.sendto(packet, peer.address)
        return True


class _Receiver(asyncio.DatagramProtocol):
    """Passes datagrams on. Errors of the network are nobody's fault: a peer that has gone answers so."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        """[loop] A datagram came."""
        self._bridge.receive(data, addr)
