"""`deepmusic-export picture`: the README's picture of what a bundle does to a sound."""

from __future__ import annotations

import argparse
from pathlib import Path

from deepmusic_export.cli.arguments import bundle_path


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the verb."""
    parser = subparsers.add_parser("picture", help="draw content, style and result of a transfer of our own synthesis")
    parser.add_argument("-o", "--output", type=Path, required=True, help="PNG file")
    parser.add_argument("--bundle", type=bundle_path, help="folder, zip or name (default: the one in the package)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Draws it."""
    from deepmusic.model.catalog import DEFAULT_BUNDLE, PACKAGE_FOLDER
    from deepmusic_export.evaluate.example import RATE_HZ, example_clips
    from deepmusic_export.evaluate.methods import Player
    from deepmusic_export.evaluate.pictures import draw_spectrograms

    content, style = example_clips()
    result = Player(args.bundle or PACKAGE_FOLDER / DEFAULT_BUNDLE)(content, style, RATE_HZ)
    panels = [("content", content), ("style", style), ("content in the sound of the style", result)]
    draw_spectrograms(args.output, panels, RATE_HZ, "")
    return 0
