"""`deepmusic-export evaluate`: the model card's table for a bundle on held-out renders."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import cast

from deepmusic_export.cli.arguments import existing_folder


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the verb."""
    parser = subparsers.add_parser("evaluate", help="measure a bundle on held-out renders, beside all baselines")
    parser.add_argument("bundle", type=Path, help="folder or zip of the bundle")
    parser.add_argument("corpus", type=existing_folder, nargs="+", help="held-out corpora that render made")
    parser.add_argument("--pairs", type=int, default=50, help="transfers from each corpus (default 50)")
    parser.add_argument("--precision", choices=("auto", "float", "int8"), default="float")
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("-o", "--output", type=Path, help="write the table there (Markdown)")
    parser.add_argument("--json", type=Path, help="write every pair's scores there")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints the table."""
    from deepmusic.model.runtime import Precision
    from deepmusic_export.data import Corpus
    from deepmusic_export.evaluate import draw_pairs, evaluate, markdown_table, summary_metrics

    pairs = [pair for folder in args.corpus for pair in draw_pairs(Corpus(folder), folder.name, args.pairs, args.seed)]
    report = evaluate(args.bundle, pairs, cast("Precision", args.precision))
    table = markdown_table(report)
    print(table)
    if args.output is not None:
        args.output.write_text(table + "\n")
    if args.json is not None:
        scores = {method: [asdict(row) for row in rows] for method, rows in report.scores.items()}
        data = {"bundle": report.bundle, "digest": report.digest, "precision": report.precision}
        args.json.write_text(json.dumps({**data, "summary": summary_metrics(report), "scores": scores}, indent=1))
    return 0
