"""`deepmusic-export onnx`: a checkpoint to a bundle that the runtime loads."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from pathlib import Path
from typing import Any

from deepmusic_export.cli.arguments import existing_file, existing_folder


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the verb."""
    parser = subparsers.add_parser("onnx", help="write the bundle of a checkpoint")
    parser.add_argument("checkpoint", type=existing_file, help="what transfer made")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder; an old bundle is replaced whole")
    parser.add_argument("--calibration", type=existing_folder, required=True, help="rendered corpus or pairs, for int8")
    parser.add_argument("--name", help="name of the bundle (default live, lite for a student, studio for segments)")
    parser.add_argument("--version", default="1")
    parser.add_argument("--weights", choices=("float32", "float16"), default="float32", help="of the float files")
    parser.add_argument("--clip-samples", type=int, default=196608, help="length of a calibration clip")
    parser.add_argument("--no-int8", action="store_true", help="leave the int8 file out")
    parser.add_argument("--full-range", action="store_true", help="8-bit weights: only for hosts with VNNI")
    parser.add_argument("--data", default="", help="what it was trained on, for the manifest")
    parser.add_argument("--note", default="", help="further words for the manifest's training note")
    parser.add_argument("--metrics", type=existing_file, help="JSON that evaluate wrote, for the manifest")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Writes the bundle."""
    if args.full_range and args.no_int8:
        raise ValueError("expected an int8 file for --full-range; leave --no-int8 or --full-range out")
    from deepmusic_export.data import Corpus
    from deepmusic_export.packing import PackingPlan, pack
    from deepmusic_export.training.system import load_system, recipe_from_dict

    system, checkpoint = load_system(args.checkpoint)
    profile = recipe_from_dict(checkpoint["recipe"]).profile
    plan = PackingPlan(
        name=args.name or profile,
        profile=profile,
        version=args.version,
        half=args.weights == "float16",
        int8=not args.no_int8,
        full_range=args.full_range,
        clip_samples=args.clip_samples,
        training=_training_note(checkpoint, args),
        metrics={} if args.metrics is None else _metrics(args.metrics),
    )
    manifest = pack(system.transfer, system.style, Corpus(args.calibration), plan, args.output)
    for name, entry in manifest.files.items():
        print(f"{name}: {entry.n_bytes / 1e6:.2f} MB", file=sys.stderr)
    return 0


def _metrics(path: Path) -> dict[str, float]:
    data = json.loads(path.read_text())
    if not isinstance(data, dict) or not isinstance(data.get("summary"), dict):
        raise ValueError(f"expected the file that evaluate --json wrote, got {path}")
    return data["summary"]


def _training_note(checkpoint: dict[str, Any], args: argparse.Namespace) -> dict[str, Any]:
    recipe = checkpoint["recipe"]
    return {
        "data": args.data or f"{checkpoint['corpus_hours']:.1f} hours of pairs",
        "steps": checkpoint["step"],
        "hours": round(checkpoint["spent_s"] / 3600, 2),
        "seed": recipe["seed"],
        "host": f"{platform.machine()}, {platform.system()}",
        "note": args.note or f"width {recipe['network']['width']}, batch {recipe['batch_size']}",
    }
