"""The sound card's stream on a server elsewhere: what it does while that server is away."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from deepmusic.app.live_stream import StreamWish
from deepmusic.app.remote_stream import RemoteStream
from deepmusic.audio import AudioFormat
from deepmusic.errors import ServerUnreachable
from tests.rpc.serving import serving
from tests.support.bundles import passthrough_bundle

STEREO, MONO = (AudioFormat(sample_rate_hz=48000, n_channels=n) for n in (2, 1))


async def test_a_device_that_comes_back_otherwise_while_the_server_is_away_is_told_so_each_time(tmp_path: Path):
    wish = StreamWish(style="plain", bundle="passthrough")
    async with serving(tmp_path, {"passthrough": passthrough_bundle}, default="passthrough") as running:
        stream = await asyncio.to_thread(RemoteStream, wish, lambda _: None, server=running.address)
        await asyncio.to_thread(stream.open, STEREO, 1024)
    try:
        for _ in range(2):
            with pytest.raises(ServerUnreachable):
                await asyncio.to_thread(stream.open, MONO, 1024)
    finally:
        await asyncio.to_thread(stream.close)
