"""The page about bundles tells what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deepmusic.model.manifest import MAX_FILE_BYTES
from deepmusic.model.manifest_json import parse_manifest
from deepmusic.model.probe import MEMORY_BYTES, TIMEOUT_S
from deepmusic.model.runtime import MAX_GAIN_DB, MIN_INT8_SNR_DB


@pytest.fixture(scope="module")
def page() -> str:
    return (Path(__file__).parents[2] / "docs" / "model-bundle.md").read_text(encoding="utf-8")


def test_the_manifest_on_the_page_is_accepted(page: str) -> None:
    example = re.search(r"```json\n(.*?)```", page, re.DOTALL)
    assert example is not None
    assert parse_manifest(example[1].encode()).name == "live"


def test_the_limits_on_the_page_are_those_of_the_code(page: str) -> None:
    text = " ".join(page.split())
    assert f"{MAX_FILE_BYTES >> 20} MiB a file" in text
    assert f"{MEMORY_BYTES >> 30} GiB of address space, {TIMEOUT_S:g} s" in text
    assert f"within {MIN_INT8_SNR_DB:g} dB of the golden steps" in text
    assert f"finite, at most {MAX_GAIN_DB:g}" in text
