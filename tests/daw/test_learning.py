"""Styles learned from inside the plug-in: a dropped file, and a sidechain."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from deepmusic.audio import Audio
from deepmusic.model.style_vector import StyleVector
from deepmusic.styles.source import style_source
from deepmusic.transports.rpc.client import RpcClient
from tests.daw.build import HANDS
from tests.daw.stage import Stage, noise

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(300)]

RATE_HZ = 48000


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A server with no styles."""
    with Stage(folder=tmp_path).serving() as (address, _):
        yield address


def a_recording(path: Path, seconds: float = 2.0, seed: int = 1, **written: str) -> Audio:
    audio = noise(round(seconds * RATE_HZ), seed=seed)
    soundfile.write(path, audio.T, RATE_HZ, **({"subtype": "FLOAT"} | written))
    return audio


def hands(address: str, *arguments: str) -> list[str]:
    """Lines that the program says: what became of the style, and the styles in the slots."""
    environment = os.environ | {"DEEPMUSIC_SERVER": address, "DEEPMUSIC_STYLES": "", "DEEPMUSIC_BUNDLE": ""}
    run = subprocess.run([HANDS, *arguments], capture_output=True, text=True, env=environment)
    assert run.returncode == 0, (run.returncode, run.stdout, run.stderr)
    return run.stdout.splitlines()


def same_as(address: str, name: str, audio: Audio) -> bool:
    """Whether a style is what the server learns from a recording."""

    async def vectors() -> tuple[StyleVector, StyleVector]:
        async with RpcClient(address) as client:
            made = await client.create_style("", audio, RATE_HZ, temporary=True)
            return await client.export_style(name), await client.export_style(made.name)

    learned, expected = asyncio.run(vectors())
    return learned.digest == expected.digest


def test_a_dropped_file_becomes_the_style_of_the_slot_that_it_is_dropped_on(address: str, tmp_path: Path):
    path = tmp_path / "Warm brass (take 1).wav"
    audio = a_recording(path)
    said, *slots = hands(address, "drop", str(path), "3")
    assert said == "learned Warm brass take 1"
    assert slots == ["", "", "Warm brass take 1", "", "", "", "", ""]
    assert same_as(address, "Warm brass take 1", audio)
    said, *_ = hands(address, "drop", str(path), "1")
    assert said == "learned Warm brass take 1 2"
    assert len(asyncio.run(listed(address))) == 3  # the temporary one of the comparison too


async def listed(address: str) -> list[str]:
    async with RpcClient(address) as client:
        return [listing.name for listing in await client.styles()]


def test_aiff_is_read_too_and_a_long_file_by_excerpts_from_all_over_it(address: str, tmp_path: Path):
    path = tmp_path / "long.aiff"
    audio = a_recording(path, seconds=150.0)
    said, *_ = hands(address, "drop", str(path), "1")
    assert said == "learned long"
    length = 6 * RATE_HZ
    firsts = [(audio.shape[1] - length) * index // 15 for index in range(16)]
    excerpts = np.concatenate([audio[:, first : first + length] for first in firsts], axis=1)
    assert len(style_source(excerpts, RATE_HZ).pieces) == 16
    assert same_as(address, "long", excerpts)


def test_a_file_of_another_kind_is_not_taken(address: str, tmp_path: Path):
    path = tmp_path / "notes.txt"
    path.write_text("hello")
    environment = os.environ | {"DEEPMUSIC_SERVER": address}
    run = subprocess.run([HANDS, "drop", str(path), "1"], capture_output=True, text=True, env=environment)
    assert run.stdout == "not of interest\n"


@pytest.mark.parametrize("name", ["strength", "low_hz", "freeze"])
def test_a_parameter_that_is_no_number_counts_as_its_default(name: str):
    subprocess.run([HANDS, "nan", name], check=True, timeout=60)


def test_a_recording_begins_again_where_the_host_changes_the_rate(address: str, tmp_path: Path):
    """What came in at the first rate was noise."""
    path = tmp_path / "track.wav"
    audio = a_recording(path, seed=6)
    said, *_ = hands(address, "changed", str(path))
    assert same_as(address, said.removeprefix("learned "), audio)


@pytest.mark.parametrize("place", ["sidechain", "track"])
def test_a_style_is_learned_from_the_sidechain_where_something_sounds_in_it(address: str, tmp_path: Path, place: str):
    """The program also holds the output at strength 0 to the delayed track, bit for bit, whatever the sidechain has."""
    path = tmp_path / "side.wav"
    audio = a_recording(path, seed=4)
    said, *_ = hands(address, place, str(path))
    assert said.startswith("learned take ")
    assert same_as(address, said.removeprefix("learned "), audio)
