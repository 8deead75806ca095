"""Why a call of a client ended, also where grpc.aio forgets it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import grpc

from deepmusic.errors import DeepmusicError, StreamCancelled
from deepmusic.transports.rpc.status import error_of

# A write that fails because the server has just ended the call replaces the server's status by INTERNAL with this
# text (measured with grpcio 1.85.1), so that the status is noted at the moment when it comes.
_WRITE_FAILED = "Internal error from Core"
_TRIES = 50
_WAIT_S = 0.01


class CallEnding:
    """Notes the status of a call when it comes. All methods are [loop].

    Args:
        call: grpc.aio's call, not yet ended.
        address: The server's, for messages.
    """

    def __init__(self, call: Any, address: str) -> None:
        self._call = call
        self._address = address
        self._status: tuple[grpc.StatusCode, str, Any] | None = None
        call.add_done_callback(self._note)

    async def error(self) -> DeepmusicError:
        """What ended the call, once a read or a write has failed."""
        for _ in range(_TRIES):  # bounded: where the connection is gone, no status will come
            if self._status is not None:
                break
            await asyncio.sleep(_WAIT_S)
        call = self._call
        code, details, trailing = self._status or (
            await call.code(),
            await call.details(),
            await call.trailing_metadata(),
        )
        if code is grpc.StatusCode.OK:
            return StreamCancelled("expected nothing after finish, got another message; open another stream")
        return error_of(code, details, trailing, address=self._address)

    def _note(self, call: Any) -> None:
        details = _at_once(call.details())
        if details != _WRITE_FAILED and self._status is None:
            self._status = (_at_once(call.code()), details, _at_once(call.trailing_metadata()))


def _at_once(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that has nothing to wait for: the call is done."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    coroutine.close()
    return None
