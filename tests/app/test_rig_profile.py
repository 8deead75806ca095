"""The rig's profile: written whole, read back as it was, and refused where it is something else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from deepmusic.app.rig_profile import RigProfile, profile_path
from deepmusic.errors import BadConfig, StorageDenied

PROFILE = RigProfile(
    bundle_digest="d" * 64,
    precision="int8",
    provider="CPUExecutionProvider",
    sample_rate_hz=48000,
    period_samples=256,
    minutes=5.0,
    cushion_s=0.016,
    dropouts_an_hour=36.0,
    more_streams=3,
)


def test_a_profile_is_read_back_as_it_was_written(tmp_path: Path):
    path = tmp_path / "deep" / "rig.json"
    assert RigProfile.load(path) is None
    assert PROFILE.save(path) == path
    assert RigProfile.load(path) == PROFILE
    replace(PROFILE, more_streams=0).save(path)
    assert RigProfile.load(path) == replace(PROFILE, more_streams=0)
    assert [entry.name for entry in path.parent.iterdir()] == ["rig.json"]


def test_it_lies_in_the_users_configuration():
    assert profile_path().name == "rig.json"
    assert "deepmusic" in str(profile_path())


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"cushion_s": "long"},
        {"cushion_s": 0.0},
        {"cushion_s": 9.0},
        {"cushion_s": float("nan")},
        {"unknown": 1},
        {"more_streams": None},
    ],
)
def test_what_is_no_profile_of_this_version_is_refused_with_what_to_do(tmp_path: Path, change: dict[str, object]):
    path = PROFILE.save(tmp_path / "rig.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(BadConfig, match=r"deepmusic check|at most 0\.5"):
        RigProfile.load(path)


@pytest.mark.parametrize("text", ["", "[]", "{", "\x00", "{}"])
def test_neither_is_what_is_no_json(tmp_path: Path, text: str):
    path = tmp_path / "rig.json"
    path.write_text(text)
    with pytest.raises(BadConfig, match="deepmusic check"):
        RigProfile.load(path)


@pytest.mark.parametrize("where", ["file/rig.json", "file/deeper/rig.json"])
def test_a_profile_that_cannot_be_written_is_no_fault_of_ours(tmp_path: Path, where: str):
    (tmp_path / "file").touch()
    with pytest.raises(StorageDenied, match="--no-save"):
        PROFILE.save(tmp_path / where)
