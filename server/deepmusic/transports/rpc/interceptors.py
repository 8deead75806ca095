"""The outermost layer of the server: whatever goes wrong leaves with our status, and with nothing of our insides.

By default grpc.aio answers an exception of a handler, and bytes that are no message, with UNKNOWN and the exception's
text. So requests are parsed within the handler's wrapper, where a failure is ours, and every exception is mapped.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

import grpc
import grpc.aio

from deepmusic.errors import BadBlockSize, DeepmusicError, InternalError, MalformedMessage
from deepmusic.transports.rpc.options import LIVE_MESSAGE_BYTES
from deepmusic.transports.rpc.status import abort, abort_with

_log = logging.getLogger(__name__)

LIVE_METHODS = frozenset({"/deepmusic.v1.TransferService/StreamTransfer"})
"""Calls whose messages may have at most ``LIVE_MESSAGE_BYTES``."""

_Context = grpc.aio.ServicerContext[Any, Any]
_Parse = Callable[[bytes], Any]
_Handler = Any
"""grpc types its handlers for the API with threads; ours are coroutines."""


class ErrorMapping(grpc.aio.ServerInterceptor):
    """Parses requests and maps errors for every call, of our services and of others."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any]:
        """[loop] The handler of the call, wrapped."""
        handler: _Handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None:
            return grpc.stream_stream_rpc_method_handler(_unknown_method)
        limit = LIVE_MESSAGE_BYTES if method in LIVE_METHODS else None
        parse = _parser(handler.request_deserializer or bytes, limit)
        if handler.request_streaming:
            return _wrap_streaming(handler, method, parse)
        return _wrap_unary(handler, method, parse)


async def _unknown_method(requests: AsyncIterator[Any], context: _Context) -> None:
    message = "expected a method of deepmusic.v1, got one that nobody serves; update the client or the server"
    await abort_with(context, grpc.StatusCode.UNIMPLEMENTED, "METHOD_UNKNOWN", message)


def _parser(deserializer: _Parse, limit_bytes: int | None) -> _Parse:
    def parse(data: bytes) -> Any:
        if limit_bytes is not None and len(data) > limit_bytes:
            raise BadBlockSize(
                f"expected a message of at most {limit_bytes} bytes, got {len(data)}; split the block", field="audio"
            )
        try:
            return deserializer(data)
        except Exception:
            # protobuf's text names our classes; the bytes themselves are the caller's and tell us nothing more.
            raise MalformedMessage(
                "expected a protobuf message of the method's request type, got bytes that are none"
            ) from None

    return parse


def _wrap_streaming(handler: _Handler, method: str, parse: _Parse) -> grpc.RpcMethodHandler[Any, Any]:
    async def parsed(requests: AsyncIterator[bytes]) -> AsyncIterator[Any]:
        async for data in requests:
            yield parse(data)

    if handler.response_streaming:

        async def stream_stream(requests: AsyncIterator[bytes], context: _Context) -> None:
            async with _Mapped(context, method):
                await _answer_all(handler.stream_stream(parsed(requests), context), context)

        return grpc.stream_stream_rpc_method_handler(stream_stream, None, handler.response_serializer)

    async def stream_unary(requests: AsyncIterator[bytes], context: _Context) -> Any:
        async with _Mapped(context, method):
            return await handler.stream_unary(parsed(requests), context)

    return grpc.stream_unary_rpc_method_handler(stream_unary, None, handler.response_serializer)


def _wrap_unary(handler: _Handler, method: str, parse: _Parse) -> grpc.RpcMethodHandler[Any, Any]:
    if handler.response_streaming:

        async def unary_stream(data: bytes, context: _Context) -> None:
            async with _Mapped(context, method):
                await _answer_all(handler.unary_stream(parse(data), context), context)

        return grpc.unary_stream_rpc_method_handler(unary_stream, None, handler.response_serializer)

    async def unary_unary(data: bytes, context: _Context) -> Any:
        async with _Mapped(context, method):
            return await handler.unary_unary(parse(data), context)

    return grpc.unary_unary_rpc_method_handler(unary_unary, None, handler.response_serializer)


async def _answer_all(answers: Any, context: _Context) -> None:
    """A streaming handler either yields its answers or writes them to the context by itself."""
    if isinstance(answers, AsyncIterator):
        async for answer in cast("AsyncIterator[Any]", answers):
            await context.write(answer)
    else:
        await answers


class _Mapped:
    """Ends the call with the status of whatever is raised inside."""

    def __init__(self, context: _Context, method: str) -> None:
        self._context = context
        self._method = method

    async def __aenter__(self) -> None:
        return

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, asyncio.CancelledError | grpc.aio.AbortError):
            return
        if not isinstance(error, Exception):
            return
        if isinstance(error, DeepmusicError) and not isinstance(error, InternalError):
            await abort(self._context, error)
        request_id = secrets.token_hex(8)
        _log.error("call %s to %s failed", request_id, self._method, exc_info=error)
        known = error if isinstance(error, DeepmusicError) else None
        await abort(
            self._context,
            known or InternalError(f"the server made a mistake in call {request_id}; its log has the cause"),
            request_id=request_id,
        )
