"""The server around the streams: errors, health, reflection, encryption, the port, and how it starts and stops (39)."""

from __future__ import annotations

import logging
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from deepmusic.app.sessions import Sessions
from deepmusic.errors import InternalError, PortInUse, ServerUnreachable
from deepmusic.session.events import InEvent
from deepmusic.session.parameters import PARAMETERS
from deepmusic.transports.rpc.client import RpcClient
from deepmusic.transports.rpc.server import MODELS, STYLES, TRANSFER, RpcServer, TlsFiles
from deepmusic.transports.wire.requests import write_request
from tests.rpc.canary import canary
from tests.rpc.raw import call_raw
from tests.rpc.serving import CatalogListings, Serving, config, listen, noise, serving
from tests.support.bundles import passthrough_bundle, style_gain_bundle

BUNDLES = {"passthrough": passthrough_bundle, "style-gain": style_gain_bundle}
SECRET = "the password is swordfish"


class BuggyOpener:
    """Opens sessions that raise on their third event, and none at all for the style named bug."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def open(self, config, *, max_block_samples, emit):
        if config.session_id == "bug at once":
            raise KeyError(SECRET)
        session = self._sessions.open(config, max_block_samples=max_block_samples, emit=emit)
        return BuggySession(session) if config.session_id == "bug later" else session


class BuggySession:
    def __init__(self, session) -> None:
        self._session = session
        self._n_left = 2

    def post(self, event: InEvent) -> None:
        self._n_left -= 1
        if self._n_left < 0:
            raise ZeroDivisionError(SECRET)
        self._session.post(event)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


@pytest.mark.parametrize("session_id", ["bug at once", "bug later"])
async def test_a_bug_of_ours_is_internal_and_says_nothing_of_our_insides(
    tmp_path: Path, session_id: str, caplog: pytest.LogCaptureFixture
):
    async with serving(tmp_path, BUNDLES, default="passthrough", opener_around=BuggyOpener) as server:
        opening = write_request(replace(config(), session_id=session_id)).SerializeToString()
        message = b"\x12\x0a\x1a\x08" + bytes(8)  # one frame of audio
        async with canary(server):
            with caplog.at_level(logging.ERROR):
                ended = await call_raw(server.address, opening, message, message, message, half_close=False)
        assert (ended.code, ended.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL_ERROR")
        request_id = ended.detail(error_details_pb2.RequestInfo).request_id
        assert request_id in ended.message
        assert SECRET not in ended.message
        assert all(SECRET.encode() not in value for _, value in ended.trailing if isinstance(value, bytes))
        assert request_id in caplog.text
        await server.wait_until(lambda: server.sessions.n_open == 0)


async def test_a_bug_in_a_unary_call_is_internal_too(server: Serving, client: RpcClient, monkeypatch):
    def raising(self: object) -> list[object]:
        raise RuntimeError(SECRET)

    monkeypatch.setattr(CatalogListings, "listings", raising)
    with pytest.raises(InternalError) as failed:
        await client.bundles()
    assert SECRET not in failed.value.message


async def test_the_registry_of_parameters_is_served(client: RpcClient):
    assert await client.parameter_names() == tuple(PARAMETERS)


async def test_health_says_for_each_service_whether_it_serves(server: Serving):
    async with grpc.aio.insecure_channel(server.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)

        async def health(service: str) -> int:
            return (await stub.Check(health_pb2.HealthCheckRequest(service=service))).status

        services = (TRANSFER, STYLES, MODELS, "")
        assert {await health(service) for service in services} == {health_pb2.HealthCheckResponse.NOT_SERVING}
        await server.server.serve({TRANSFER: True})
        assert await health(TRANSFER) == health_pb2.HealthCheckResponse.SERVING
        assert await health(STYLES) == health_pb2.HealthCheckResponse.NOT_SERVING
    unknown = await call_raw(server.address, b"\x0a\x03abc", method="/grpc.health.v1.Health/Check")
    assert unknown.code is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("with_reflection", [True, False])
async def test_reflection_is_there_only_when_asked_for(tmp_path: Path, with_reflection: bool):
    async with (
        serving(tmp_path, BUNDLES, default="passthrough", with_reflection=with_reflection) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
        if with_reflection:
            names = {service.name for service in (await call.read()).list_services_response.service}
            assert {TRANSFER, STYLES, MODELS} < names
        else:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call.read()
            assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


def self_signed(folder: Path) -> TlsFiles:
    """A certificate for 127.0.0.1, by openssl."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-keyout", str(key), "-out", str(certificate), "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"),
        ],
        check=True,
        capture_output=True,
    )
    return TlsFiles(certificate_chain=certificate.read_bytes(), private_key=key.read_bytes())


async def test_a_server_with_a_certificate_speaks_tls_alone(tmp_path: Path):
    tls = self_signed(tmp_path)
    async with serving(tmp_path / "bundles", BUNDLES, default="passthrough", tls=tls) as server:
        async with (
            RpcClient(server.address, root_certificates=tls.certificate_chain) as client,
            client.transfer(config()) as call,
        ):
            await call.send(noise(480))
            await call.finish()
            heard = await listen(call)
        assert heard.summary is not None
        async with RpcClient(server.address) as plain:
            with pytest.raises(ServerUnreachable):
                await plain.bundles()


async def test_a_second_server_at_the_same_address_is_refused(server: Serving):
    second = RpcServer(server.sessions, CatalogListings(server.catalog, "passthrough"), server.styles)
    with pytest.raises(PortInUse, match=r"choose another with --grpc HOST:PORT") as refused:
        await second.start(server.address)
    assert refused.value.resource == server.address
    await second.stop(0.0)


async def test_a_server_that_is_not_there_is_said_to_be_not_there():
    async with RpcClient("127.0.0.1:1") as client:
        with pytest.raises(ServerUnreachable, match="deepmusic serve"):
            await client.bundles()
        with pytest.raises(ServerUnreachable):
            await client.transfer(config()).__aenter__()
