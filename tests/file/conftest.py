"""Loaded test bundles."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepmusic.model.bundle import Bundle
from deepmusic.model.runtime import TransferModel
from tests.support.bundles import noise_bundle


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> TransferModel:
    """All excitations at once, so that every sample depends on its position."""
    path = noise_bundle(Path(tmp_path_factory.mktemp("bundles")) / "noise", -6.0)
    return TransferModel.load(Bundle.open(path), device="cpu")
