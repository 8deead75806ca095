"""The examples in Python run as they stand, each as a program of its own, against a real server."""

from __future__ import annotations

import asyncio
import os
import runpy
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

from deepmusic.app.server import Server
from deepmusic.config import ServerConfig
from deepmusic.transports.rpc.client import RpcClient
from tests.support.bundles import passthrough_bundle

EXAMPLES = Path(__file__).resolve().parents[2] / "client_examples/python"
LONGEST_HELLO_LINES = 60
RATE_HZ = 48000


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A server with two styles, and a recording to send."""

    address: str
    folder: Path
    content: Path

    async def run(self, example: str, *arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(EXAMPLES / example),
            *arguments,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        _, talk = await process.communicate()
        assert process.returncode == 0, talk.decode()
        return talk.decode()

    def read(self, path: Path) -> np.ndarray:
        return soundfile.read(path, dtype="float32", always_2d=True)[0]


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    passthrough_bundle(tmp_path / "bundles/passthrough")
    content = tmp_path / "content.wav"
    random = np.random.default_rng(1)
    recording = (0.1 * random.standard_normal((RATE_HZ, 2))).astype(np.float32)
    soundfile.write(content, recording, RATE_HZ, subtype="FLOAT")
    server = Server(
        ServerConfig(
            grpc="127.0.0.1:0",
            osc="127.0.0.1:0",
            http="127.0.0.1:0",
            bundle="passthrough",
            device="cpu",
            grace_s=0.0,
            bundles=str(tmp_path / "bundles"),
            styles=str(tmp_path / "styles"),
        )
    )
    facts = await server.start()
    try:
        async with RpcClient(facts.grpc) as client:
            for name in ("brass", "strings"):
                await client.create_style(name, np.ascontiguousarray(recording.T), RATE_HZ)
        yield Stage(address=facts.grpc, folder=tmp_path, content=content)
    finally:
        await server.stop()


async def test_hello_sends_a_file_and_gets_one_back(stage: Stage):
    out = stage.folder / "out.wav"
    await stage.run("hello.py", str(stage.content), str(stage.content), str(out), stage.address)
    np.testing.assert_allclose(stage.read(out), stage.read(stage.content), atol=1e-5)


def test_hello_is_short():
    lines = (EXAMPLES / "hello.py").read_text().splitlines()
    code = [line for line in lines if line.strip() and not line.strip().startswith('"""')]
    assert len(code) <= LONGEST_HELLO_LINES


async def test_change_style_gives_the_same_file_twice(stage: Stage):
    first, second = stage.folder / "first.wav", stage.folder / "second.wav"
    for out in (first, second):
        talk = await stage.run("change_style.py", str(stage.content), "brass", "strings", str(out), stage.address)
        assert talk.count("changing to") == 2
    assert stage.read(first).shape == stage.read(stage.content).shape
    np.testing.assert_array_equal(stage.read(first), stage.read(second))


async def test_live_plays_in_real_time_behind_its_cushion(stage: Stage):
    out = stage.folder / "out.wav"
    cushion_blocks, block_samples = 50, 480
    talk = await stage.run(
        "live.py",
        *("brass", "--server", stage.address, "--file", str(stage.content), "--out", str(out)),
        *("--cushion", str(cushion_blocks), "--block", str(block_samples)),
    )
    assert "0 blocks came too late" in talk
    delay = 1855 + cushion_blocks * block_samples
    played, content = stage.read(out), stage.read(stage.content)
    assert played.shape == content.shape
    np.testing.assert_allclose(played[delay:], content[: len(content) - delay], atol=1e-5)


def test_a_block_that_is_late_or_lost_moves_nothing_that_follows():
    cushion = runpy.run_path(str(EXAMPLES / "live.py"))["Cushion"](n_channels=1, block_samples=1, n_blocks=2)

    def put(n: int) -> None:
        cushion.put(np.full((1, 1), n, np.float32), n - 1)

    played = []
    for n in range(1, 11):
        if n == 6:  # the network stalled
            for late in (3, 4, 5):
                put(late)
        if n not in (3, 4, 5, 7):  # and one is lost
            put(n)
        played.append(float(cushion.get()[0, 0]))
    assert played == [0.0, 0.0, 1.0, 2.0, 0.0, 4.0, 5.0, 6.0, 0.0, 8.0]
    assert cushion.n_late == 2
