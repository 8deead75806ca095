"""`deepmusic-export ablations`: what each part of the method buys, by training without it."""

from __future__ import annotations

import argparse
from pathlib import Path

from deepmusic_export.cli.arguments import existing_folder


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the verb."""
    parser = subparsers.add_parser("ablations", help="train without each part in turn, and print what that costs")
    parser.add_argument("corpus", type=existing_folder, nargs="+", help="folders that render made")
    parser.add_argument(
        "--held-out", type=existing_folder, nargs="+", required=True, help="corpora that the networks are judged on"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the rows; those in it are kept")
    parser.add_argument("--steps", type=int, default=500, help="training steps of each row (default %(default)s)")
    parser.add_argument("--judged", type=int, default=20, help="batches of held-out examples (default %(default)s)")
    parser.add_argument("--width", type=int, default=16, help="channels of conv1 (default %(default)s)")
    parser.add_argument("--batch", type=int, default=8, help="examples a step (default %(default)s)")
    parser.add_argument("--mixed", action="store_true", help="train convolutions in bfloat16")
    parser.add_argument("--seed", type=int, default=0)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Trains the rows that are missing and prints the table."""
    if min(args.steps, args.judged) < 1:
        raise ValueError(f"expected --steps and --judged of 1 at least, got {args.steps} and {args.judged}")
    from deepmusic_export.data import Corpus
    from deepmusic_export.nets.transfer import TransferConfig
    from deepmusic_export.training.ablations import AblationPlan, run_ablations, table
    from deepmusic_export.training.system import TransferRecipe

    recipe = TransferRecipe(
        network=TransferConfig(width=args.width),
        style_width=args.width,
        batch_size=args.batch,
        is_mixed=args.mixed,
        seed=args.seed,
    )
    plan = AblationPlan(recipe=recipe, n_steps=args.steps, n_judged=args.judged)
    results = run_ablations(plan, Corpus(*args.corpus), Corpus(*args.held_out), args.output)
    print("\n".join(table(results)))
    return 0
