"""``deepmusic serve --record`` and ``deepmusic replay`` with the model of the package, and after a crash."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from deepmusic.audio import Audio
from tests.end_to_end.test_serve_and_stream import PROGRAM, deepmusic, environment, served

RATE_HZ = 48000
PATIENCE_S = 60.0
LIVE = ("--bundle", "live")


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    seconds = np.arange(20 * RATE_HZ) / RATE_HZ
    content = 0.3 * np.sin(2 * np.pi * 330.0 * seconds) * np.exp(-3.0 * (seconds % 0.5))
    style = 0.2 * np.sign(np.sin(2 * np.pi * 110.0 * seconds[: 2 * RATE_HZ]))
    for name, audio in (("short", content[: 2 * RATE_HZ]), ("long", content), ("style", style)):
        soundfile.write(tmp_path / f"{name}.wav", np.stack([audio, audio], axis=1), RATE_HZ, subtype="FLOAT")
    return tmp_path


def heard(path: Path) -> Audio:
    return soundfile.read(path, dtype="float32", always_2d=True)[0].T


async def wait_for(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 (a file has no event)
            await asyncio.sleep(0.05)


def test_what_was_streamed_is_replayed_bit_for_bit_by_the_model_of_the_package(recordings: Path):
    takes = recordings / "takes"
    with served(recordings, *LIVE, "--record", str(takes)) as (process, ready):
        streamed = deepmusic(
            *("stream", str(recordings / "short.wav"), "-o", str(recordings / "streamed.wav"), "--pace", "live"),
            *("--style", str(recordings / "style.wav"), "--server", str(ready["grpc"]), "--json"),
        )
        assert streamed.returncode == 0, streamed.stderr
        process.terminate()
        process.communicate(timeout=30)
    (take,) = takes.iterdir()
    replayed = deepmusic("replay", str(take), "-o", str(recordings / "replayed.wav"), "--json")
    assert replayed.returncode == 0, replayed.stderr
    facts = json.loads(replayed.stdout)
    assert (facts["exact"], facts["bundle"], facts["samples"]) == (True, "live", 2 * RATE_HZ)
    assert (facts["missed_steps"] > 0) == (json.loads(streamed.stdout)["dry_blocks"] > 0)
    np.testing.assert_array_equal(heard(recordings / "replayed.wav"), heard(recordings / "streamed.wav"))


async def test_what_a_killed_server_leaves_is_replayed(recordings: Path):
    takes = recordings / "takes"
    with served(recordings, *LIVE, "--record", str(takes)) as (process, ready):
        client = subprocess.Popen(  # noqa: ASYNC220 (there is nothing else on the loop)
            [
                *(*PROGRAM, "stream", str(recordings / "long.wav"), "-o", str(recordings / "streamed.wav")),
                *("--style", str(recordings / "style.wav"), "--server", str(ready["grpc"]), "--pace", "live"),
            ],
            env=environment(),
            stderr=subprocess.DEVNULL,
        )
        await wait_for(lambda: any(path.stat().st_size > 2 * RATE_HZ * 8 for path in takes.glob(".*.part/dry.wav")))
        process.kill()
        assert client.wait(timeout=PATIENCE_S) == 1
    (take,) = takes.iterdir()
    replayed = deepmusic("replay", str(take), "-o", str(recordings / "replayed.wav"), "--json")
    assert replayed.returncode == 0, replayed.stderr
    facts = json.loads(replayed.stdout)
    assert (facts["ended"], facts["exact"]) == ("crashed", True)
    sound = heard(recordings / "replayed.wav")
    assert sound.shape == (2, facts["samples"])
    assert facts["samples"] >= 1.5 * RATE_HZ
    assert np.isfinite(sound).all()
    assert np.abs(sound).max() > 0.01
