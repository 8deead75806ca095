"""ModelService: what the server can play with."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc.aio

from deepmusic.session.parameters import PARAMETERS
from deepmusic.transports.rpc.ports import BundleShelf
from deepmusic.transports.wire.listings import write_bundle_listing, write_parameter
from deepmusic.v1 import model_service_pb2, model_service_pb2_grpc

_Context = grpc.aio.ServicerContext[Any, Any]


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """Serves lists of bundles and parameters.

    Args:
        bundles: Where the bundles are.
    """

    def __init__(self, bundles: BundleShelf) -> None:
        self._bundles = bundles

    async def ListBundles(  # noqa: N802 (gRPC's name)
        self, request: model_service_pb2.ListBundlesRequest, context: _Context
    ) -> model_service_pb2.ListBundlesResponse:
        """[loop] Every bundle."""
        listings = await asyncio.to_thread(self._bundles.listings)
        return model_service_pb2.ListBundlesResponse(bundles=map(write_bundle_listing, listings))

    async def GetBundle(  # noqa: N802 (gRPC's name)
        self, request: model_service_pb2.GetBundleRequest, context: _Context
    ) -> model_service_pb2.GetBundleResponse:
        """[loop] One bundle."""
        listing = await asyncio.to_thread(self._bundles.listing, request.name)
        return model_service_pb2.GetBundleResponse(bundle=write_bundle_listing(listing))

    async def ListParameters(  # noqa: N802 (gRPC's name)
        self, request: model_service_pb2.ListParametersRequest, context: _Context
    ) -> model_service_pb2.ListParametersResponse:
        """[loop] The registry of parameters."""
        return model_service_pb2.ListParametersResponse(parameters=map(write_parameter, PARAMETERS.values()))
