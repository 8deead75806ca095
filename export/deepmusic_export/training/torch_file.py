"""Files of torch's that people hand over: another or a broken one is told in a line."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from pathlib import Path
from pickle import UnpicklingError


@contextlib.contextmanager
def expecting(wanted: str, path: Path) -> Generator[None]:
    """Reads a file in its body.

    Args:
        wanted: What the file should be, in words.
        path: The file.

    Raises:
        ValueError: The body raised what torch, or what is built of its data, makes of a foreign or broken file.
    """
    try:
        yield
    except (UnpicklingError, EOFError, RuntimeError, KeyError, TypeError) as error:
        raise ValueError(f"expected {wanted}, got {path}") from error
