"""Arguments that several verbs share."""

from __future__ import annotations

import argparse
from pathlib import Path

#: Where Debian's fluid-soundfont-gm puts FluidR3 (MIT).
DEFAULT_SOUNDFONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")


def add_device(parser: argparse.ArgumentParser) -> None:
    """Adds --device."""
    parser.add_argument("--device", default="cpu", help="torch device to train on: cpu, cuda, ... (default cpu)")


def existing_folder(text: str) -> Path:
    """A folder that must be there, for argparse."""
    path = Path(text)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"expected a folder, got {text!r}")
    return path


def existing_file(text: str) -> Path:
    """A file that must be there, for argparse."""
    path = Path(text)
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"expected a file, got {text!r}")
    return path
