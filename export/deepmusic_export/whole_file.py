"""Files appear whole or not at all."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def partial_path(path: Path) -> Path:
    """Where a file is written until it is whole: beside `path`, under a short name that is always the same.

    So what a killed process left there is written over by the next one.
    """
    return path.with_name(f".{path.name[:64]}.{zlib.crc32(path.name.encode()):08x}.part")


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Gives a file to write, which takes the place of `path` when the body has ended well, and else goes.

    What was worked on for hours is not lost for want of a folder: that is made too.

    Args:
        path: The file that is to appear; an old one stays until then.

    Raises:
        OSError: The file could not take its place.
    """
    partial = partial_path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
