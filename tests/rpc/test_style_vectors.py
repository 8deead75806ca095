"""Styles' vectors over gRPC: given out, put back, and what a damaged one gets."""

from __future__ import annotations

from collections.abc import Callable

import grpc
import numpy as np
import pytest

from deepmusic.errors import BadName, StyleDamaged, StyleNotFound
from deepmusic.model.style_vector import StyleVector
from deepmusic.transports.rpc.client import RpcClient
from deepmusic.transports.wire.style_vectors import MAX_VECTOR_BYTES, read_style_vector, write_style_vector
from deepmusic.v1 import style_pb2, style_service_pb2
from tests.rpc.raw import call_raw
from tests.rpc.serving import BUNDLE_DIGEST, STYLE_GAINS_DB, Serving
from tests.support.bundles import STYLE_SIZE

IMPORT = "/deepmusic.v1.StyleService/ImportStyle"


def a_vector(name: str = "brass") -> StyleVector:
    values = np.random.default_rng(5).standard_normal(512).astype(np.float32)
    return StyleVector(values=values, bundle_digest=BUNDLE_DIGEST, name=name)


async def test_a_style_is_given_out_and_put_back(server: Serving, client: RpcClient):
    vector = await client.export_style("quiet", bundle="passthrough")
    assert (vector.name, vector.bundle_digest) == ("quiet", BUNDLE_DIGEST)
    assert vector.values.tolist() == [STYLE_GAINS_DB["quiet"]] * STYLE_SIZE
    listing = await client.import_style(vector.renamed("other"), bundle="passthrough", temporary=True)
    assert (listing.name, listing.temporary) == ("other", True)
    ((imported, bundle, temporary),) = server.styles.imported
    assert (imported.digest, bundle, temporary) == (vector.digest, "passthrough", True)


async def test_what_is_not_there_is_not_given_out(client: RpcClient):
    with pytest.raises(StyleNotFound):
        await client.export_style("kazoo")
    with pytest.raises(BadName):
        await client.export_style("")
    with pytest.raises(BadName):
        await client.export_style("quiet", bundle="x" * 65)


def test_a_vector_travels_bit_for_bit():
    vector = a_vector()
    read = read_style_vector(style_pb2.StyleVector.FromString(write_style_vector(vector).SerializeToString()))
    np.testing.assert_array_equal(read.values, vector.values)
    assert (read.name, read.bundle_digest, read.digest) == (vector.name, vector.bundle_digest, vector.digest)


def with_values(message: style_pb2.StyleVector, values: bytes) -> None:
    message.values = values


def with_infinity(message: style_pb2.StyleVector) -> None:
    values = np.frombuffer(message.values, "<f4").copy()
    values[3] = np.inf
    message.values = values.tobytes()


def with_another_digest(message: style_pb2.StyleVector) -> None:
    message.digest = a_vector().renamed("x").digest[::-1]


def without_a_bundle(message: style_pb2.StyleVector) -> None:
    message.bundle_digest = "A" * 64


@pytest.mark.parametrize(
    ("damage", "field"),
    [
        (lambda message: with_values(message, b""), "vector.values"),
        (lambda message: with_values(message, bytes(6)), "vector.values"),
        (lambda message: with_values(message, bytes(MAX_VECTOR_BYTES + 4)), "vector.values"),
        (lambda message: with_values(message, bytes(2048)), "vector.digest"),
        (with_infinity, "vector.values"),
        (with_another_digest, "vector.digest"),
        (without_a_bundle, "vector.bundle_digest"),
    ],
    ids=["empty", "half a value", "too long", "other values", "infinite", "another digest", "no bundle"],
)
async def test_a_damaged_vector_is_refused(
    server: Serving, damage: Callable[[style_pb2.StyleVector], None], field: str
):
    message = write_style_vector(a_vector())
    damage(message)
    with pytest.raises(StyleDamaged) as refused:
        read_style_vector(message)
    assert refused.value.field == field
    request = style_service_pb2.ImportStyleRequest(vector=message)
    ended = await call_raw(server.address, request.SerializeToString(), method=IMPORT)
    assert (ended.code, ended.reason) == (grpc.StatusCode.INVALID_ARGUMENT, StyleDamaged.reason)
    assert server.styles.imported == []


async def test_an_empty_import_is_refused(server: Serving):
    ended = await call_raw(server.address, b"", method=IMPORT)
    assert (ended.code, ended.reason) == (grpc.StatusCode.INVALID_ARGUMENT, BadName.reason)
