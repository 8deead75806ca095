"""`deepmusic-export render`: paired training audio: a SoundFont, our own synthesis, singers, or own recordings."""

from __future__ import annotations

import argparse
import math
import os
import sys
from dataclasses import replace
from pathlib import Path

from deepmusic_export.cli.arguments import DEFAULT_SOUNDFONT, existing_file, existing_folder


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the verb."""
    parser = subparsers.add_parser("render", help="render paired audio: every score on every patch of its group")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the corpus; groups in it are kept")
    parser.add_argument("--hours", type=float, help="length of the corpus in hours (default 6; 1 with --audio-folder)")
    parser.add_argument(
        "--audio-folder",
        type=existing_folder,
        metavar="FOLDER",
        help="make pairs of the recordings in it, as transfer does; of the other options, --hours and --seed count",
    )
    parser.add_argument(
        "--soundfont", type=existing_file, default=DEFAULT_SOUNDFONT, help="SF2 or SF3 file (default %(default)s)"
    )
    parser.add_argument(
        "--programs",
        choices=("train", "held-out", "all"),
        default="train",
        help="its programs: those that are not held out, those that are, or all (default %(default)s)",
    )
    parser.add_argument(
        "--synth-share", type=float, default=0.22, help="share of groups from our own synthesis (%(default)s)"
    )
    parser.add_argument(
        "--drum-share", type=float, default=0.08, help="share of groups that are drum kits (%(default)s)"
    )
    parser.add_argument(
        "--voice-share",
        type=float,
        default=0.0,
        help="share of groups in which singers, spoken by espeak-ng, stand beside instruments (%(default)s)",
    )
    parser.add_argument(
        "--dry", action="store_true", help="no effects; with --own-bodies, what held-out corpora are made with"
    )
    parser.add_argument("--own-bodies", action="store_true", help="every instrument as large as its samples are")
    parser.add_argument(
        "--edit-share",
        type=float,
        default=0.0,
        help="share of instruments with another filter and envelope (%(default)s)",
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Renders what is missing."""
    if args.hours is not None and not args.hours > 0:
        raise ValueError(f"expected --hours above 0, got {args.hours:g}")
    shares = (args.synth_share, args.drum_share, args.voice_share)
    if min(shares) < 0 or sum(shares) > 1:
        raise ValueError(
            "expected --synth-share, --drum-share and --voice-share that make 1 at most, got "
            + ", ".join(f"{share:g}" for share in shares)
        )
    if args.audio_folder is not None:
        from deepmusic_export.cli.own_recordings import DEFAULT_HOURS, make_pairs

        make_pairs(args.audio_folder, args.output, args.hours or DEFAULT_HOURS, args.seed, args.processes)
        return 0
    from deepmusic_export.render.corpus import CorpusPlan, render_corpus

    if not args.soundfont.is_file():
        raise FileNotFoundError(f"expected a SoundFont at {args.soundfont}; install it, or name one with --soundfont")
    plan = CorpusPlan(
        soundfont=args.soundfont,
        n_groups=1,
        seed=args.seed,
        programs=args.programs,
        synth_share=args.synth_share,
        drum_share=args.drum_share,
        voice_share=args.voice_share,
        effects=not args.dry,
        bodies=not args.own_bodies,
        edit_share=args.edit_share,
    )
    group_s = plan.n_patches * plan.n_scores * plan.clip_s
    n_groups = max(1, math.ceil((args.hours or 6.0) * 3600 / group_s))
    render_corpus(replace(plan, n_groups=n_groups), args.output, args.processes)
    print(f"{n_groups} groups, {n_groups * group_s / 3600:.1f} hours in {args.output}", file=sys.stderr)
    return 0
