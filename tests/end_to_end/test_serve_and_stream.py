"""``deepmusic serve`` and ``deepmusic stream`` as processes of their own, the way people run them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from deepmusic.transports.rpc.client import RpcClient
from tests.support.bundles import passthrough_bundle

LONGEST_START_S = 5.0
PROGRAM = (sys.executable, "-m", "deepmusic.cli.main")


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def deepmusic(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PROGRAM, *arguments], env=environment(), capture_output=True, text=True, timeout=60)


@contextlib.contextmanager
def served(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, object]]]:
    """A server with the pass-through bundle; its process and its ready line."""
    bundles = folder / "bundles"
    if not bundles.exists():
        passthrough_bundle(bundles / "passthrough")
    process = subprocess.Popen(
        [
            *(*PROGRAM, "serve", "--grpc", "127.0.0.1:0", "--bundle", "passthrough", "--device", "cpu", "--json"),
            *("--osc", "127.0.0.1:0", "--http", "127.0.0.1:0"),
            *("--bundles", str(bundles), "--styles", str(folder / "styles"), *arguments),
        ],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process, json.loads(process.stdout.readline())
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("serve")
    random = np.random.default_rng(1)
    for name, n_samples, rate_hz, n_channels in (
        ("content", 48000, 48000, 2),
        ("odd-rate", 22051, 22050, 1),
        ("style", 44100, 44100, 1),
        ("one-sample", 1, 48000, 1),
    ):
        audio = (0.1 * random.standard_normal((n_samples, n_channels))).astype(np.float32)
        soundfile.write(folder / f"{name}.wav", audio, rate_hz, subtype="FLOAT")
    return folder


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with served(folder) as (_, ready):
        yield str(ready["grpc"])


def test_the_ready_line_says_what_is_served_and_a_signal_ends_it_in_good_order(folder: Path):
    deepmusic("serve", "--help")  # warms the disk's cache: what is timed is the program
    start_s = time.monotonic()
    with served(folder, "--osc-network", "10.0.0.0/8") as (process, ready):
        seconds = time.monotonic() - start_s
        assert ready["ready"] is True
        assert (ready["bundle"], ready["precision"], ready["tls"]) == ("passthrough", "float32", False)
        process.send_signal(signal.SIGTERM)
        out, talk = process.communicate(timeout=20)
        assert process.returncode == 0
        assert out == ""
        assert "deepmusic serves gRPC at 127.0.0.1:" in talk
        assert f"and OSC at {ready['osc']}, described at http://{ready['http']}/" in talk
        assert "stopping" in talk
    assert seconds < LONGEST_START_S


@pytest.mark.parametrize("pace", ["fast", "live"])
def test_a_file_goes_through_and_keeps_its_length(folder: Path, address: str, pace: str):
    out = folder / f"{pace}.wav"
    ended = deepmusic(
        *("stream", str(folder / "content.wav"), "-o", str(out), "--style", str(folder / "style.wav")),
        *("--server", address, "--pace", pace, "--deadline", "48000", "--json"),
    )
    assert ended.returncode == 0, ended.stderr
    line = json.loads(ended.stdout)
    assert set(line) == {
        *("samples_in", "samples_out", "late_blocks", "dry_blocks", "latency_samples"),
        *("bundle", "precision", "provider", "rtf"),
    }
    assert (line["samples_in"], line["samples_out"], line["latency_samples"]) == (48000, 48000, 1855)
    assert (line["late_blocks"], line["dry_blocks"]) == (0, 0)
    assert soundfile.info(out).subtype == "FLOAT"
    content, result = soundfile.read(folder / "content.wav")[0], soundfile.read(out)[0]
    np.testing.assert_allclose(result, content, atol=1e-5)


@pytest.mark.parametrize(("name", "shape"), [("odd-rate", (22051,)), ("one-sample", (1,))])
def test_odd_files_keep_their_rate_and_length(folder: Path, address: str, name: str, shape: tuple[int]):
    out = folder / f"{name}-out.wav"
    ended = deepmusic(
        *("stream", str(folder / f"{name}.wav"), "-o", str(out), "--style", str(folder / "style.wav")),
        *("--server", address, "--strength", "0"),
    )
    assert ended.returncode == 0, ended.stderr
    audio, rate_hz = soundfile.read(out)
    assert audio.shape == shape
    assert rate_hz == soundfile.info(folder / f"{name}.wav").samplerate


def test_a_file_that_was_uploaded_as_a_style_is_gone_afterwards(folder: Path, address: str):
    ended = deepmusic(
        "stream", str(folder / "content.wav"), "-o", str(folder / "x.wav"), "--style", "brass", "--server", address
    )
    assert ended.returncode == 1
    assert "there are: none" in ended.stderr


async def _temporary_styles(address: str, n_styles: int) -> None:
    """Waits until the server has so many."""
    async with RpcClient(address) as client, asyncio.timeout(30):
        while sum(style.temporary for style in await client.styles()) != n_styles:  # noqa: ASYNC110 (a server has no event)
            await asyncio.sleep(0.05)


def test_sigterm_ends_a_stream_as_ctrl_c_does_and_leaves_nothing_behind(folder: Path, address: str, tmp_path: Path):
    soundfile.write(tmp_path / "long.wav", np.zeros(60 * 48000, np.float32), 48000)
    arguments = ("stream", str(tmp_path / "long.wav"), "-o", str(tmp_path / "out.wav"), "--pace", "live")
    with subprocess.Popen(
        [*PROGRAM, *arguments, "--style", str(folder / "style.wav"), "--server", address],
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        asyncio.run(_temporary_styles(address, 1))
        process.send_signal(signal.SIGTERM)
        _, talk = process.communicate(timeout=30)
    assert (process.returncode, talk) == (130, "deepmusic stream: stopped\n")
    assert [path.name for path in tmp_path.iterdir()] == ["long.wav"]
    asyncio.run(_temporary_styles(address, 0))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--style", "nobody"), "no style is named 'nobody'"),
        (("--style", "nobody", "--server", "127.0.0.1:1"), "deepmusic serve"),
        (("--style", "./nothing.wav"), "no file at ./nothing.wav"),
        (("--style", "STYLE", "--bundle", "nothing"), "no bundle is named 'nothing'"),
        (("--style", "STYLE", "--strength", "7"), "expected strength between 0 and 1"),
    ],
)
def test_what_goes_wrong_is_one_line_and_nothing_half_written(
    folder: Path, address: str, arguments: tuple[str, ...], says: str
):
    out = folder / "never.wav"
    given = [str(folder / "style.wav") if argument == "STYLE" else argument for argument in arguments]
    server = () if "--server" in given else ("--server", address)
    ended = deepmusic("stream", str(folder / "content.wav"), "-o", str(out), *given, *server)
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert len(ended.stderr.splitlines()) == 1
    assert says in ended.stderr
    assert not list(folder.glob("*never*"))


@pytest.mark.parametrize(
    "arguments",
    [
        ("serve", "--grpc", "nonsense"),
        ("serve", "--osc", "nonsense"),
        ("serve", "--device", "tpu"),
        ("stream", "a.wav"),
        ("stream", "a", "-o", "b", "--style", "s", "--block", "0"),
    ],
    ids=["address", "address of OSC", "device", "missing arguments", "block"],
)
def test_wrong_usage_ends_with_two(arguments: tuple[str, ...]):
    ended = deepmusic(*arguments)
    assert ended.returncode == 2
    assert ended.stdout == ""


def test_a_port_in_use_and_a_wrong_configuration_are_one_line(folder: Path, address: str):
    (folder / "server.toml").write_text('devise = "cpu"\n')
    for arguments, says in (
        (("--grpc", address, "--bundles", str(folder / "bundles")), "something listens already"),
        (("--config", str(folder / "server.toml")), "unknown key 'devise'"),
    ):
        ended = deepmusic("serve", *arguments)
        assert ended.returncode == 1
        assert len(ended.stderr.splitlines()) == 1, ended.stderr
        assert says in ended.stderr
