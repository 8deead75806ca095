"""Every error of ours has a status with exactly one ErrorInfo, and comes back as itself at the client."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest
from google.rpc import error_details_pb2

from deepmusic.errors import DeepmusicError, InternalError, RequestError, ServerUnreachable
from deepmusic.transports.rpc.status import DETAILS_KEY, DOMAIN, details_of, error_of, status_of, unpack


def leaves(root: type[DeepmusicError]) -> Iterator[type[DeepmusicError]]:
    for child in root.__subclasses__():
        yield child
        yield from leaves(child)


@pytest.mark.parametrize("kind", list(leaves(DeepmusicError)), ids=lambda kind: kind.__name__)
def test_an_error_comes_back_as_itself(kind: type[DeepmusicError]):
    error = kind("expected this, got that", field="config.x", resource="thing", retry_after_s=1.5)
    status = status_of(error, request_id="abc")
    infos = [packed for packed in status.details if packed.Is(error_details_pb2.ErrorInfo.DESCRIPTOR)]
    assert len(infos) == 1
    info = error_details_pb2.ErrorInfo()
    assert unpack(status, info)
    assert (info.reason, info.domain) == (kind.reason, DOMAIN)
    code = grpc.StatusCode[kind.code.name]
    assert status.code == code.value[0]
    trailing = ((DETAILS_KEY, status.SerializeToString()),)
    back = error_of(code, error.message, trailing, address="here")
    assert type(back) is kind
    assert (back.message, back.resource, back.retry_after_s) == ("expected this, got that", "thing", 1.5)
    assert back.field == ("config.x" if kind.code.name == "INVALID_ARGUMENT" else None)


def test_a_fault_of_ours_names_the_request_in_the_log():
    request = error_details_pb2.RequestInfo()
    assert unpack(status_of(InternalError("a fault"), request_id="abc"), request)
    assert request.request_id == "abc"
    assert not unpack(status_of(RequestError("no"), request_id="abc"), request)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.UNAVAILABLE, ServerUnreachable),
        (grpc.StatusCode.INTERNAL, InternalError),
        (grpc.StatusCode.UNKNOWN, InternalError),
        (grpc.StatusCode.DEADLINE_EXCEEDED, RequestError),
    ],
)
@pytest.mark.parametrize("trailing", [None, (), ((DETAILS_KEY, b"\xff"),)], ids=["none", "empty", "garbage"])
def test_a_status_without_details_becomes_the_error_that_fits_best(code: grpc.StatusCode, kind: type, trailing):
    assert type(error_of(code, None, trailing, address="here:1")) is kind
    assert details_of(trailing) is None


def test_a_reason_of_a_later_version_becomes_the_error_that_fits_best():
    error = RequestError("new")
    error.reason = "SOMETHING_NEW"  # type: ignore[misc]
    trailing = ((DETAILS_KEY, status_of(error).SerializeToString()),)
    assert type(error_of(grpc.StatusCode.ABORTED, "new", trailing, address="here")) is RequestError
