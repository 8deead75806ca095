"""Opens a stream, sends a block a second for ever, and says so: run by a test that kills it.

Usage: abandoned_stream.py HOST:PORT
"""

from __future__ import annotations

import asyncio
import sys

import numpy as np

from deepmusic.audio import AudioFormat
from deepmusic.transports.rpc.client import RpcClient
from deepmusic.transports.wire.messages import StreamConfig, StyleShare


async def main(address: str) -> None:
    config = StreamConfig(
        audio_format=AudioFormat(sample_rate_hz=48000, n_channels=2),
        styles=(StyleShare(name="plain"),),
        deadline_samples=None,
    )
    async with RpcClient(address) as client, client.transfer(config) as call:
        await call.send(np.zeros((2, 480), np.float32))
        print("open", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
