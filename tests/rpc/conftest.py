"""A server for the tests of a module, and clients to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deepmusic.transports.rpc.client import RpcClient
from tests.rpc.serving import Serving, serving
from tests.support.bundles import passthrough_bundle, style_gain_bundle


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Serving]:
    bundles = {"passthrough": passthrough_bundle, "style-gain": style_gain_bundle}
    async with serving(tmp_path, bundles, default="passthrough") as running:
        yield running


@pytest.fixture
async def client(server: Serving) -> AsyncIterator[RpcClient]:
    async with RpcClient(server.address) as connected:
        yield connected
