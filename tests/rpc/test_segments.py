"""Streams of a segment bundle through a server: later than others, and the same samples as offline."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deepmusic.session.events import AudioFlag
from deepmusic.transports.rpc.client import RpcClient
from deepmusic.transports.rpc.playback import play_through
from deepmusic.transports.wire.messages import EventKind
from tests.rpc.serving import Serving, config, listen, noise, play, rendered, serving
from tests.support import bundles

LATENCY = 1855 + 256 * (bundles.SEGMENT_FRAMES - bundles.STEP_FRAMES + bundles.LOOK_AHEAD_FRAMES)
SEGMENT = 256 * bundles.SEGMENT_FRAMES

LONG_CUSHION = 4 * 48000
"""So long that a busy machine is no reason for a late step."""


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Serving]:
    builders = {"segment-style": bundles.segment_style_bundle, "passthrough": bundles.passthrough_bundle}
    async with serving(tmp_path, builders, default="segment-style") as running:
        yield running


@pytest.fixture
async def client(server: Serving) -> AsyncIterator[RpcClient]:
    async with RpcClient(server.address) as connected:
        yield connected


async def test_ready_declares_the_latency_and_a_cushion_of_a_segment(client: RpcClient):
    async with client.transfer(config(bundle="segment-style", deadline_samples=0)) as call:
        assert call.ready.latency_samples == LATENCY
        assert call.ready.config.deadline_samples == call.ready.step_samples == SEGMENT


@pytest.mark.parametrize("block_samples", [300, 4096])
async def test_a_stream_at_full_speed_gives_the_samples_of_the_offline_render(
    server: Serving, client: RpcClient, block_samples: int
):
    audio, settings = noise(40000), config(bundle="segment-style", style="faint")
    played = await play_through(client, settings, audio, block_samples=block_samples)
    np.testing.assert_array_equal(played.audio, rendered(server, settings, audio))
    assert (played.late_blocks, played.dry_blocks) == (0, 0)


async def test_a_stream_at_live_pace_is_never_late_and_gives_the_same_samples(server: Serving, client: RpcClient):
    audio, settings = noise(48000), config(bundle="segment-style", style="faint", deadline_samples=LONG_CUSHION)
    played = await play_through(client, settings, audio, block_samples=512)
    np.testing.assert_array_equal(played.audio, rendered(server, replace(settings, deadline_samples=None), audio))
    assert (played.late_blocks, played.dry_blocks) == (0, 0)


async def test_a_style_change_starts_at_its_sample(server: Serving, client: RpcClient):
    audio, settings = noise(30000, 1), config(bundle="segment-style", n_channels=1)
    server.styles.gains_db["strong"] = 6.0  # too loud: turned down at once, wherever it begins
    async with client.transfer(settings) as call:
        await call.change_style("strong", at_sample=12000, fade_samples=480)
        await play(call, audio)
        heard = await listen(call)
    sound = heard.audio[:, call.ready.latency_samples :]
    plain, strong = (
        rendered(server, replace(settings, styles=named.styles), audio)
        for named in (config(style="plain"), config(style="strong"))
    )
    np.testing.assert_array_equal(sound[:, :12000], plain[:, :12000])
    np.testing.assert_allclose(sound[:, 13000:], strong[:, 13000:], atol=2e-3)
    assert [event.kind for event in heard.events] == [EventKind.STYLE_CHANGED]


async def test_a_tail_that_is_longer_than_a_block_comes_in_blocks(tmp_path: Path):
    def long(path: Path) -> Path:
        return bundles.segment_bundle(path, name="long")

    settings = config(bundle="long", rate_hz=192000, n_channels=8, deadline_samples=0)
    async with (
        serving(tmp_path, {"long": long}, default="long") as server,
        RpcClient(server.address) as client,
        client.transfer(settings) as call,
    ):
        await play(call, noise(3000, 8))
        heard = await listen(call)
    tail = [block for block in heard.blocks if AudioFlag.TAIL in block.flags]
    assert len(tail) > 1
    assert sum(block.block.shape[1] for block in tail) == call.ready.latency_samples
    assert all(block.block.shape[1] <= call.ready.max_block_samples for block in tail)
    assert [block.first_sample for block in tail] == list(
        np.cumsum([3000, *[block.block.shape[1] for block in tail[:-1]]])
    )
    assert heard.summary is not None
    assert heard.summary.unread_blocks == 0
