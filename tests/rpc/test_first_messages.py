"""What a stream may begin with, and what its messages may be (faults 5 to 14)."""

from __future__ import annotations

import resource

import grpc
import pytest
from google.rpc import error_details_pb2

from deepmusic.transports.rpc.client import RpcClient
from deepmusic.transports.wire.messages import EventKind
from deepmusic.transports.wire.requests import write_config, write_request
from deepmusic.v1 import transfer_service_pb2
from tests.rpc.canary import canary
from tests.rpc.raw import Ended, call_raw
from tests.rpc.serving import Serving, config, listen, noise, play

CONFIG = write_request(config()).SerializeToString()
UNKNOWN_FIELD = b"\xfa\x07\x03abc"  # field 127, three bytes: nothing that this version knows


def audio_message(pcm: bytes) -> bytes:
    return transfer_service_pb2.StreamTransferRequest(
        audio=transfer_service_pb2.StreamTransferRequest().audio.__class__(pcm=pcm)
    ).SerializeToString()


async def test_audio_before_the_config_is_refused(server: Serving):
    async with canary(server):
        ended = await call_raw(server.address, audio_message(bytes(8)))
    assert (ended.code, ended.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "CONFIG_REQUIRED")


async def test_a_second_config_ends_the_stream(server: Serving):
    async with canary(server):
        ended = await call_raw(server.address, CONFIG, CONFIG, half_close=False)
    assert (ended.code, ended.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "CONFIG_REPEATED")


@pytest.mark.parametrize("empty", [b"", UNKNOWN_FIELD], ids=["nothing", "a field of a later version"])
async def test_a_first_message_without_a_known_member_is_refused(server: Serving, empty: bytes):
    async with canary(server):
        ended = await call_raw(server.address, empty)
    assert (ended.code, ended.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "CONFIG_REQUIRED")


async def test_a_later_message_without_a_known_member_is_ignored_with_an_event(server: Serving):
    finish = transfer_service_pb2.StreamTransferRequest()
    finish.finish.SetInParent()
    async with canary(server):
        ended = await call_raw(server.address, CONFIG, UNKNOWN_FIELD, finish.SerializeToString())
    assert ended.code is grpc.StatusCode.OK
    answers = [transfer_service_pb2.StreamTransferResponse.FromString(answer) for answer in ended.answers]
    kinds = [answer.event.kind for answer in answers if answer.HasField("event")]
    assert kinds == [transfer_service_pb2.STREAM_EVENT_KIND_UNKNOWN_MESSAGE]
    assert EventKind.UNKNOWN_MESSAGE.name == "UNKNOWN_MESSAGE"


async def test_unknown_fields_beside_a_known_member_are_ignored(server: Serving):
    finish = transfer_service_pb2.StreamTransferRequest()
    finish.finish.SetInParent()
    ended = await call_raw(server.address, CONFIG + UNKNOWN_FIELD, finish.SerializeToString() + UNKNOWN_FIELD)
    assert ended.code is grpc.StatusCode.OK


def depth_bomb() -> bytes:
    """A group within a group, 20000 deep."""
    return b"\x0b" * 20000 + b"\x0c" * 20000


@pytest.mark.parametrize(
    "garbage", [b"\xff" * 32, b"\x0a\xff", depth_bomb()], ids=["garbage", "truncated", "depth bomb"]
)
@pytest.mark.parametrize("before", [(), (CONFIG,)], ids=["first", "later"])
async def test_bytes_that_are_no_message_are_malformed(server: Serving, garbage: bytes, before: tuple[bytes, ...]):
    async with canary(server):
        ended = await call_raw(server.address, *before, garbage)
    assert (ended.code, ended.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_MESSAGE")
    assert_leaks_nothing(ended)


@pytest.mark.parametrize(
    "method",
    [
        "/deepmusic.v1.ModelService/ListBundles",
        "/deepmusic.v1.StyleService/CreateStyle",
        "/grpc.health.v1.Health/Check",
    ],
)
async def test_bytes_that_are_no_message_are_malformed_for_every_service(server: Serving, method: str):
    ended = await call_raw(server.address, b"\xff" * 32, method=method)
    assert (ended.code, ended.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_MESSAGE")
    assert_leaks_nothing(ended)


def assert_leaks_nothing(ended: Ended) -> None:
    for word in ("_pb2", "DecodeError", "deepmusic.v1", "Traceback", "Exception"):
        assert word not in ended.message


async def test_a_message_beyond_the_limit_is_refused_by_the_library_in_flat_memory(server: Serving):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with canary(server):
        for _ in range(5):
            ended = await call_raw(server.address, CONFIG, bytes(5 * 1024 * 1024), half_close=False)
            assert ended.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib < 100 * 1024  # the client's own five copies live in this process too


async def test_a_live_message_beyond_the_live_limit_is_a_bad_block(server: Serving):
    async with canary(server):
        ended = await call_raw(server.address, CONFIG, audio_message(bytes(300 * 1024)), half_close=False)
    assert (ended.code, ended.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "BAD_BLOCK_SIZE")


async def test_metadata_beyond_the_limit_is_refused_by_the_library(server: Serving):
    async with canary(server):
        ended = await call_raw(server.address, CONFIG, metadata=[("x-long", "a" * 20000)])
    assert ended.code is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("method", ["/deepmusic.v1.TransferService/Nothing", "/nobody.Service/Method"])
async def test_a_method_that_nobody_serves_is_unimplemented(server: Serving, method: str):
    async with canary(server):
        ended = await call_raw(server.address, b"", method=method)
    assert (ended.code, ended.reason) == (grpc.StatusCode.UNIMPLEMENTED, "METHOD_UNKNOWN")


def damaged_config(field: str, value: int) -> bytes:
    message = write_config(config())
    setattr(message.format, field, value)
    return transfer_service_pb2.StreamTransferRequest(config=message).SerializeToString()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sample_rate_hz", 0),
        ("sample_rate_hz", 1),
        ("sample_rate_hz", 22050),
        ("sample_rate_hz", 2**31 - 1),
        ("n_channels", 0),
        ("n_channels", 9),
        ("n_channels", 1024),
        ("n_channels", 2**31 - 1),
        ("sample_format", 0),
        ("sample_format", 99),
    ],
)
async def test_a_format_that_is_not_supported_is_refused_by_its_field(server: Serving, field: str, value: int):
    ended = await call_raw(server.address, damaged_config(field, value), half_close=False)
    assert (ended.code, ended.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "BAD_CONFIG")
    violations = ended.detail(error_details_pb2.BadRequest).field_violations
    assert [violation.field for violation in violations] == [f"config.format.{field}"]
    assert server.sessions.n_open == 0


async def test_the_canary_hears_nothing_of_formats_that_are_refused(server: Serving):
    async with canary(server):
        for value in (0, 1024):
            await call_raw(server.address, damaged_config("n_channels", value), half_close=False)


@pytest.mark.parametrize("n_bytes", [0, 1, 7, 9, 16385 * 8], ids=str)
async def test_a_block_of_a_wrong_size_ends_the_stream(server: Serving, n_bytes: int):
    async with canary(server):
        ended = await call_raw(server.address, CONFIG, audio_message(bytes(n_bytes)), half_close=False)
    assert (ended.code, ended.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "BAD_BLOCK_SIZE")


async def test_the_largest_block_is_taken(client: RpcClient):
    async with client.transfer(config()) as call:
        audio = noise(call.ready.max_block_samples)
        await play(call, audio, call.ready.max_block_samples)
        heard = await listen(call)
    assert heard.summary is not None
    assert heard.summary.stats.samples_in == call.ready.max_block_samples
