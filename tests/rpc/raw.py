"""Calls with bytes and statuses as they are, below our own client."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message
from google.rpc import error_details_pb2

from deepmusic.transports.rpc.status import DOMAIN, details_of, unpack

_Detail = TypeVar("_Detail", bound=Message)

STREAM = "/deepmusic.v1.TransferService/StreamTransfer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a call ended."""

    code: grpc.StatusCode
    message: str
    trailing: Sequence[tuple[str, str | bytes]]
    answers: tuple[bytes, ...]

    @property
    def reason(self) -> str:
        """The reason of its one ErrorInfo; empty without details."""
        status = details_of(self.trailing)
        if status is None:
            return ""
        infos = [packed for packed in status.details if packed.Is(error_details_pb2.ErrorInfo.DESCRIPTOR)]
        assert len(infos) == 1
        info = error_details_pb2.ErrorInfo()
        assert infos[0].Unpack(info)
        assert info.domain == DOMAIN
        return info.reason

    def detail(self, kind: type[_Detail]) -> _Detail:
        """A detail of that type."""
        status = details_of(self.trailing)
        detail = kind()
        assert status is not None
        assert unpack(status, detail)
        return detail


async def call_raw(
    address: str,
    *messages: bytes,
    method: str = STREAM,
    metadata: Sequence[tuple[str, str]] = (),
    options: Sequence[tuple[str, int]] = (),
    half_close: bool = True,
) -> Ended:
    """Sends bytes to a method and reads until the call ends."""
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        call = channel.stream_stream(method)(metadata=metadata or None)
        answers: list[bytes] = []
        try:
            for message in messages:
                await call.write(message)
            if half_close:
                await call.done_writing()
            while (answer := await call.read()) is not grpc.aio.EOF:
                answers.append(answer)
        except (grpc.aio.AioRpcError, grpc.aio.UsageError, grpc.aio.InternalError):
            pass
        return Ended(
            code=await call.code(),
            message=await call.details() or "",
            trailing=tuple(await call.trailing_metadata() or ()),
            answers=tuple(answers),
        )
