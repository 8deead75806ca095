"""OSCQuery over aiohttp: questions as GET, and a WebSocket at any path."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Generic

from aiohttp import WSCloseCode, WSMsgType, web

from deepmusic.errors import NoCapacity
from deepmusic.transports.web.origin import is_ours
from deepmusic.transports.web.ports import ListenerT, QueryService

MAX_MESSAGE_BYTES = 4096
"""Of one message of a client: what OSC takes at a time."""

REST_S = 0.005
"""How long nothing is read after OSC that the budget does not allow yet."""

SLOW_READER_S = 5.0
"""A client that does not read for so long is cut off."""

HEARTBEAT_S = 15.0
"""Time between two pings; a client that vanished is noticed after it and a half."""


class OscQueryPages(Generic[ListenerT]):
    """Handles requests. All methods are [loop].

    Args:
        service: Describes the address space.
    """

    def __init__(self, service: QueryService[ListenerT]) -> None:
        self._service = service
        self._sockets: set[web.WebSocketResponse] = set()  # bounded by the service

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Describes, or opens a WebSocket where that is what is asked for."""
        if not is_ours(request):
            raise web.HTTPForbidden
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._socket(request)
        path, _, query = request.raw_path.partition("?")
        described = await self._service.describe(request.remote or "", path, query)
        response = web.Response(status=described.status)
        if described.body:
            response = web.json_response(text=described.body)
        response.headers["Cache-Control"] = "no-store"
        return response

    async def close(self) -> None:
        """Ends the WebSockets that are open."""
        for socket in tuple(self._sockets):
            await socket.close(code=WSCloseCode.GOING_AWAY)

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        address = request.transport.get_extra_info("peername") if request.transport is not None else None
        try:
            client = self._service.connect(address or ("",))
        except NoCapacity:
            return web.Response(status=HTTPStatus.SERVICE_UNAVAILABLE)
        if client is None:
            raise web.HTTPForbidden
        socket = web.WebSocketResponse(
            max_msg_size=MAX_MESSAGE_BYTES, heartbeat=HEARTBEAT_S, compress=False, timeout=SLOW_READER_S
        )
        self._sockets.add(socket)
        try:
            await socket.prepare(request)
            sending = asyncio.create_task(self._send(socket, client))
            try:
                await self._receive(socket, client)
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
        finally:
            self._sockets.discard(socket)
            self._service.disconnect(client)
        return socket

    async def _receive(self, socket: web.WebSocketResponse, client: ListenerT) -> None:
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                self._service.command(client, message.data)
            elif message.type is WSMsgType.BINARY:
                while not self._service.offer(client, message.data):  # noqa: ASYNC110 (a budget has no event)
                    await asyncio.sleep(REST_S)

    async def _send(self, socket: web.WebSocketResponse, client: ListenerT) -> None:
        while True:
            for frame in await client.next_frames():
                try:
                    async with asyncio.timeout(SLOW_READER_S):
                        await (socket.send_str(frame) if isinstance(frame, str) else socket.send_bytes(frame))
                except TimeoutError:
                    await socket.close(code=WSCloseCode.POLICY_VIOLATION, drain=False)
                    return
                except ConnectionError:
                    return
