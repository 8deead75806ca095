"""Our errors as gRPC statuses with details, and back.

Every status that leaves the server carries exactly one ``ErrorInfo``. Its reason is what a program decides by; the
message is for people.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn, cast

import grpc
import grpc.aio
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2

from deepmusic.errors import (
    Code,
    DeepmusicError,
    InternalError,
    ModelNotFound,
    RequestError,
    ServerUnreachable,
    StyleNotFound,
)

DOMAIN = "deepmusic"
"""``ErrorInfo.domain`` of every error."""

DETAILS_KEY = "grpc-status-details-bin"
"""Trailing metadata that carries a ``google.rpc.Status``, by gRPC's convention."""

_RESOURCE_TYPES: dict[type[DeepmusicError], str] = {
    ModelNotFound: "deepmusic.v1.Bundle",
    StyleNotFound: "deepmusic.v1.Style",
}


def status_of(error: DeepmusicError, *, request_id: str = "") -> status_pb2.Status:
    """The error as a ``google.rpc.Status`` with its details.

    Args:
        error: What went wrong.
        request_id: Finds the call in the server's log; sent with faults of ours.
    """
    status = status_pb2.Status(code=_number(grpc.StatusCode[error.code.name]), message=error.message)
    for detail in _details(error, request_id):
        status.details.add().Pack(detail)
    return status


def _details(error: DeepmusicError, request_id: str) -> Iterator[Message]:
    yield error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN)
    if error.field is not None and error.code is Code.INVALID_ARGUMENT:
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=error.field, description=error.message, reason=error.reason
        )
        yield error_details_pb2.BadRequest(field_violations=[violation])
    if error.resource is not None:
        resource_type = _RESOURCE_TYPES.get(type(error), "")
        yield error_details_pb2.ResourceInfo(resource_type=resource_type, resource_name=error.resource)
    if error.retry_after_s is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromNanoseconds(round(error.retry_after_s * 1e9))
        yield retry
    if isinstance(error, InternalError) and request_id:
        yield error_details_pb2.RequestInfo(request_id=request_id)


async def abort(
    context: grpc.aio.ServicerContext[Any, Any], error: DeepmusicError, *, request_id: str = ""
) -> NoReturn:
    """Ends the call with the error's status and details."""
    await _abort(context, status_of(error, request_id=request_id), grpc.StatusCode[error.code.name])


async def abort_with(
    context: grpc.aio.ServicerContext[Any, Any], code: grpc.StatusCode, reason: str, message: str
) -> NoReturn:
    """Ends the call with a status that is the transport's own and has no error class."""
    status = status_pb2.Status(code=_number(code), message=message)
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN))
    await _abort(context, status, code)


async def _abort(
    context: grpc.aio.ServicerContext[Any, Any], status: status_pb2.Status, code: grpc.StatusCode
) -> NoReturn:
    await context.abort(code, status.message, ((DETAILS_KEY, status.SerializeToString()),))
    raise AssertionError("abort returned")


def _number(code: grpc.StatusCode) -> int:
    return cast("tuple[int, str]", code.value)[0]


def details_of(trailing_metadata: Iterable[tuple[str, str | bytes]] | None) -> status_pb2.Status | None:
    """The ``google.rpc.Status`` of a failed call; ``None`` where the server (or the library) sent none."""
    for key, value in trailing_metadata or ():
        if key == DETAILS_KEY and isinstance(value, bytes):
            try:
                return status_pb2.Status.FromString(value)
            except DecodeError:
                return None
    return None


def unpack(status: status_pb2.Status, detail: Message) -> bool:
    """Fills ``detail`` with the status' detail of that type; false where it has none."""
    return any(packed.Unpack(detail) for packed in status.details)


def error_of(
    code: grpc.StatusCode,
    message: str | None,
    trailing_metadata: Iterable[tuple[str, str | bytes]] | None,
    *,
    address: str,
) -> DeepmusicError:
    """A failed call as one of our errors, for clients: the class by its reason, else one that fits the code.

    Args:
        code: The status.
        message: Its text.
        trailing_metadata: Where the details are.
        address: The server's, for the message.
    """
    status = details_of(trailing_metadata)
    info = error_details_pb2.ErrorInfo()
    if status is None or not unpack(status, info):
        if code is grpc.StatusCode.UNAVAILABLE:
            return ServerUnreachable(
                f"expected a deepmusic server at {address}, got no answer; start one with: deepmusic serve",
                resource=address,
            )
        return _by_code(code)(f"the call to {address} ended with {code.name}: {message or 'no word'}")
    bad_request, resource, retry = (
        error_details_pb2.BadRequest(),
        error_details_pb2.ResourceInfo(),
        error_details_pb2.RetryInfo(),
    )
    has_field = unpack(status, bad_request) and len(bad_request.field_violations) > 0
    return _by_reason(info.reason, code)(
        message or info.reason,
        field=bad_request.field_violations[0].field if has_field else None,
        resource=resource.resource_name if unpack(status, resource) else None,
        retry_after_s=retry.retry_delay.ToNanoseconds() / 1e9 if unpack(status, retry) else None,
    )


def _by_reason(reason: str, code: grpc.StatusCode) -> Callable[..., DeepmusicError]:
    return next((leaf for leaf in _all_errors(DeepmusicError) if leaf.reason == reason), _by_code(code))


def _by_code(code: grpc.StatusCode) -> Callable[..., DeepmusicError]:
    if code in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN):
        return InternalError
    return RequestError


def _all_errors(root: type[DeepmusicError]) -> Iterator[type[DeepmusicError]]:
    for child in root.__subclasses__():
        yield child
        yield from _all_errors(child)
