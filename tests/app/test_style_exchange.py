"""Styles from one server to another: a project opens alike where they have never been learned."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from deepmusic.app.server import Server
from deepmusic.errors import BundleInvalid, StyleDamaged, StyleExists, StyleNotFound
from deepmusic.model.style_vector import StyleVector
from deepmusic.transports.rpc.client import RpcClient
from deepmusic.transports.rpc.playback import play_through
from tests.rpc.serving import config, noise
from tests.support.bundles import passthrough_bundle, style_gain_bundle
from tests.support.servers import small_server


def a_folder(path: Path) -> Path:
    (path / "bundles").mkdir(parents=True)
    passthrough_bundle(path / "bundles/passthrough")
    style_gain_bundle(path / "bundles/style-gain")
    return path


@contextlib.asynccontextmanager
async def served(folder: Path) -> AsyncIterator[RpcClient]:
    server = Server(small_server(a_folder(folder), grace_s=0.5, bundle="style-gain"))
    facts = await server.start()
    async with RpcClient(facts.grpc) as client:
        yield client
    await server.stop()


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[RpcClient]:
    async with served(tmp_path / "here") as client:
        yield client


@pytest.fixture
async def there(tmp_path: Path) -> AsyncIterator[RpcClient]:
    async with served(tmp_path / "there") as client:
        yield client


async def heard(client: RpcClient, style: str) -> np.ndarray:
    return (await play_through(client, config(style=style), noise(9600), block_samples=512)).audio


async def test_a_style_that_is_put_back_elsewhere_sounds_the_same(here: RpcClient, there: RpcClient, tmp_path: Path):
    await here.create_style("hiss", noise(48000, 1), 48000)
    listing = await there.import_style(await here.export_style("hiss"))
    assert (listing.name, listing.temporary, listing.source_s) == ("hiss", False, 0.0)
    np.testing.assert_array_equal(await heard(there, "hiss"), await heard(here, "hiss"))
    again = Server(small_server(tmp_path / "there", grace_s=0.5, bundle="style-gain"))
    facts = await again.start()  # it is on disk
    async with RpcClient(facts.grpc) as client:
        assert (await client.export_style("hiss")).digest == (await here.export_style("hiss")).digest
    await again.stop()


async def test_the_same_style_twice_is_one(here: RpcClient):
    await here.create_style("hiss", noise(48000, 1), 48000)
    vector = await here.export_style("hiss")
    for _ in range(2):
        assert (await here.import_style(vector)).name == "hiss"
    await asyncio.gather(*(here.import_style(vector.renamed("copy")) for _ in range(4)))
    assert [listing.name for listing in await here.styles()] == ["copy", "hiss"]


async def test_a_style_of_the_same_name_is_not_overwritten(here: RpcClient, there: RpcClient):
    await here.create_style("hiss", noise(48000, 1), 48000)
    await there.create_style("hiss", 0.3 * noise(48000, 1), 48000)
    theirs, ours = await there.export_style("hiss"), await here.export_style("hiss")
    assert theirs.digest != ours.digest
    aside = await there.import_style(ours)
    assert (aside.name, aside.temporary) == (f"hiss-{ours.digest[:8]}", True)
    assert await there.import_style(ours) == aside
    assert (await there.export_style("hiss")).digest == theirs.digest
    np.testing.assert_array_equal(await heard(there, aside.name), await heard(here, "hiss"))
    await there.delete_style(aside.name)
    await there.import_style(theirs.renamed(aside.name))
    with pytest.raises(StyleExists) as refused:
        await there.import_style(ours)
    assert refused.value.resource == aside.name


async def test_a_temporary_style_stays_one(here: RpcClient, there: RpcClient):
    made = await here.create_style("", noise(24000, 1), 48000, temporary=True)
    listing = await there.import_style(await here.export_style(made.name))
    assert (listing.name, listing.temporary) == (made.name, True)
    await there.delete_style(made.name)
    assert await there.styles() == ()


async def test_a_kept_style_can_be_removed_whatever_its_name(here: RpcClient):
    await here.create_style("temporary-brass", noise(48000, 1), 48000)
    await here.delete_style("temporary-brass")
    assert await here.styles() == ()
    with pytest.raises(StyleNotFound, match="may have gone"):
        await here.delete_style("temporary-brass")


async def test_a_long_name_still_fits_with_its_digest(here: RpcClient):
    name = "x" * 64
    await here.create_style(name, noise(48000, 1), 48000)
    other = (await here.export_style(name)).values + np.float32(1.0)
    digest = (await here.bundle()).digest
    aside = await here.import_style(StyleVector(values=other, bundle_digest=digest, name=name))
    assert len(aside.name) == 64


async def test_a_style_of_another_bundle_or_size_is_refused(here: RpcClient):
    await here.create_style("hiss", noise(48000, 1), 48000)
    vector = await here.export_style("hiss", bundle="passthrough")
    with pytest.raises(BundleInvalid, match="expected a style of bundle 'style-gain'"):
        await here.import_style(vector)
    assert (await here.import_style(vector, bundle="passthrough")).name == "hiss"
    short = StyleVector(values=np.ones(7, np.float32), bundle_digest=vector.bundle_digest, name="short")
    with pytest.raises(StyleDamaged, match="expected a vector of 8 values, got 7"):
        await here.import_style(short, bundle="passthrough")


async def test_a_bundle_that_cannot_learn_an_imported_style_says_so(here: RpcClient, there: RpcClient):
    await here.create_style("hiss", noise(48000, 1), 48000)
    await there.import_style(await here.export_style("hiss"))
    with pytest.raises(StyleNotFound, match="without a recording"):
        await there.export_style("hiss", bundle="passthrough")
    other = await here.export_style("hiss", bundle="passthrough")
    assert (await there.import_style(other, bundle="passthrough")).name == f"hiss-{other.digest[:8]}"
