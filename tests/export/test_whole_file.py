"""A file is there whole, or the old one stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepmusic_export.whole_file import partial_path, whole_file


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    path.write_text("old")
    with whole_file(path) as partial:
        partial.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    path.write_text("old")
    with pytest.raises(OSError, match="disk full"), whole_file(path) as partial:  # noqa: PT012
        partial.write_text("half")
        raise OSError("disk full")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    partial_path(path).write_text("half")
    with whole_file(path) as partial:
        partial.write_text("new")
    assert list(tmp_path.iterdir()) == [path]


def test_long_names_that_begin_alike_do_not_meet(tmp_path: Path) -> None:
    first, second = (partial_path(tmp_path / f"{'é' * 120}{number}.wav") for number in (1, 2))
    assert first != second
    first.touch()  # a name that the file system takes


def test_its_folder_is_made(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "new" / "figures.json"
    with whole_file(path) as partial:
        partial.write_text("{}")
    assert [file.name for file in path.parent.iterdir()] == ["figures.json"]
