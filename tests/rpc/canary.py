"""A healthy live stream beside a fault: bit-exact and on time, whatever happens to its neighbours."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import numpy as np

from deepmusic.audio import AudioFormat
from deepmusic.session.config import SessionConfig
from deepmusic.session.offline import render
from deepmusic.transports.rpc.client import RpcClient
from tests.rpc.serving import Serving, config, listen, noise

RATE_HZ = 48000
BLOCK_SAMPLES = 960
"""20 ms."""
SHORTEST_BLOCKS = 10
DEADLINE_SAMPLES = 4 * RATE_HZ
"""On time to within 4 s: the tests share their cores; a stream that waits for a fault waits longer."""


@contextlib.asynccontextmanager
async def canary(serving: Serving, bundle: str = "style-gain", style: str = "quiet") -> AsyncIterator[None]:
    """Plays while the block runs, then holds what came back against an offline render of the same samples."""
    has_fault_passed = asyncio.Event()
    audio = noise(60 * RATE_HZ, seed=7)
    stream_config = config(style=style, bundle=bundle, deadline_samples=DEADLINE_SAMPLES)

    async with RpcClient(serving.address) as client, client.transfer(stream_config) as call:

        async def feed() -> int:
            loop = asyncio.get_running_loop()
            start_s = loop.time()
            n_blocks = 0
            while n_blocks < SHORTEST_BLOCKS or not has_fault_passed.is_set():
                start = n_blocks * BLOCK_SAMPLES
                await call.send(audio[:, start : start + BLOCK_SAMPLES])
                n_blocks += 1
                await asyncio.sleep(start_s + n_blocks * BLOCK_SAMPLES / RATE_HZ - loop.time())
            await call.finish()
            return n_blocks * BLOCK_SAMPLES

        async with asyncio.TaskGroup() as tasks:
            hearing = tasks.create_task(listen(call))
            feeding = tasks.create_task(feed())
            yield
            has_fault_passed.set()
        heard, n_samples = hearing.result(), feeding.result()

    loaded = serving.catalog.get(bundle)
    expected = render(
        SessionConfig(audio_format=AudioFormat(sample_rate_hz=RATE_HZ, n_channels=2)),
        loaded.transfer,
        serving.styles.vector(style, loaded),
        audio[:, :n_samples],
    )
    assert heard.summary is not None
    assert heard.summary.stats.late_steps == 0
    assert heard.summary.stats.samples_in == n_samples
    assert heard.events == ()
    np.testing.assert_array_equal(heard.audio[:, call.ready.latency_samples :], expected)
