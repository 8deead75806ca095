"""TransferService: streams are opened here, counted, and told when the server goes."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc.aio

from deepmusic.errors import ConfigRequired, ShuttingDown
from deepmusic.transports.rpc.ports import Emitted, RunningSession, SessionOpener
from deepmusic.transports.rpc.stream import Requests, TransferStream
from deepmusic.transports.rpc.terms import StreamLimits, StreamTerms
from deepmusic.transports.wire.messages import EventKind, StreamConfig, StreamEvent, StreamRequest, StreamResponse
from deepmusic.transports.wire.requests import read_request
from deepmusic.transports.wire.responses import write_response
from deepmusic.v1 import transfer_service_pb2, transfer_service_pb2_grpc


class TransferService(transfer_service_pb2_grpc.TransferServiceServicer):
    """Serves StreamTransfer.

    Args:
        opener: Opens sessions.
        limits: For every stream.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        opener: SessionOpener,
        limits: StreamLimits,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._opener = opener
        self._limits = limits
        self._clock = clock
        self._streams: set[TransferStream] = set()
        self._is_going = False

    @property
    def n_streams(self) -> int:
        """[loop] Streams that are open."""
        return len(self._streams)

    def go_away(self) -> None:
        """[loop] Takes no new streams and tells the open ones to finish."""
        self._is_going = True
        event = StreamEvent(
            kind=EventKind.GOING_AWAY, message="the server stops; finish this stream and open it elsewhere"
        )
        for stream in self._streams:
            stream.announce(event)

    async def StreamTransfer(  # noqa: N802 (gRPC's name)
        self,
        request_iterator: AsyncIterator[transfer_service_pb2.StreamTransferRequest],
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> None:
        """[loop] Serves one stream."""
        self._check_going()
        requests = Requests(_read(request_iterator), self._limits.idle_s)
        try:
            await self._serve(requests, context)
        finally:
            requests.close()

    def _check_going(self) -> None:
        if self._is_going:
            raise ShuttingDown("the server stops and takes no new streams; try another, or this one later")

    async def _serve(self, requests: Requests, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        config = await requests.next()
        if not isinstance(config, StreamConfig):
            raise ConfigRequired("expected a config as the first message, got something else; send the config first")
        self._check_going()  # once more: a call may wait for its config for long, and nothing told it meanwhile
        terms = StreamTerms(config, config.session_id or f"stream-{secrets.token_hex(4)}", self._limits)

        async def write(response: StreamResponse) -> None:
            await context.write(write_response(response))

        stream = TransferStream(terms, requests, write, self._clock)
        self._streams.add(stream)  # before it is open, which takes a while: what is announced meanwhile waits for it
        try:
            await stream.run(await self._open(terms, stream.emit))
        finally:
            self._streams.discard(stream)

    async def _open(self, terms: StreamTerms, emit: Callable[[Emitted], None]) -> RunningSession:
        opening = asyncio.ensure_future(
            asyncio.to_thread(self._opener.open, terms.config, max_block_samples=terms.max_block_samples, emit=emit)
        )
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            # The client went while a thread opened its session. A thread cannot be stopped: what it opens is closed.
            opening.add_done_callback(_close_opened)
            raise


def _close_opened(opening: asyncio.Future[RunningSession]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


async def _read(
    messages: AsyncIterator[transfer_service_pb2.StreamTransferRequest],
) -> AsyncIterator[StreamRequest]:
    async for message in messages:
        yield read_request(message)
