"""Small bundles that learn: value 0 of the style is 40 dB plus the level of the bands."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepmusic.model.bundle import Bundle
from deepmusic.model.runtime import StyleEncoder
from tests.support.bundles import passthrough_bundle, style_gain_bundle


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> StyleEncoder:
    return StyleEncoder.load(Bundle.open(passthrough_bundle(Path(tmp_path_factory.mktemp("bundles")) / "one")))


@pytest.fixture(scope="session")
def other_encoder(tmp_path_factory: pytest.TempPathFactory) -> StyleEncoder:
    return StyleEncoder.load(Bundle.open(style_gain_bundle(Path(tmp_path_factory.mktemp("bundles")) / "two")))
