"""`deepmusic bench`: the figures of docs/benchmarks.md, measured here and now."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import asdict, dataclass

from deepmusic.app.processor import Processor
from deepmusic.cli.bundle_options import add_bundle_options
from deepmusic.cli.main import Subparsers
from deepmusic.cli.measurements import (
    RATE_HZ,
    STEP_S,
    Distribution,
    LivePace,
    TightLoop,
    example_style,
    latencies_samples,
    live_pace,
    tight_loop,
)
from deepmusic.cli.round_trip import grpc_round_trip
from deepmusic.model.catalog import LoadedBundle
from deepmusic.model.chosen_bundle import load_bundle

MAX_TIGHT_S = 30.0
"""Audio for the tight loop, seconds; the live part takes the time that it is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """All that was measured."""

    host: str
    cores: int
    load_average: float | None
    """Of the last minute, before the measurement; above 0.2 a core, other programs had a part in the figures."""
    bundle: str
    bundle_digest: str
    provider: str
    precision: str
    tight: TightLoop
    live: LivePace
    latency_samples: int
    measured_latency_samples: int
    grpc_round_trip: Distribution
    start_up_s: float
    quality: dict[str, float]
    """The figures that the bundle's manifest carries."""


def register(subparsers: Subparsers[argparse.ArgumentParser]) -> None:
    """Add the verb's parser."""
    parser = subparsers.add_parser(
        "bench",
        help="measure what this machine can do",
        description="Measure one stereo 48 kHz stream in a tight loop, and --streams of them at live pace.",
        allow_abbrev=False,
    )
    parser.add_argument("--streams", type=_count, default=1, metavar="N", help="streams at live pace (%(default)s)")
    parser.add_argument("--seconds", type=_seconds, default=20.0, metavar="S", help="how long, live (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    parser.add_argument("--start-up", action="store_true", help=argparse.SUPPRESS)  # the process that is timed
    add_bundle_options(parser)


def run(args: argparse.Namespace) -> int:
    """Do it."""
    bundle = load_bundle(args.bundle, device=args.device, precision=args.precision)
    if args.start_up:
        tight_loop(bundle, example_style(bundle), 2 * STEP_S)
        return 0
    figures = measure(args, bundle)
    print(json.dumps(asdict(figures)) if args.json else "\n".join(_lines(figures)))
    return 0


def measure(args: argparse.Namespace, bundle: LoadedBundle) -> Figures:
    """Measure everything, one after the other, so that nothing disturbs anything."""
    load_average = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    style = example_style(bundle)
    declared, measured = latencies_samples(bundle, style)
    return Figures(
        host=f"{Processor.of_this_host().name}, {platform.platform()}",
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        load_average=load_average,
        bundle=bundle.bundle.manifest.name,
        bundle_digest=bundle.bundle.digest,
        provider=bundle.transfer.provider,
        precision=bundle.transfer.precision,
        tight=tight_loop(bundle, style, min(args.seconds, MAX_TIGHT_S)),
        live=live_pace(bundle, style, args.streams, args.seconds),
        latency_samples=declared,
        measured_latency_samples=measured,
        grpc_round_trip=grpc_round_trip(args.bundle, bundle),
        start_up_s=_start_up_s(args),
        quality=dict(bundle.bundle.manifest.metrics),
    )


def _start_up_s(args: argparse.Namespace) -> float:
    """From nothing to the first two steps: a new process that imports, loads, learns a style and plays."""
    command = [sys.executable, "-m", "deepmusic", "bench", "--start-up", "--bundle", args.bundle]
    started_s = time.perf_counter()
    subprocess.run([*command, "--device", args.device, "--precision", args.precision], check=True)
    return time.perf_counter() - started_s


def _lines(figures: Figures) -> list[str]:
    tight, live = figures.tight, figures.live
    period_ms = 1000.0 * STEP_S
    load = "" if figures.load_average is None else f", load {figures.load_average:.1f}"
    memory = "unknown" if live.resident_bytes is None else f"{live.resident_bytes / 1e6:.1f} MB"
    latency_ms = 1000.0 * figures.latency_samples / RATE_HZ
    rows = [
        ("host", f"{figures.host}, {figures.cores} cores{load}"),
        ("bundle", f"{figures.bundle} {figures.bundle_digest[:12]}, {figures.precision} on {figures.provider}"),
        ("tight loop", f"rtf {tight.rtf:.3f} ({1.0 / tight.rtf:.1f} x real time), {tight.core_fraction:.3f} of a core"),
        ("  step", f"{_spread(tight.step)} of {period_ms:.1f} ms"),
        ("  outside / in model", f"{tight.outside_over_inside:.2f}"),
        ("live pace", f"{live.n_streams} streams, {live.seconds:.0f} s, {live.core_fraction:.3f} of a core for each"),
        ("  answer to a block", f"{_spread(live.answer)} of {period_ms:.1f} ms"),
        ("  steps", f"{live.n_steps}, late {live.n_late}, failed {live.n_failed}"),
        ("  memory a stream", memory),
        (
            "latency",
            f"{figures.latency_samples} samples ({latency_ms:.1f} ms), measured {figures.measured_latency_samples}",
        ),
        ("gRPC round trip", _spread(figures.grpc_round_trip)),
        ("start-up", f"{figures.start_up_s:.2f} s"),
    ]
    rows += [(name, f"{value:g}") for name, value in figures.quality.items()]
    return [f"{name:<23} {text}" for name, text in rows]


def _spread(distribution: Distribution) -> str:
    return f"p50 {distribution.p50_ms:.2f} ms, p99 {distribution.p99_ms:.2f} ms, p99.9 {distribution.p99_9_ms:.2f} ms"


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1024:
        raise argparse.ArgumentTypeError(f"expected a number of streams from 1 to 1024, got {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.1 <= value <= 86_400.0:
        raise argparse.ArgumentTypeError(f"expected 0.1 to 86400 seconds, got {text!r}")
    return value
