"""Commands run in this process; the user's folder holds small bundles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from deepmusic.cli.main import main
from deepmusic.model.catalog import user_bundle_folder
from tests.support.bundles import noise_bundle, style_gain_bundle


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What a command left."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def _bundles(a_home_of_its_own: Path) -> None:
    """Bundles of the user: probed at their first use, and remembered."""
    style_gain_bundle(user_bundle_folder() / "style-gain")
    noise_bundle(user_bundle_folder() / "noise")


@pytest.fixture
def deepmusic(capfd: pytest.CaptureFixture[str], _bundles: None) -> Callable[..., Ran]:
    """Runs the command line."""

    def run(*arguments: str | Path) -> Ran:
        capfd.readouterr()
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        captured = capfd.readouterr()
        return Ran(code=code, out=captured.out, err=captured.err)

    return run
