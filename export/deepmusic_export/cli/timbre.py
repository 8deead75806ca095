"""`deepmusic-export timbre`: trains the timbre measure that evaluate judges with."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from deepmusic_export.cli.arguments import existing_folder


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the verb."""
    parser = subparsers.add_parser("timbre", help="train the timbre measure of evaluate, once for many evaluations")
    parser.add_argument("corpus", type=existing_folder, nargs="+", help="training corpora, never a held-out one")
    parser.add_argument("-o", "--output", type=Path, required=True, help="file for evaluate's --timbre")
    parser.add_argument("--seed", type=int, default=0)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Trains and writes the file."""
    from deepmusic_export.data import Corpus
    from deepmusic_export.training.timbre import TimbreRecipe, train_timbre

    train_timbre(TimbreRecipe(seed=args.seed), Corpus(*args.corpus)).save(args.output)
    print(f"timbre measure in {args.output}", file=sys.stderr)
    return 0
