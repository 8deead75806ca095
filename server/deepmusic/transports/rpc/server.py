"""The gRPC server: services, health, reflection, encryption, and the order in which it stops."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from deepmusic.errors import PortInUse
from deepmusic.transports.rpc.interceptors import ErrorMapping
from deepmusic.transports.rpc.model_service import ModelService
from deepmusic.transports.rpc.options import SERVER_OPTIONS
from deepmusic.transports.rpc.ports import BundleShelf, SessionOpener, StyleShelf
from deepmusic.transports.rpc.style_service import StyleService
from deepmusic.transports.rpc.terms import StreamLimits
from deepmusic.transports.rpc.transfer_service import TransferService
from deepmusic.v1 import (
    model_service_pb2,
    model_service_pb2_grpc,
    style_service_pb2,
    style_service_pb2_grpc,
    transfer_service_pb2,
    transfer_service_pb2_grpc,
)

# Generated registration functions come without types.
_transfer: Any = transfer_service_pb2_grpc
_styles: Any = style_service_pb2_grpc
_models: Any = model_service_pb2_grpc
_healths: Any = health_pb2_grpc
_health_aio: Any = cast("Any", health).aio

TRANSFER, STYLES, MODELS = (
    module.DESCRIPTOR.services_by_name[name].full_name
    for module, name in (
        (transfer_service_pb2, "TransferService"),
        (style_service_pb2, "StyleService"),
        (model_service_pb2, "ModelService"),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """A server's certificate and key, PEM."""

    certificate_chain: bytes
    """The certificate, then those that signed it."""
    private_key: bytes
    """Its key."""


class RpcServer:
    """Serves the three services at one address. All methods are [loop], its making too.

    Args:
        opener: Opens sessions.
        bundles: Lists bundles.
        styles: Keeps styles.
        limits: For every stream.
        tls: Encrypts; ``None`` for plain text.
        with_reflection: Lets tools like grpcurl ask for the services.
    """

    def __init__(
        self,
        opener: SessionOpener,
        bundles: BundleShelf,
        styles: StyleShelf,
        *,
        limits: StreamLimits | None = None,
        tls: TlsFiles | None = None,
        with_reflection: bool = False,
    ) -> None:
        self._server = grpc.aio.server(interceptors=(ErrorMapping(),), options=SERVER_OPTIONS)
        self._tls = tls
        self.transfers = TransferService(opener, limits or StreamLimits())
        _transfer.add_TransferServiceServicer_to_server(self.transfers, self._server)
        _styles.add_StyleServiceServicer_to_server(StyleService(styles), self._server)
        _models.add_ModelServiceServicer_to_server(ModelService(bundles), self._server)
        self._health = _health_aio.HealthServicer()
        _healths.add_HealthServicer_to_server(self._health, self._server)
        if with_reflection:
            from grpc_reflection.v1alpha import reflection

            names = (TRANSFER, STYLES, MODELS, health.SERVICE_NAME, reflection.SERVICE_NAME)
            reflection.enable_server_reflection(names, self._server)

    async def start(self, address: str) -> int:
        """Listens; health says NOT_SERVING for all until ``serve`` says otherwise.

        Args:
            address: "HOST:PORT"; port 0 takes a free one.

        Returns:
            The port.

        Raises:
            PortInUse: Somebody listens there already, or the host is none of this machine's.
        """
        await self.serve({"": False, TRANSFER: False, STYLES: False, MODELS: False})
        try:
            if self._tls is None:
                port = self._server.add_insecure_port(address)
            else:
                pair = (self._tls.private_key, self._tls.certificate_chain)
                port = self._server.add_secure_port(address, grpc.ssl_server_credentials([pair]))
        except RuntimeError:
            port = 0
        if port == 0:
            raise PortInUse(
                f"expected a free address, got {address}, where something listens already or which is not this "
                "machine's; stop that, or choose another with --grpc HOST:PORT",
                resource=address,
            )
        await self._server.start()
        return port

    async def serve(self, services: Mapping[str, bool]) -> None:
        """Sets the health of services by name; the empty name is the whole server."""
        for service, is_serving in services.items():
            status = (
                health_pb2.HealthCheckResponse.SERVING if is_serving else health_pb2.HealthCheckResponse.NOT_SERVING
            )
            await self._health.set(service, status)

    async def stop(self, grace_s: float) -> None:
        """Refuses new streams, tells the open ones, waits for them as long as ``grace_s``, then ends what is left."""
        await self._health.enter_graceful_shutdown()
        self.transfers.go_away()
        await self._server.stop(grace_s)
