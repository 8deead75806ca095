"""`deepmusic-export encoder`: trains the audio VGG19 and prints what it hears."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from deepmusic_export.cli.arguments import add_device, existing_folder


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the verb."""
    parser = subparsers.add_parser("encoder", help="train the audio VGG19 on a rendered corpus")
    parser.add_argument("corpus", type=existing_folder, nargs="+", help="folders that render made")
    parser.add_argument("-o", "--output", type=Path, required=True, help="checkpoint; an old one is gone on with")
    parser.add_argument("--held-out", type=existing_folder, required=True, help="corpus that training never saw")
    parser.add_argument("--minutes", type=float, default=60.0, help="time budget (default 60)")
    parser.add_argument("--width", type=int, default=64, help="channels of conv1; VGG19 has 64 (default 64)")
    parser.add_argument("--imagenet", help="start from a torchvision-format state dict: a file or an https URL")
    parser.add_argument("--imagenet-sha256", help="its checksum; a URL needs one")
    parser.add_argument("--batch", type=int, default=24, help="clips a step, a multiple of 4 (default 24)")
    parser.add_argument("--crop", type=int, default=131072, help="samples of a crop, a multiple of 32768 (131072)")
    parser.add_argument("--learning-rate", type=float, default=2e-3, help="at its height (default 0.002)")
    parser.add_argument("--mixed", action="store_true", help="train convolutions in bfloat16")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--confusion", type=Path, metavar="FILE.png", help="draw which families are taken for which")
    parser.add_argument("--packed", type=Path, metavar="FILE.npz", help="write the weights as `optimise` ships them")
    add_device(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Trains until the budget is spent, then prints the held-out figures beside the baselines."""
    if args.imagenet_sha256 is not None and args.imagenet is None:
        raise ValueError("expected --imagenet beside --imagenet-sha256, which is its checksum")
    from deepmusic_export.data import Corpus
    from deepmusic_export.training.confusion import draw_confusion
    from deepmusic_export.training.encoder import EncoderRecipe, pack_checkpoint, train_encoder
    from deepmusic_export.training.encoder_report import report

    recipe = EncoderRecipe(
        width=args.width,
        minutes=args.minutes,
        batch_size=args.batch,
        crop_samples=args.crop,
        learning_rate=args.learning_rate,
        is_mixed=args.mixed,
        seed=args.seed,
        imagenet=args.imagenet,
        imagenet_sha256=args.imagenet_sha256,
    )
    held_out = Corpus(args.held_out)
    train_encoder(recipe, Corpus(*args.corpus), held_out, args.output, device=args.device)
    found = report(args.output, held_out)
    print("\n".join(found.lines()))
    if args.confusion is not None:
        draw_confusion(args.confusion, found.confusion)
    if args.packed is not None:
        pack_checkpoint(args.output, args.packed)
    print(f"checkpoint in {args.output}", file=sys.stderr)
    return 0
