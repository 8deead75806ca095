"""Styles over gRPC: uploads, lists, removal, and what a bad upload gets."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any

import grpc
import numpy as np
import pytest

from deepmusic.audio import Audio
from deepmusic.errors import (
    AudioTooLong,
    AudioTooShort,
    BadConfig,
    BadName,
    MalformedMessage,
    NoCapacity,
    StyleExists,
    StyleNotFound,
)
from deepmusic.transports.rpc import style_service
from deepmusic.transports.rpc.client import RpcClient
from deepmusic.transports.wire.listings import StyleListing
from deepmusic.transports.wire.pcm import SampleFormat
from deepmusic.transports.wire.requests import write_format
from deepmusic.v1 import style_service_pb2
from tests.rpc.raw import call_raw
from tests.rpc.serving import STYLE_GAINS_DB, Serving, noise

CREATE = "/deepmusic.v1.StyleService/CreateStyle"


async def test_a_style_is_created_listed_and_removed(server: Serving, client: RpcClient):
    recording = noise(50000)
    created = await client.create_style("brass", recording, 22050)
    assert created.name == "brass"
    assert server.styles.created == [("brass", (2, 50000), 22050)]
    assert {listing.name for listing in await client.styles()} == {*STYLE_GAINS_DB, "brass"}
    assert await client.style("brass") == StyleListing(name="brass")
    await client.delete_style("brass")
    with pytest.raises(StyleNotFound):
        await client.style("brass")
    with pytest.raises(StyleNotFound):
        await client.delete_style("brass")


async def test_a_temporary_style_is_named_by_the_server(client: RpcClient):
    created = await client.create_style("", noise(5000), 48000, temporary=True)
    assert created.temporary
    assert created.name.startswith("temporary-")


async def test_a_name_that_is_taken_is_refused(client: RpcClient):
    with pytest.raises(StyleExists) as refused:
        await client.create_style("plain", noise(5000), 48000)
    assert refused.value.resource == "plain"


@pytest.mark.parametrize("name", ["", "x" * 65, "a\nb", "a\0b"], ids=ascii)
async def test_a_name_that_cannot_be_one_is_refused(client: RpcClient, name: str):
    with pytest.raises(BadName):
        await client.create_style(name, noise(5000), 48000)
    with pytest.raises(BadName):
        await client.style(name)
    with pytest.raises(BadName):
        await client.delete_style(name)


async def test_an_upload_beyond_the_limit_is_refused(client: RpcClient, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(style_service, "MAX_UPLOAD_VALUES", 40000)
    with pytest.raises(AudioTooLong, match="send excerpts"):
        await client.create_style("long", noise(200000), 48000)


async def test_uploads_beyond_their_number_are_refused(client: RpcClient, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(style_service, "MAX_UPLOADS", 0)
    with pytest.raises(NoCapacity) as refused:
        await client.create_style("one", noise(5000), 48000)
    assert refused.value.retry_after_s == 2.0


async def test_a_client_that_goes_while_its_style_is_learned_leaves_no_place_before_that_is_done(
    server: Serving, client: RpcClient
):
    begun, may_end, inner = list[str](), threading.Event(), server.styles.create

    def slow(name: str, audio: Audio, sample_rate_hz: int, **rest: Any) -> StyleListing:
        begun.append(name)
        assert may_end.wait(20)
        return inner(name, audio, sample_rate_hz, **rest)

    server.styles.create = slow  # type: ignore[method-assign]
    names = [f"style {n}" for n in range(style_service.MAX_UPLOADS)]
    going = [asyncio.create_task(client.create_style(name, noise(4800, 1), 48000)) for name in names]
    await server.wait_until(lambda: len(begun) == len(names))
    for task in going:
        task.cancel()
    await asyncio.gather(*going, return_exceptions=True)
    for _ in range(20):
        with pytest.raises(NoCapacity):
            await client.create_style("one more", noise(4800, 1), 48000)
    may_end.set()
    await server.wait_until(lambda: len(server.styles.created) == len(names))
    assert (await client.create_style("one more", noise(4800, 1), 48000)).name == "one more"


async def test_an_upload_without_samples_is_too_short(client: RpcClient):
    with pytest.raises(AudioTooShort):
        await client.create_style("nothing", np.zeros((1, 0), np.float32), 48000)


@pytest.mark.parametrize("rate_hz", [0, 7999, 192001])
async def test_an_upload_of_an_impossible_rate_is_refused(client: RpcClient, rate_hz: int):
    with pytest.raises(BadConfig) as refused:
        await client.create_style("fast", noise(5000), rate_hz)
    assert refused.value.field == "header.format.sample_rate_hz"


async def test_an_upload_of_too_many_channels_is_refused(client: RpcClient):
    nine: Audio = np.zeros((9, 1000), np.float32)
    with pytest.raises(BadConfig) as refused:
        await client.create_style("wide", nine, 48000)
    assert refused.value.field == "header.format.n_channels"


def header(sample_format: SampleFormat = SampleFormat.F32LE) -> bytes:
    upload = style_service_pb2.StyleUpload(name="x", format=write_format(48000, 1, sample_format))
    return style_service_pb2.CreateStyleRequest(header=upload).SerializeToString()


def pcm(n_bytes: int) -> bytes:
    return style_service_pb2.CreateStyleRequest(pcm=bytes(n_bytes)).SerializeToString()


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ((), MalformedMessage.reason),
        ((b"",), MalformedMessage.reason),
        ((pcm(4),), MalformedMessage.reason),
        ((header(), header()), MalformedMessage.reason),
        ((header(), pcm(5)), "BAD_BLOCK_SIZE"),
    ],
    ids=["nothing", "an empty part", "samples first", "two headers", "half a sample"],
)
async def test_an_upload_whose_parts_are_out_of_order_is_refused(
    server: Serving, parts: tuple[bytes, ...], reason: str
):
    ended = await call_raw(server.address, *parts, method=CREATE)
    assert (ended.code, ended.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
    assert server.styles.created == []


async def test_an_upload_that_trickles_in_gives_its_place_back(server: Serving, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(style_service, "MAX_UPLOAD_S", 0.5)
    async with grpc.aio.insecure_channel(server.address) as channel:
        call = channel.stream_unary(CREATE)()
        await call.write(header(SampleFormat.S16LE))
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            for _ in range(100):
                await call.write(pcm(2))
                await asyncio.sleep(0.05)
        assert await call.code() == grpc.StatusCode.CANCELLED
        assert "all of them within 0.5 s" in (await call.details() or "")
    assert server.styles.created == []


async def test_a_part_of_an_upload_is_as_long_as_the_contract_says(server: Serving):
    longest = 2 * style_service.LARGEST_PART_SAMPLES
    for n_bytes, code in ((longest + 2, grpc.StatusCode.INVALID_ARGUMENT), (longest, grpc.StatusCode.OK)):
        ended = await call_raw(server.address, header(SampleFormat.S16LE), pcm(n_bytes), method=CREATE)
        assert ended.code is code
    assert server.styles.created == [("x", (1, 1 << 20), 48000)]
