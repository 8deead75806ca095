"""The catalog: finding, loading, refusing and reloading bundles."""

from __future__ import annotations

import shutil
import threading
import zipfile
from pathlib import Path

import pytest

from deepmusic.errors import BundleInvalid, BundleLoading, ModelNotFound
from deepmusic.model.bundle import Bundle
from deepmusic.model.catalog import PACKAGE_FOLDER, BundleCatalog, Origin, user_bundle_folder
from tests.support.bundles import gain_bundle, passthrough_bundle


class RecordingProbe:
    """Accepts every bundle, or refuses the named ones, and remembers what it was asked."""

    def __init__(self, *refused: str) -> None:
        self.asked: list[str] = []
        self._refused = refused

    def __call__(self, bundle: Bundle) -> None:
        self.asked.append(bundle.manifest.name)
        if bundle.manifest.name in self._refused:
            raise BundleInvalid("the probe refused it")


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    package, user = tmp_path / "package", tmp_path / "user"
    passthrough_bundle(package / "live", name="live")
    user.mkdir()
    return package, user


def _catalog(folders: tuple[Path, Path], probe: RecordingProbe | None = None) -> BundleCatalog:
    return BundleCatalog(folders[1], package_folder=folders[0], probe=probe or RecordingProbe())


def test_the_package_and_the_user_folder_are_listed(folders: tuple[Path, Path]) -> None:
    gain_bundle(folders[1] / "mine", -6.0, name="mine")
    with zipfile.ZipFile(folders[1] / "packed.zip", "w") as archive:
        for path in gain_bundle(folders[1] / ".source", -3.0, name="packed").iterdir():
            archive.write(path, path.name)
    entries = _catalog(folders).entries()
    assert [(entry.name, entry.origin, entry.refusal) for entry in entries] == [
        ("live", Origin.PACKAGE, ""),
        ("mine", Origin.USER, ""),
        ("packed", Origin.USER, ""),
    ]


def test_folders_that_do_not_exist_are_empty(tmp_path: Path) -> None:
    catalog = BundleCatalog(tmp_path / "none", package_folder=tmp_path / "neither")
    assert catalog.entries() == ()
    with pytest.raises(ModelNotFound, match="there are: none"):
        catalog.get()


def test_the_default_bundle_is_loaded_once_and_without_a_probe(folders: tuple[Path, Path]) -> None:
    probe = RecordingProbe()
    catalog = _catalog(folders, probe)
    assert not catalog.is_loaded("live")
    loaded = catalog.get()
    assert loaded.transfer.bundle_digest == loaded.encoder.bundle_digest == loaded.bundle.digest
    assert catalog.get("live") is loaded
    assert catalog.is_loaded("live")
    assert probe.asked == []


def test_a_user_bundle_is_probed_once_for_all_restarts(folders: tuple[Path, Path]) -> None:
    gain_bundle(folders[1] / "mine", -6.0, name="mine")
    probe = RecordingProbe()
    _catalog(folders, probe).get("mine")
    _catalog(folders, probe).get("mine")
    assert probe.asked == ["mine"]
    gain_bundle(folders[1] / "mine", -7.0, name="mine")
    _catalog(folders, probe).get("mine")
    assert probe.asked == ["mine", "mine"]


def test_the_real_probe_is_the_one_that_a_catalog_uses(folders: tuple[Path, Path]) -> None:
    gain_bundle(folders[1] / "mine", -6.0, name="mine")
    catalog = BundleCatalog(folders[1], package_folder=folders[0])
    assert catalog.get("mine").transfer.manifest.name == "mine"
    assert (folders[1] / ".probed").is_file()


def test_an_unknown_name_is_refused_with_the_known_ones(folders: tuple[Path, Path]) -> None:
    with pytest.raises(ModelNotFound, match="there are: live") as caught:
        _catalog(folders).get("../live")
    assert caught.value.resource == "../live"


def test_a_corrupt_bundle_is_an_entry_with_a_reason_and_the_others_play(folders: tuple[Path, Path]) -> None:
    folder = gain_bundle(folders[1] / "mine", -6.0, name="mine")
    (folder / "transfer.onnx").write_bytes(b"")
    (folders[1] / "noise.zip").write_bytes(b"\x00\x01\x02")
    (folders[1] / "empty").mkdir()
    (folders[1] / "notes.txt").touch()
    catalog = _catalog(folders)
    refused = {entry.name: entry for entry in catalog.entries() if entry.refusal}
    assert set(refused) == {"mine", "noise", "empty"}
    assert "transfer.onnx" in refused["mine"].refusal
    with pytest.raises(BundleInvalid, match=r"transfer\.onnx") as caught:
        catalog.get("mine")
    assert caught.value.resource == "mine"
    assert catalog.get("live").transfer.provider


def test_a_bundle_that_the_probe_refuses_stays_refused(folders: tuple[Path, Path]) -> None:
    gain_bundle(folders[1] / "mine", -6.0, name="mine")
    probe = RecordingProbe("mine")
    catalog = _catalog(folders, probe)
    for _ in range(2):
        with pytest.raises(BundleInvalid, match="the probe refused it"):
            catalog.get("mine")
    assert catalog.entry("mine").refusal == "the probe refused it"
    assert probe.asked == ["mine"]


def test_a_name_that_is_taken_cannot_stand_in_for_the_first(folders: tuple[Path, Path]) -> None:
    gain_bundle(folders[1] / "impostor", -6.0, name="live")
    catalog = _catalog(folders)
    assert [entry.refusal == "" for entry in catalog.entries()] == [True, False]
    assert catalog.entry("live").origin is Origin.PACKAGE
    assert catalog.get("live").bundle.path == folders[0] / "live"


def test_a_bundle_that_was_chosen_by_its_path_comes_before_all_of_its_name(folders: tuple[Path, Path]) -> None:
    chosen = gain_bundle(folders[0].parent / "elsewhere", -6.0, name="live")
    probe = RecordingProbe()
    catalog = BundleCatalog(folders[1], chosen=chosen, package_folder=folders[0], probe=probe)
    assert catalog.get("live").bundle.path == chosen
    assert probe.asked == ["live"]


def test_a_loaded_bundle_keeps_serving_where_its_files_go_bad(folders: tuple[Path, Path]) -> None:
    folder = gain_bundle(folders[1] / "mine", -6.0, name="mine")
    catalog = _catalog(folders)
    loaded = catalog.get("mine")
    (folder / "golden.npz").write_bytes(b"bad")
    catalog.refresh()
    assert catalog.get("mine") is loaded
    assert "golden.npz" in catalog.entry("mine").note


def test_a_changed_bundle_is_loaded_anew_and_the_old_one_stays_with_who_has_it(folders: tuple[Path, Path]) -> None:
    gain_bundle(folders[1] / "mine", -6.0, name="mine")
    catalog = _catalog(folders)
    old = catalog.get("mine")
    gain_bundle(folders[1] / "mine", -9.0, name="mine")
    catalog.refresh()
    new = catalog.get("mine")
    assert new.bundle.digest != old.bundle.digest
    assert old.transfer.initial_state().shape == new.transfer.initial_state().shape


def test_a_removed_bundle_is_gone_after_a_refresh(folders: tuple[Path, Path]) -> None:
    gain_bundle(folders[1] / "mine", -6.0, name="mine")
    catalog = _catalog(folders)
    catalog.get("mine")
    shutil.rmtree(folders[1] / "mine")
    catalog.refresh()
    with pytest.raises(ModelNotFound):
        catalog.get("mine")


def test_who_does_not_wait_is_told_that_the_bundle_is_loading(folders: tuple[Path, Path]) -> None:
    gain_bundle(folders[1] / "mine", -6.0, name="mine")
    is_probing, may_go_on = threading.Event(), threading.Event()

    def probe(bundle: Bundle) -> None:
        is_probing.set()
        assert may_go_on.wait(30.0)

    catalog = BundleCatalog(folders[1], package_folder=folders[0], probe=probe)
    thread = threading.Thread(target=catalog.get, args=("mine",))
    thread.start()
    try:
        assert is_probing.wait(30.0)
        with pytest.raises(BundleLoading) as caught:
            catalog.get("mine", wait=False)
        assert caught.value.retry_after_s
        assert catalog.get("live", wait=False).transfer.provider
    finally:
        may_go_on.set()
        thread.join()
    assert catalog.get("mine", wait=False).bundle.manifest.name == "mine"


def test_the_package_folder_lies_in_the_package_and_the_user_folder_does_not() -> None:
    assert PACKAGE_FOLDER.parent.name == "model"
    assert "deepmusic" in str(user_bundle_folder())
