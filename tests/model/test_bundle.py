"""Opening bundles: folders and zips, whole and damaged in every way."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from deepmusic.errors import BundleInvalid, RequestError
from deepmusic.model.bundle import Bundle
from deepmusic_export.bundle import write_bundle
from tests.support.bundles import STATE_SIZE, bundle_files, int8_bundle, manifest_fields, passthrough_bundle

_DATA_FILES = ("transfer.onnx", "style_encoder.onnx", "initial_state.npy", "golden.npz")


def _zipped(folder: Path, target: Path, *, prefix: str = "", compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(target, "w", compression) as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, prefix + path.name)
    return target


def test_a_folder_is_opened_and_its_digest_is_that_of_the_manifest(tmp_path: Path) -> None:
    folder = passthrough_bundle(tmp_path / "b")
    bundle = Bundle.open(folder)
    assert bundle.digest == hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    assert bundle.manifest.name == "passthrough"
    assert bundle.initial_state().shape == (STATE_SIZE,)
    assert bundle.golden().gain_db.shape[1:] == (1, 4, 4, 96)
    assert bundle.onnx_files() == ("style_encoder.onnx", "transfer.onnx")


@pytest.mark.parametrize("prefix", ["", "live/"])
def test_a_zip_is_the_same_bundle_as_its_folder(tmp_path: Path, prefix: str) -> None:
    folder = passthrough_bundle(tmp_path / "b")
    zipped = Bundle.open(_zipped(folder, tmp_path / "b.zip", prefix=prefix))
    opened = Bundle.open(folder)
    assert zipped.digest == opened.digest
    assert zipped.read("transfer.onnx") == opened.read("transfer.onnx")


def test_other_files_beside_the_bundle_are_left_alone(tmp_path: Path) -> None:
    folder = passthrough_bundle(tmp_path / "b")
    (folder / "README.md").write_text("a model card")
    Bundle.open(folder)


def _truncate(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _empty(data: bytes) -> bytes:
    return b""


def _random(data: bytes) -> bytes:
    return np.random.default_rng(3).bytes(len(data))


def _flip_a_bit(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def _lengthen(data: bytes) -> bytes:
    return data + b"\0"


_DAMAGES: list[Callable[[bytes], bytes]] = [_truncate, _empty, _random, _flip_a_bit, _lengthen]


@pytest.mark.parametrize("file", _DATA_FILES)
@pytest.mark.parametrize("damage", _DAMAGES)
def test_a_damaged_file_is_refused(tmp_path: Path, file: str, damage: Callable[[bytes], bytes]) -> None:
    folder = passthrough_bundle(tmp_path / "b")
    path = folder / file
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(BundleInvalid, match=file):
        Bundle.open(folder)


@pytest.mark.parametrize("file", _DATA_FILES)
@pytest.mark.parametrize("damage", [_truncate, _empty, _random])
def test_a_damaged_file_is_refused_even_where_its_digest_is_right(
    tmp_path: Path, file: str, damage: Callable[[bytes], bytes]
) -> None:
    files = bundle_files()
    files[file] = damage(files[file]) or b"\0"
    write_bundle(tmp_path / "b", manifest_fields(), files)
    with pytest.raises(BundleInvalid, match=file):
        Bundle.open(tmp_path / "b")


@pytest.mark.parametrize("file", [*_DATA_FILES, "manifest.json"])
def test_a_missing_file_is_refused(tmp_path: Path, file: str) -> None:
    folder = passthrough_bundle(tmp_path / "b")
    (folder / file).unlink()
    with pytest.raises(BundleInvalid, match="got none"):
        Bundle.open(folder)


def test_a_path_with_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleInvalid, match="nothing there"):
        Bundle.open(tmp_path / "none")


def test_a_file_that_changes_after_opening_is_refused_when_it_is_read(tmp_path: Path) -> None:
    folder = passthrough_bundle(tmp_path / "b")
    bundle = Bundle.open(folder)
    path = folder / "transfer.onnx"
    path.write_bytes(_flip_a_bit(path.read_bytes()))
    with pytest.raises(BundleInvalid, match="sha256"):
        bundle.read("transfer.onnx")


def test_a_link_in_the_folder_is_refused_wherever_it_points(tmp_path: Path) -> None:
    folder = passthrough_bundle(tmp_path / "b")
    moved = tmp_path / "elsewhere.onnx"
    (folder / "transfer.onnx").rename(moved)
    (folder / "transfer.onnx").symlink_to(moved)
    with pytest.raises(BundleInvalid, match="got a link"):
        Bundle.open(folder)
    (folder / "transfer.onnx").unlink()
    moved.rename(folder / "transfer.onnx")
    (folder / "weights.bin").symlink_to("/etc/hostname")
    with pytest.raises(BundleInvalid, match="got a link"):
        Bundle.open(folder)


def test_a_link_that_appears_after_opening_is_not_followed(tmp_path: Path) -> None:
    folder = passthrough_bundle(tmp_path / "b")
    bundle = Bundle.open(folder)
    moved = tmp_path / "elsewhere.onnx"
    (folder / "transfer.onnx").rename(moved)
    (folder / "transfer.onnx").symlink_to(moved)
    with pytest.raises(BundleInvalid):
        bundle.read("transfer.onnx")


def test_a_pipe_or_a_folder_in_place_of_a_file_is_refused_without_waiting(tmp_path: Path) -> None:
    folder = passthrough_bundle(tmp_path / "b")
    (folder / "transfer.onnx").unlink()
    os.mkfifo(folder / "transfer.onnx")
    with pytest.raises(BundleInvalid, match="plain file"):
        Bundle.open(folder)
    (folder / "transfer.onnx").unlink()
    (folder / "transfer.onnx").mkdir()
    with pytest.raises(BundleInvalid, match=r"transfer\.onnx"):
        Bundle.open(folder)


def test_a_crowded_folder_is_refused(tmp_path: Path) -> None:
    folder = passthrough_bundle(tmp_path / "b")
    for i in range(200):
        (folder / f"spare{i}").touch()
    with pytest.raises(BundleInvalid, match="at most"):
        Bundle.open(folder)


@pytest.mark.parametrize(
    "name",
    ["../evil", "a/../../evil", "/etc/evil", "..\\evil", "C:evil"],
    ids=["up", "inner up", "root", "dos", "drive"],
)
def test_a_zip_with_an_entry_that_points_outside_is_refused(tmp_path: Path, name: str) -> None:
    path = _zipped(passthrough_bundle(tmp_path / "b"), tmp_path / "b.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, b"boo")
    with pytest.raises(BundleInvalid, match="points outside"):
        Bundle.open(path)
    assert not (tmp_path.parent / "evil").exists()


def test_a_zip_with_a_link_or_a_repeated_name_is_refused(tmp_path: Path) -> None:
    folder = passthrough_bundle(tmp_path / "b")
    linked = _zipped(folder, tmp_path / "linked.zip")
    with zipfile.ZipFile(linked, "a") as archive:
        entry = zipfile.ZipInfo("weights.bin")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(BundleInvalid, match="link"):
        Bundle.open(linked)
    twice = _zipped(folder, tmp_path / "twice.zip")
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(twice, "a") as archive:
        archive.writestr("golden.npz", b"other")
    with pytest.raises(BundleInvalid, match="one twice"):
        Bundle.open(twice)


def test_a_zip_that_unpacks_to_more_than_the_manifest_says_is_not_unpacked_further(tmp_path: Path) -> None:
    folder = passthrough_bundle(tmp_path / "b")
    (folder / "transfer.onnx").write_bytes(b"\0" * (8 << 20))
    with pytest.raises(BundleInvalid, match="got more"):
        Bundle.open(_zipped(folder, tmp_path / "bomb.zip"))


def test_a_zip_with_a_file_over_the_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "b.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("big.bin", "w") as member:
        for _ in range(65):
            member.write(bytes(1 << 20))
    with pytest.raises(BundleInvalid, match="at most 67108864 bytes"):
        Bundle.open(path)


@pytest.mark.parametrize("damage", [_truncate, _empty, _random])
def test_a_damaged_zip_is_refused(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = _zipped(passthrough_bundle(tmp_path / "b"), tmp_path / "b.zip")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(BundleInvalid, match="zip"):
        Bundle.open(path)


def test_a_zip_with_damaged_contents_is_refused(tmp_path: Path) -> None:
    folder = passthrough_bundle(tmp_path / "b")
    path = _zipped(folder, tmp_path / "b.zip", compression=zipfile.ZIP_STORED)
    content = (folder / "transfer.onnx").read_bytes()
    path.write_bytes(path.read_bytes().replace(content, _flip_a_bit(content)))
    with pytest.raises(BundleInvalid):
        Bundle.open(path)


def test_a_state_of_another_size_is_refused(tmp_path: Path) -> None:
    files = bundle_files()
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(STATE_SIZE + 1, np.float32))
    files["initial_state.npy"] = buffer.getvalue()
    write_bundle(tmp_path / "b", manifest_fields(), files)
    with pytest.raises(BundleInvalid, match=r"float32 of \(16\)"):
        Bundle.open(tmp_path / "b")


def test_golden_arrays_of_different_lengths_are_refused(tmp_path: Path) -> None:
    files = bundle_files()
    golden = dict(np.load(io.BytesIO(files["golden.npz"])))
    golden["gain_db"] = golden["gain_db"][:-1]
    buffer = io.BytesIO()
    np.savez(buffer, **golden)
    files["golden.npz"] = buffer.getvalue()
    write_bundle(tmp_path / "b", manifest_fields(), files)
    with pytest.raises(BundleInvalid, match="number of steps"):
        Bundle.open(tmp_path / "b")


def test_the_int8_file_is_one_of_the_onnx_files(tmp_path: Path) -> None:
    bundle = Bundle.open(int8_bundle(tmp_path / "b"))
    assert "transfer.int8.onnx" in bundle.onnx_files()


def test_writing_replaces_a_bundle_whole_and_leaves_nothing_else(tmp_path: Path) -> None:
    passthrough_bundle(tmp_path / "b", name="first")
    (tmp_path / "b" / "left-over").touch()
    passthrough_bundle(tmp_path / "b", name="second")
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
    assert not (tmp_path / "b" / "left-over").exists()
    assert Bundle.open(tmp_path / "b").manifest.name == "second"


def test_writing_replaces_nothing_that_is_no_bundle(tmp_path: Path) -> None:
    """A folder of bundles, or of anything else, is not given up for one of them."""
    passthrough_bundle(tmp_path / "bundles" / "b")
    (tmp_path / "notes.txt").write_text("mine")
    for place in ("bundles", "notes.txt"):
        with pytest.raises(RequestError, match=f"{place}: expected a bundle to replace, or nothing"):
            passthrough_bundle(tmp_path / place)
    assert Bundle.open(tmp_path / "bundles" / "b").manifest.name == "passthrough"
    assert (tmp_path / "notes.txt").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    passthrough_bundle(tmp_path / "empty")


def test_writing_a_bundle_that_would_be_refused_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(BundleInvalid):
        write_bundle(tmp_path / "b", {**manifest_fields(), "name": "Not A Name"}, bundle_files())
    with pytest.raises(BundleInvalid, match="computed"):
        write_bundle(tmp_path / "b", {**manifest_fields(), "files": {}}, bundle_files())
    with pytest.raises(BundleInvalid, match="finite"):
        write_bundle(tmp_path / "b", {**manifest_fields(), "metrics": {"lsd_db": float("nan")}}, bundle_files())
    assert list(tmp_path.iterdir()) == []


def test_writing_takes_files_from_disk_too(tmp_path: Path) -> None:
    files: dict[str, bytes | Path] = dict(bundle_files())
    source = tmp_path / "source.onnx"
    source.write_bytes(bundle_files()["transfer.onnx"])
    files["transfer.onnx"] = source
    manifest = write_bundle(tmp_path / "b", manifest_fields(), files)
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    assert manifest.files["transfer.onnx"].sha256 == digest
    assert json.loads((tmp_path / "b" / "manifest.json").read_text())["files"]["transfer.onnx"]["sha256"] == digest
