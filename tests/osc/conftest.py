"""A server of streams with OSC beside it, and a rig that speaks to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deepmusic.transports.osc.endpoint import OscServer
from deepmusic.transports.rpc.client import RpcClient
from tests.osc.rig import Rig
from tests.rpc.serving import Serving, serving
from tests.support.bundles import passthrough_bundle, style_gain_bundle


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What a performer finds."""

    serving: Serving
    osc: OscServer
    osc_address: str


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    bundles = {"passthrough": passthrough_bundle, "style-gain": style_gain_bundle}
    async with serving(tmp_path, bundles, default="style-gain") as running:
        osc = OscServer(running.sessions, running.styles, opener=running.sessions)
        port = await osc.start("127.0.0.1", 0)
        yield Stage(serving=running, osc=osc, osc_address=f"127.0.0.1:{port}")
        await osc.stop()


@pytest.fixture
async def client(stage: Stage) -> AsyncIterator[RpcClient]:
    async with RpcClient(stage.serving.address) as connected:
        yield connected


@pytest.fixture
def rig(stage: Stage) -> Iterator[Rig]:
    with Rig(stage.osc_address) as connected:
        yield connected
