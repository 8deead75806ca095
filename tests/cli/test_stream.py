"""`deepmusic stream` before it has a server, and after it has none any more: what the user's files go through."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Ran
from tests.file.recordings import melody, write

Deepmusic = Callable[..., Ran]
NOBODY = ("--server", "127.0.0.1:1")


@pytest.fixture
def content(tmp_path: Path) -> Path:
    return write(tmp_path / "content.wav", melody(0.3))


@pytest.mark.parametrize("output", ["content.wav", "style.wav"])
def test_the_inputs_are_never_overwritten(output: str, content: Path, tmp_path: Path, deepmusic: Deepmusic):
    style = write(tmp_path / "style.wav", melody(0.5))
    ran = deepmusic("stream", content, "-o", tmp_path / output, "--style", style, *NOBODY)
    assert ran.code == 1
    assert "another file than the inputs" in ran.err
