"""What a stream gets that asks for a bundle which is not there, not ready, or not sound (faults 33 to 36)."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from deepmusic.errors import BundleInvalid, BundleLoading, ModelNotFound, StyleNotFound
from deepmusic.transports.rpc.client import RpcClient
from deepmusic.transports.wire.messages import EventKind
from tests.rpc.canary import canary
from tests.rpc.serving import Serving, config, noise, serving, through
from tests.support.bundles import (
    custom_bundle,
    failing_bundle,
    nan_bundle,
    passthrough_bundle,
    passthrough_transfer,
    style_gain_bundle,
)

HEALTHY = {"passthrough": passthrough_bundle, "style-gain": style_gain_bundle}


async def opened(client: RpcClient, bundle: str, **fields: str) -> None:
    """Opens a stream on a bundle and cancels it."""
    async with client.transfer(config(bundle=bundle, **fields)):  # type: ignore[arg-type]
        pass


async def test_a_bundle_that_is_not_there_is_named(server: Serving, client: RpcClient):
    async with canary(server):
        with pytest.raises(ModelNotFound, match="passthrough, style-gain") as refused:
            await opened(client, "nothing")
        with pytest.raises(ModelNotFound):
            await client.bundle("nothing")
    assert refused.value.resource == "nothing"
    assert server.sessions.n_open == 0


async def test_a_style_that_is_not_there_is_named(client: RpcClient):
    with pytest.raises(StyleNotFound) as refused:
        await opened(client, "passthrough", style="nobody")
    assert refused.value.resource == "nobody"


async def test_a_bundle_that_is_still_loading_says_when_to_ask_again(tmp_path: Path):
    is_probed, may_go_on = threading.Event(), threading.Event()

    def build(path: Path) -> Path:
        return passthrough_bundle(path, name="slow-to-load")

    async with (
        serving(tmp_path, {**HEALTHY, "slow-to-load": build}, default="passthrough") as server,
        RpcClient(server.address) as client,
        canary(server),
    ):

        def probe(bundle: object) -> None:
            is_probed.set()
            may_go_on.wait(5.0)

        server.catalog._probe = probe
        first = asyncio.create_task(opened(client, "slow-to-load"))
        await server.wait_until(is_probed.is_set)
        with pytest.raises(BundleLoading) as refused:
            await opened(client, "slow-to-load")
        assert refused.value.retry_after_s is not None
        may_go_on.set()
        await first
        await opened(client, "slow-to-load")


def truncated(path: Path) -> Path:
    passthrough_bundle(path, name=path.name)
    data = (path / "transfer.onnx").read_bytes()
    (path / "transfer.onnx").write_bytes(data[: len(data) // 2])
    return path


def emptied(path: Path) -> Path:
    passthrough_bundle(path, name=path.name)
    (path / "transfer.onnx").write_bytes(b"")
    return path


def scrambled(path: Path) -> Path:
    """Random bytes under a manifest whose digests are right."""
    return custom_bundle(path, np.random.default_rng(3).bytes(5000), name=path.name)


def changed(path: Path) -> Path:
    """One bit of a file is not what the manifest says."""
    passthrough_bundle(path, name=path.name)
    data = bytearray((path / "transfer.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (path / "transfer.onnx").write_bytes(bytes(data))
    return path


def without_manifest(path: Path) -> Path:
    passthrough_bundle(path, name=path.name)
    (path / "manifest.json").unlink()
    return path


def linked_outside(path: Path) -> Path:
    """A file of the bundle is a link to one outside of it."""
    passthrough_bundle(path, name=path.name)
    outside = path.parent.parent / "outside.onnx"
    shutil.move(path / "transfer.onnx", outside)
    (path / "transfer.onnx").symlink_to(outside)
    return path


def with_external_data(location: str):
    def build(path: Path) -> Path:
        model = passthrough_transfer()
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)
        return custom_bundle(path, model.SerializeToString(), name=path.name)

    return build


def with_custom_operator(path: Path) -> Path:
    model = passthrough_transfer()
    model.opset_import.append(helper.make_opsetid("somebody.elses", 1))
    model.graph.node[0].domain = "somebody.elses"
    return custom_bundle(path, model.SerializeToString(), name=path.name)


def with_path_outside(path: Path) -> Path:
    passthrough_bundle(path, name=path.name)
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["transfer"]["file"] = "../transfer.onnx"
    manifest["files"]["../transfer.onnx"] = manifest["files"].pop("transfer.onnx")
    (path / "manifest.json").write_text(json.dumps(manifest))
    return path


BROKEN = {
    "truncated": truncated,
    "emptied": emptied,
    "scrambled": scrambled,
    "changed": changed,
    "without-manifest": without_manifest,
    "linked-outside": linked_outside,
    "external-above": with_external_data("../weights.bin"),
    "external-absolute": with_external_data("/etc/passwd"),
    "custom-operator": with_custom_operator,
    "path-outside": with_path_outside,
}


async def test_bundles_that_are_broken_are_refused_and_the_others_play(tmp_path: Path):
    async with (
        serving(tmp_path, {**HEALTHY, **BROKEN}, default="passthrough") as server,
        RpcClient(server.address) as client,
        canary(server),
    ):
        for name in BROKEN:
            with pytest.raises(BundleInvalid):
                await opened(client, name)
        problems = {listing.name: listing.problem for listing in await client.bundles()}
    assert all(problems[name] for name in BROKEN)
    assert not problems["passthrough"]
    assert server.sessions.n_open == 0


async def test_a_digest_that_is_not_the_bundles_is_refused(server: Serving, client: RpcClient):
    right = server.catalog.get("passthrough").bundle.digest
    async with client.transfer(replace(config(), bundle_digest=right)) as call:
        assert call.ready.bundle_digest == right
    with pytest.raises(BundleInvalid, match="digest"):
        await client.transfer(replace(config(), bundle_digest="0" * 64)).__aenter__()


async def test_a_bundle_that_goes_bad_on_disk_keeps_serving(tmp_path: Path):
    async with (
        serving(tmp_path, HEALTHY, default="passthrough") as server,
        RpcClient(server.address) as client,
        canary(server),
    ):
        await opened(client, "passthrough")
        (tmp_path / "passthrough" / "transfer.onnx").write_bytes(b"gone")
        server.catalog.refresh()
        await opened(client, "passthrough")


@pytest.mark.parametrize(("name", "build"), [("failing", failing_bundle), ("nan", nan_bundle)])
async def test_a_model_that_fails_while_it_plays_gives_the_delayed_input(tmp_path: Path, name: str, build):
    bundles = {**HEALTHY, name: lambda path: build(path, after_steps=3, name=name)}
    audio = noise(12000)
    async with (
        serving(tmp_path, bundles, default="passthrough") as server,
        RpcClient(server.address) as client,
        canary(server),
    ):
        call, heard = await through(client, config(bundle=name), audio)
    assert heard.summary is not None
    assert heard.summary.stats.failed_steps > 0
    assert EventKind.STEP_FAILED in [event.kind for event in heard.events]
    sound = heard.audio[:, call.ready.latency_samples :]
    assert np.isfinite(sound).all()
    assert np.abs(sound).max() < 2.0 * np.abs(audio).max()
