"""The options with which a command is told which bundle to use, and how, and where the styles are."""

from __future__ import annotations

import argparse
from pathlib import Path

from deepmusic.model.catalog import DEFAULT_BUNDLE
from deepmusic.model.providers import DEVICES
from deepmusic.model.runtime import PRECISIONS


def add_bundle_options(parser: argparse.ArgumentParser, *, with_device: bool = True) -> None:
    """Add `--bundle`, and `--device` and `--precision` where the command runs the model."""
    parser.add_argument(
        "--bundle",
        default=DEFAULT_BUNDLE,
        metavar="NAME",
        help="a bundle's name, or its folder (with a /) or zip (%(default)s)",
    )
    if with_device:
        parser.add_argument("--device", choices=DEVICES, default="auto", help="where the model runs (%(default)s)")
        parser.add_argument(
            "--precision", choices=PRECISIONS, default="auto", help="which of the bundle's files runs (%(default)s)"
        )


def add_style_folder(parser: argparse.ArgumentParser, *, what_for: str = "") -> None:
    """Add `--styles`, as a path or None."""
    parser.add_argument("--styles", metavar="FOLDER", type=Path, help=f"folder of the styles{what_for} (the user's)")
