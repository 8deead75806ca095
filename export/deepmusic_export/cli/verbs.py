"""Parses the command line of deepmusic-export and runs a verb."""

from __future__ import annotations

import argparse
import sys

from deepmusic.errors import DeepmusicError
from deepmusic_export.cli import ablations, encoder, evaluate, onnx, optimise, picture, render, timbre, transfer, verify
from deepmusic_export.memory import keep_freed_memory

VERBS = (render, encoder, transfer, onnx, verify, timbre, evaluate, ablations, optimise, picture)


def run(argv: list[str] | None = None) -> int:
    """Runs one verb; a failure is one line on stderr and exit status 1."""
    parser = argparse.ArgumentParser(
        prog="deepmusic-export", description="Render training audio, train networks and write bundles for deepmusic."
    )
    subparsers = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb in VERBS:
        verb.register(subparsers)
    args = parser.parse_args(argv)
    keep_freed_memory()
    try:
        return args.run(args)
    except KeyboardInterrupt:
        print("deepmusic-export: stopped; what was finished is kept, the same command goes on", file=sys.stderr)
        return 130
    except DeepmusicError as error:
        message = error.message
    except (OSError, RuntimeError, ValueError) as error:
        message = str(error)
    print(f"deepmusic-export {args.verb}: {message}", file=sys.stderr)
    return 1
