"""What records a server's streams: where it may not write, that is said before anybody plays."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from deepmusic.app.recorder import Recorder
from deepmusic.errors import BadConfig


class ReadOnlyFolder(type(Path())):  # type: ignore[misc]  # what the system gives, which root cannot be refused
    """A folder that is there, and takes nothing."""

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        if not (exist_ok and self.is_dir()):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))


def test_a_folder_that_takes_nothing_is_refused_at_the_start(tmp_path: Path):
    with pytest.raises(BadConfig, match="mend --record"):
        Recorder(ReadOnlyFolder(tmp_path), 10**9)


def test_nothing_is_left_of_the_try(tmp_path: Path):
    Recorder(tmp_path, 10**9).stop()
    assert list(tmp_path.iterdir()) == []
