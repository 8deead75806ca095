"""The HTTP server: one address, few connections, little patience."""

from __future__ import annotations

import asyncio
import errno

from aiohttp import web

from deepmusic.errors import PortInUse
from deepmusic.transports.web.oscquery import OscQueryPages
from deepmusic.transports.web.ports import ListenerT, QueryService

MAX_CONNECTIONS = 64
"""Connections at a time; one more is closed."""

MAX_BODY_BYTES = 1024
"""Nothing here takes a body."""

LONGEST_HEAD_S = 10.0
"""A connection whose first (or next) request is not there by then is closed."""

_MAX_LINE_BYTES = 2048
_MAX_HEADERS = 64
_SHUTDOWN_S = 1.0


class HttpServer:
    """Serves OSCQuery at one address. All methods are [loop], its making too.

    Args:
        service: Describes the address space.
    """

    def __init__(self, service: QueryService[ListenerT]) -> None:
        self._pages = OscQueryPages(service)
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None
        self._n_open = 0

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
        application = web.Application(client_max_size=MAX_BODY_BYTES)
        application.router.add_get("/{path:.*}", self._pages.get)
        self._runner = web.AppRunner(
            application,
            access_log=None,
            handle_signals=False,
            keepalive_timeout=LONGEST_HEAD_S,
            max_line_size=_MAX_LINE_BYTES,
            max_field_size=_MAX_LINE_BYTES,
            max_headers=_MAX_HEADERS,
            shutdown_timeout=_SHUTDOWN_S,
        )
        await self._runner.setup()
        try:
            self._server = await asyncio.get_running_loop().create_server(self._protocol, host, port)
        except (OSError, UnicodeError) as error:  # no name of a host can be so long, or have an empty part
            await self._runner.cleanup()
            is_taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
            what = "something listens already" if is_taken else "this machine cannot listen"
            raise PortInUse(
                f"expected a free address for HTTP, got {host}:{port}, where {what}; choose another with "
                "--http HOST:PORT, or --http off",
                resource=f"{host}:{port}",
            ) from error
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Takes no more connections and ends those that are open."""
        if self._server is not None:
            self._server.close()
        await self._pages.close()
        if self._runner is not None:
            await self._runner.cleanup()

    def _protocol(self) -> asyncio.Protocol:
        handler = self._runner.server if self._runner is not None else None
        if handler is None or len(handler.connections) >= MAX_CONNECTIONS:
            return _Refusal()
        return handler()


class _Refusal(asyncio.Protocol):
    """A connection for which there is no room."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Closes it."""
        if isinstance(transport, asyncio.Transport):
            transport.abort()
