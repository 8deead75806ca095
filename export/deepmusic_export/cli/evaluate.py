"""`deepmusic-export evaluate`: how good a bundle is on held-out renders, as a table or as a report with pictures."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, cast

from deepmusic_export.cli.arguments import bundle_path, existing_folder

if TYPE_CHECKING:
    from deepmusic_export.data import Corpus
    from deepmusic_export.training.timbre import TimbreMeasure


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the verb."""
    parser = subparsers.add_parser("evaluate", help="measure a bundle on held-out renders, beside all baselines")
    parser.add_argument("bundle", type=bundle_path, help="folder, zip or name of the bundle")
    parser.add_argument("corpus", type=existing_folder, nargs="+", help="held-out corpora that render made")
    parser.add_argument("--pairs", type=int, default=50, help="transfers from each corpus (default 50)")
    parser.add_argument("--precision", choices=("auto", "float", "int8"), default="float")
    parser.add_argument(
        "--timbre",
        type=Path,
        action="append",
        default=[],
        metavar="FILE|CORPUS",
        help="adds timbre and style-swap: the file that timbre wrote, or a training corpus (may be given again)",
    )
    parser.add_argument(
        "--swaps", type=int, default=6, help="contents of each kind on which five styles are tried (default 6)"
    )
    parser.add_argument(
        "--ulyanov", type=int, default=0, metavar="N", help="adds random filters on N pairs, minutes each (default 0)"
    )
    parser.add_argument(
        "--parts", action="store_true", help="adds rows of the bundle with one part of its network taken out"
    )
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("-o", "--output", type=Path, help="write the report there (Markdown, pictures beside it)")
    parser.add_argument("--json", type=Path, help="write all scores there")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints the table; writes the report and the scores where asked for."""
    from deepmusic.model.runtime import Precision
    from deepmusic_export.data import Corpus
    from deepmusic_export.evaluate.evaluation import EvaluationPlan, evaluate
    from deepmusic_export.evaluate.methods import Player
    from deepmusic_export.evaluate.page import write_page
    from deepmusic_export.evaluate.tables import summary
    from deepmusic_export.whole_file import whole_file

    corpora = {folder.name: Corpus(folder) for folder in args.corpus}
    if len(corpora) < len(args.corpus):
        raise ValueError(f"expected held-out corpora of different names, got {', '.join(map(str, args.corpus))}")
    plan = EvaluationPlan(
        n_pairs=args.pairs, n_swaps=args.swaps, n_slow_pairs=args.ulyanov, has_parts=args.parts, seed=args.seed
    )
    measure = _timbre_measure(args.timbre, list(corpora.values()))
    player = Player(args.bundle, cast("Precision", args.precision))
    evaluation = evaluate(plan, player, corpora, measure)
    print("\n".join(summary(evaluation)))
    if args.output is not None:
        write_page(args.output, evaluation, player)
    if args.json is not None:
        with whole_file(args.json) as partial:
            partial.write_text(json.dumps(evaluation.as_dict(), indent=1))
    return 0


def _timbre_measure(paths: list[Path], held_out: list[Corpus]) -> TimbreMeasure | None:
    """Reads or trains the measure; a held-out corpus among what it is trained on is refused before it is."""
    from deepmusic_export.data import Corpus
    from deepmusic_export.training.timbre import (
        TimbreMeasure,
        TimbreRecipe,
        group_digest,
        refuse_trained_on,
        train_timbre,
    )

    if not paths:
        return None
    if len(paths) == 1 and paths[0].is_file():
        measure = TimbreMeasure.load(paths[0])
        refuse_trained_on(measure.trained_on, held_out)
        return measure
    training = Corpus(*paths)
    refuse_trained_on({group_digest(group) for group in training.groups()}, held_out)
    return train_timbre(TimbreRecipe(), training)
