"""`deepmusic-export transfer`: trains the style encoder and the transfer network."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from deepmusic_export.cli.arguments import add_device, existing_folder, networks_path
from deepmusic_export.cli.own_recordings import DEFAULT_HOURS, make_pairs

if TYPE_CHECKING:
    from deepmusic_export.data import Corpus


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the verb."""
    parser = subparsers.add_parser("transfer", help="train the transfer network on rendered corpora or own recordings")
    parser.add_argument("corpus", type=existing_folder, nargs="*", help="folders that render made")
    parser.add_argument(
        "--audio-folder",
        type=existing_folder,
        metavar="FOLDER",
        help="train on the recordings in it too, or on them alone: WAV, AIFF, FLAC, OGG or MP3",
    )
    parser.add_argument("--pairs", type=Path, help="folder for the pairs made of them (default beside the checkpoint)")
    parser.add_argument(
        "--audio-hours", type=float, default=DEFAULT_HOURS, help="length of these pairs in hours (default 1)"
    )
    parser.add_argument(
        "--audio-share", type=float, default=0.5, help="share of examples from them beside a corpus (default 0.5)"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="checkpoint; an old one is gone on with")
    parser.add_argument("--validation", type=existing_folder, help="held-out corpus to watch while training")
    parser.add_argument("--minutes", type=float, default=90.0, help="time budget (default 90)")
    parser.add_argument(
        "--kind",
        choices=("stream", "segment"),
        default="stream",
        help="segment: hears what follows, and is a second late (default stream)",
    )
    parser.add_argument("--width", type=int, help="channels of conv1; VGG19 has 64 (default that of --from, else 16)")
    parser.add_argument("--batch", type=int, default=8, help="examples a step (default 8)")
    parser.add_argument(
        "--band-share",
        type=float,
        default=0.75,
        help="share of the budget on band powers, before the audio (default 0.75)",
    )
    parser.add_argument(
        "--from",
        dest="start",
        type=networks_path,
        metavar="NETWORKS",
        help="start from the networks of another run's checkpoint or of a bundle (live is the one that ships), of the "
        "same width or a part of it; a segment's may start from a stream's",
    )
    parser.add_argument(
        "--hold-style", action="store_true", help="keep the style encoder of --from, so that bundles share its file"
    )
    parser.add_argument(
        "--teacher",
        type=networks_path,
        metavar="NETWORKS",
        help="train a narrow student of this checkpoint's or bundle's wider network, with its style encoder",
    )
    parser.add_argument(
        "--learning-rate", type=float, default=1.5e-3, help="at its height (default 0.0015); less suits --from"
    )
    parser.add_argument("--mixed", action="store_true", help="train convolutions in bfloat16")
    parser.add_argument("--seed", type=int, default=0)
    add_device(parser)
    parser.set_defaults(run=run, refuse=parser.error)


def run(args: argparse.Namespace) -> int:
    """Trains until the time budget is spent."""
    if not args.corpus and args.audio_folder is None:
        args.refuse("expected a folder that render made, or --audio-folder with recordings of your own")
    if args.pairs is not None and args.audio_folder is None:
        args.refuse("expected --audio-folder beside --pairs; pairs that are there already are a corpus like any other")
    if args.hold_style and args.start is None:
        raise ValueError("expected --from beside --hold-style: a fresh style encoder has learnt nothing yet")
    from deepmusic_export.data import Corpus
    from deepmusic_export.nets.segment_plan import SegmentPlan
    from deepmusic_export.nets.transfer import TransferConfig
    from deepmusic_export.training.bundled import read_networks
    from deepmusic_export.training.system import TransferRecipe
    from deepmusic_export.training.transfer import TransferTrainer

    teacher = None if args.teacher is None else read_networks(args.teacher)
    start = None if args.start is None else read_networks(args.start)
    known = teacher or start  # whose sizes the style encoder has
    network = TransferConfig() if known is None else known.recipe.network
    width = args.width or (TransferConfig().width if start is None else start.recipe.network.width)
    recipe = TransferRecipe(
        network=replace(network, width=width, segment=SegmentPlan() if args.kind == "segment" else None),
        style_width=width if known is None else known.recipe.style_width,
        minutes=args.minutes,
        band_share=args.band_share,
        batch_size=args.batch,
        learning_rate=args.learning_rate,
        is_style_held=args.hold_style,
        is_mixed=args.mixed,
        seed=args.seed,
    )
    validation = None if args.validation is None else Corpus(args.validation)
    trainer = TransferTrainer(
        recipe, _corpus(args), validation, args.device, None if teacher is None else teacher.system
    )
    if args.output.exists():
        trainer.load(args.output)
        print(f"going on at step {trainer.step}", file=sys.stderr)
    elif start is not None:
        trainer.start_from(start)
    trainer.run(args.output)
    print(f"{trainer.step} steps in {args.output}", file=sys.stderr)
    return 0


def _corpus(args: argparse.Namespace) -> Corpus:
    """The rendered folders and the pairs of own recordings, made first where they are missing."""
    from deepmusic_export.resident_corpus import corpus_for

    if args.audio_folder is None:
        return corpus_for(args.device, *args.corpus)
    pairs = args.pairs or args.output.with_suffix(".pairs")
    make_pairs(args.audio_folder, pairs, args.audio_hours, args.seed)
    if not args.corpus:
        return corpus_for(args.device, pairs)
    return corpus_for(args.device, *args.corpus, pairs, favoured=pairs, share=args.audio_share)
