"""How long a block is on its way to a server and back when no model step is waited for."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import numpy as np

from deepmusic.app.server import Server
from deepmusic.cli.measurements import AUDIO_FORMAT, N_CHANNELS, RATE_HZ, STEP_SAMPLES, Distribution, example_content
from deepmusic.config import ServerConfig
from deepmusic.model.catalog import LoadedBundle
from deepmusic.model.chosen_bundle import is_path
from deepmusic.transports.rpc.client import RpcClient, StyledAudio
from deepmusic.transports.wire.messages import StreamConfig, StyleShare

BLOCK_SAMPLES = 256
"""Three of four such blocks end no step, so that their answer is a matter of transport alone: those are counted."""

N_BLOCKS = 2000


def grpc_round_trip(chosen: str, bundle: LoadedBundle) -> Distribution:
    """A server of this process on loopback and a client that sends a block when the last one has come back."""
    folder = str(Path(chosen).parent) if is_path(chosen) else ""
    config = ServerConfig(grpc="127.0.0.1:0", bundle=bundle.bundle.manifest.name, bundles=folder, grace_s=0.0)
    return Distribution.of(asyncio.run(_measure(config)))


async def _measure(config: ServerConfig) -> list[float]:
    server = Server(config)
    facts = await server.start()
    try:
        async with RpcClient(facts.grpc) as client:
            listing = await client.create_style("", example_content(2.0), RATE_HZ, temporary=True)
            stream = StreamConfig(
                audio_format=AUDIO_FORMAT, styles=(StyleShare(name=listing.name),), deadline_samples=None
            )
            return await _ping(client, stream)
    finally:
        await server.stop()


async def _ping(client: RpcClient, config: StreamConfig) -> list[float]:
    block = np.zeros((N_CHANNELS, BLOCK_SAMPLES), np.float32)
    times: list[float] = []
    async with client.transfer(config) as call:
        answers = aiter(call)
        for index in range(N_BLOCKS):
            started_s = time.perf_counter()
            await call.send(block)
            while not isinstance(await anext(answers), StyledAudio):
                pass
            if (index + 1) * BLOCK_SAMPLES % STEP_SAMPLES:
                times.append(time.perf_counter() - started_s)
    return times
