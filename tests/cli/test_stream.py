"""`deepmusic stream` before it has a server, and after it has none any more: what the user's files go through."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from deepmusic.audio import Audio
from deepmusic.cli.stream import _style
from deepmusic.errors import DeepmusicError, ServerUnreachable, StyleNotFound
from deepmusic.transports.wire.listings import StyleListing
from tests.cli.conftest import Ran
from tests.file.recordings import melody, write

Deepmusic = Callable[..., Ran]
NOBODY = ("--server", "127.0.0.1:1")


@pytest.fixture
def content(tmp_path: Path) -> Path:
    return write(tmp_path / "content.wav", melody(0.3))


def test_a_folder_that_is_not_there_is_said_before_the_stream(content: Path, tmp_path: Path, deepmusic: Deepmusic):
    ran = deepmusic("stream", content, "-o", tmp_path / "no" / "out.wav", "--style", "cello", *NOBODY)
    assert ran.code == 1
    assert "expected a folder that may be written to" in ran.err


def test_a_server_that_is_not_there_leaves_nothing_half_written(content: Path, tmp_path: Path, deepmusic: Deepmusic):
    ran = deepmusic("stream", content, "-o", tmp_path / "out.wav", "--style", "cello", *NOBODY)
    assert ran.code == 1
    assert "start one with: deepmusic serve" in ran.err
    assert list(tmp_path.iterdir()) == [content]


@pytest.mark.parametrize("output", ["content.wav", "style.wav"])
def test_the_inputs_are_never_overwritten(output: str, content: Path, tmp_path: Path, deepmusic: Deepmusic):
    style = write(tmp_path / "style.wav", melody(0.5))
    ran = deepmusic("stream", content, "-o", tmp_path / output, "--style", style, *NOBODY)
    assert ran.code == 1
    assert "another file than the inputs" in ran.err


@pytest.mark.parametrize("samples", ["-1", "4294967296", "soon"])
def test_a_cushion_that_cannot_be_is_a_usage_error(samples: str, content: Path, tmp_path: Path, deepmusic: Deepmusic):
    ran = deepmusic("stream", content, "-o", tmp_path / "out.wav", "--style", "cello", f"--deadline={samples}", *NOBODY)
    assert ran.code == 2
    assert "expected 0 to 4294967295 samples" in ran.err


class ForgetfulServer:
    """Learns a style, and cannot remove it: it has gone with the oldest ones already, or the server has."""

    def __init__(self, error: DeepmusicError) -> None:
        self._error = error

    async def create_style(self, name: str, audio: Audio, rate_hz: int, *, bundle: str, temporary: bool):
        assert np.isfinite(audio).all()
        assert temporary
        return StyleListing(name="temporary-1", temporary=True)

    async def delete_style(self, name: str) -> None:
        raise self._error


@pytest.mark.parametrize("error", [StyleNotFound("it has gone"), ServerUnreachable("the server has gone")])
async def test_a_style_that_cannot_be_removed_costs_nobody_the_sound(error: DeepmusicError, tmp_path: Path):
    asked = argparse.Namespace(style=str(write(tmp_path / "style.wav", melody(0.5))), bundle="")
    async with _style(ForgetfulServer(error), asked) as name:  # type: ignore[arg-type]
        assert name == "temporary-1"
