"""Styles on disk."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from deepmusic.errors import BadName, StorageDenied, StorageFull, StyleExists, StyleNotFound
from deepmusic.model.runtime import StyleEncoder
from deepmusic.model.style_vector import StyleVector
from deepmusic.styles import library as library_module
from deepmusic.styles.library import StyleLibrary, default_style_folder
from deepmusic.styles.source import StyleSource, style_source

RATE_HZ = 22_050
NOW_S = 1_700_000_000.0
VECTOR_TOLERANCE = 1e-3
"""What 24 bits of FLAC may move of a learned value, dB."""


@pytest.fixture
def library(tmp_path: Path) -> StyleLibrary:
    return StyleLibrary(tmp_path / "styles", wall_clock=lambda: NOW_S)


def a_source(amplitude: float = 0.1, seconds: float = 8.0) -> StyleSource:
    random = np.random.default_rng(11)
    audio = (amplitude * random.standard_normal((2, round(seconds * RATE_HZ)))).astype(np.float32)
    return style_source(audio, RATE_HZ)


def test_a_style_comes_back_as_it_was_learned(library: StyleLibrary, encoder: StyleEncoder) -> None:
    learned = library.add("warm brass", a_source(), encoder, origin="brass.wav")
    found = StyleLibrary(library.folder).vector("warm brass", encoder)
    assert np.array_equal(found.values, learned.values)
    assert (found.name, found.bundle_digest) == ("warm brass", encoder.bundle_digest)


def test_an_entry_tells_where_a_style_came_from(library: StyleLibrary, encoder: StyleEncoder) -> None:
    library.add("brass", a_source(), encoder, origin="brass.wav")
    (entry,) = library.entries()
    assert entry.record.origin == "brass.wav"
    assert entry.record.added == "2023-11-14T22:13:20+00:00"
    assert entry.record.seconds == pytest.approx(8.0)
    assert entry.bundle_digests == (encoder.bundle_digest,)


def test_another_bundle_learns_the_style_from_the_kept_excerpt(
    library: StyleLibrary, encoder: StyleEncoder, other_encoder: StyleEncoder
) -> None:
    learned = library.add("brass", a_source(amplitude=0.6), encoder)
    again = library.vector("brass", other_encoder)
    assert again.bundle_digest == other_encoder.bundle_digest
    assert again.values == pytest.approx(learned.values, abs=VECTOR_TOLERANCE)
    assert set(library.entry("brass").bundle_digests) == {encoder.bundle_digest, other_encoder.bundle_digest}


def test_a_damaged_vector_is_learned_again(library: StyleLibrary, encoder: StyleEncoder) -> None:
    learned = library.add("brass", a_source(), encoder)
    path = library.folder / "brass" / "vectors" / f"{encoder.bundle_digest}.npy"
    path.write_bytes(path.read_bytes()[:40])
    assert library.vector("brass", encoder).values == pytest.approx(learned.values, abs=VECTOR_TOLERANCE)


@pytest.mark.parametrize("name", ["meta.json", "excerpt.flac"])
def test_a_damaged_style_says_so(
    name: str, library: StyleLibrary, encoder: StyleEncoder, other_encoder: StyleEncoder
) -> None:
    library.add("brass", a_source(), encoder)
    (library.folder / "brass" / name).write_bytes(b"{}")
    with pytest.raises(StyleNotFound, match="damaged; remove it and add it again"):
        library.vector("brass", other_encoder)
    library.remove("brass")
    assert library.entries() == ()


def test_a_name_is_taken_only_once(library: StyleLibrary, encoder: StyleEncoder) -> None:
    library.add("brass", a_source(), encoder)
    with pytest.raises(StyleExists):
        library.add("brass", a_source(), encoder)


def test_an_imported_style_survives_without_a_recording(
    library: StyleLibrary, encoder: StyleEncoder, other_encoder: StyleEncoder, tmp_path: Path
) -> None:
    learned = library.add("brass", a_source(), encoder)
    elsewhere = StyleLibrary(tmp_path / "elsewhere", wall_clock=lambda: NOW_S)
    elsewhere.add_vector(learned)
    (entry,) = StyleLibrary(elsewhere.folder).entries()
    assert (entry.record.seconds, entry.record.added) == (0.0, "2023-11-14T22:13:20+00:00")
    assert elsewhere.vector("brass", encoder).digest == learned.digest
    with pytest.raises(StyleNotFound, match="without a recording to learn it from"):
        elsewhere.vector("brass", other_encoder)
    with pytest.raises(StyleExists):
        elsewhere.add_vector(learned)


def test_a_style_that_is_gone_is_not_found(library: StyleLibrary, encoder: StyleEncoder) -> None:
    library.add("brass", a_source(), encoder)
    library.remove("brass")
    with pytest.raises(StyleNotFound, match="there are: none"):
        library.vector("brass", encoder)
    with pytest.raises(StyleNotFound):
        library.remove("brass")


@pytest.mark.parametrize(
    "name", ["", "..", "../x", "a/b", "a\\b", "a\0b", ".hidden", "ends.", "ä", "x" * 65, "CON", "nul.txt", "x" * 10_000]
)
def test_a_name_that_could_leave_the_folder_is_refused(name: str, library: StyleLibrary, encoder: StyleEncoder) -> None:
    for attempt in (library.entry, library.remove):
        with pytest.raises(BadName) as caught:
            attempt(name)
        assert len(caught.value.message) < 300
    with pytest.raises(BadName):
        library.add(name, a_source(), encoder)


@pytest.mark.parametrize("moment", ["write_source", "_write_vector", "sync_folder"])
def test_a_full_disk_leaves_nothing_behind(
    moment: str, library: StyleLibrary, encoder: StyleEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(library_module, moment, full)
    with pytest.raises(StorageFull):
        library.add("brass", a_source(), encoder)
    assert library.entries() == ()
    assert list(library.folder.iterdir()) == []
    if moment != "write_source":
        with pytest.raises(StorageFull):
            library.add_vector(StyleVector(values=np.ones(8, np.float32), bundle_digest="0" * 64, name="brass"))
        assert list(library.folder.iterdir()) == []


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_folder_that_may_not_be_written_to_is_the_operators_to_mend(
    number: int, library: StyleLibrary, encoder: StyleEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.add("brass", a_source(), encoder)

    def denied(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "mkdir", denied)
    monkeypatch.setattr(Path, "rename", denied)
    with pytest.raises(StorageDenied, match="mend its permissions"):
        library.add("strings", a_source(), encoder)
    with pytest.raises(StorageDenied, match="mend its permissions"):
        library.remove("brass")


def test_a_file_in_the_place_of_the_folder_is_no_full_disk(tmp_path: Path, encoder: StyleEncoder) -> None:
    (tmp_path / "styles").write_text("hello")
    with pytest.raises(StorageDenied, match="expected a folder"):
        StyleLibrary(tmp_path / "styles").add("brass", a_source(), encoder)


class ClosedFolder(type(Path())):  # type: ignore[misc]  # what the system gives, which root cannot be refused
    """A folder that may not be looked into."""

    def _refused(self, *_: object, **__: object) -> NoReturn:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    is_dir = exists = iterdir = glob = _refused


def test_a_folder_that_may_not_be_read_is_said_and_ends_nothing(tmp_path: Path, encoder: StyleEncoder) -> None:
    library = StyleLibrary(ClosedFolder(tmp_path))
    attempts: list[Callable[[], object]] = [
        library.entries,
        lambda: library.entry("brass"),
        lambda: library.has("brass"),
        lambda: library.vector("brass", encoder),
    ]
    for attempt in attempts:
        with pytest.raises(StorageDenied, match="mend its permissions"):
            attempt()


def test_what_a_crash_left_is_ignored_and_swept_away_later(library: StyleLibrary, encoder: StyleEncoder) -> None:
    library.add("brass", a_source(), encoder)
    half = library.folder / ".new-0badcafe"
    shutil.copytree(library.folder / "brass", half)
    (half / "meta.json").unlink()
    os.utime(half, (NOW_S - 60, NOW_S - 60))
    assert [entry.name for entry in StyleLibrary(library.folder, wall_clock=lambda: NOW_S).entries()] == ["brass"]
    assert half.exists()
    StyleLibrary(library.folder, wall_clock=lambda: NOW_S + 4000)
    assert not half.exists()
    assert [entry.name for entry in library.entries()] == ["brass"]


def test_a_strange_folder_is_not_a_style(library: StyleLibrary) -> None:
    (library.folder / "notes").mkdir(parents=True)
    (library.folder / "file.txt").write_text("hello")
    assert library.entries() == ()


def test_the_default_folder_belongs_to_the_user() -> None:
    assert default_style_folder().parts[-2:] == ("deepmusic", "styles")
