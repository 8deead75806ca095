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


def networks_path(text: str) -> Path:
    """A checkpoint, a bundle, or the name of a bundle that `deepmusic models list` shows, for argparse."""
    return _path_or_bundle(text, "a file, a bundle or a bundle's name")


def bundle_path(text: str) -> Path:
    """A bundle's folder or zip, or its name, for argparse."""
    return _path_or_bundle(text, "a bundle's folder, zip or name")


def _path_or_bundle(text: str, wanted: str) -> Path:
    from deepmusic.errors import ModelNotFound
    from deepmusic.model.catalog import BundleCatalog, user_bundle_folder

    path = Path(text)
    if path.exists():
        return path
    try:
        return BundleCatalog(user_bundle_folder()).entry(text).path
    except ModelNotFound as error:
        raise argparse.ArgumentTypeError(f"expected {wanted}, got {text!r}") from error
