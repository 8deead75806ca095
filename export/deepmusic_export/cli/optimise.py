"""`deepmusic-export optimise`: two recordings in, one out, slowly: the deepart algorithm done for audio."""

from __future__ import annotations

import argparse
import math
import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from deepmusic.errors import RequestError
from deepmusic_export.cli.arguments import existing_file

if TYPE_CHECKING:
    from deepmusic_export.optimise.finishing import Finished
    from deepmusic_export.optimise.run import Optimisation


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the verb."""
    parser = subparsers.add_parser(
        "optimise",
        help="play one recording in the sound of another, optimised for this very pair",
        description=(
            "Play CONTENT in the sound of STYLE, optimised for this very pair. The output has CONTENT's rate, channels "
            "and exact length. Ctrl-C writes what was reached; --resume goes on from there."
        ),
    )
    parser.add_argument("content", metavar="CONTENT", type=Path, help="recording to play: WAV, AIFF, FLAC, OGG or MP3")
    parser.add_argument("style", metavar="STYLE", type=Path, help="recording to take the sound of")
    parser.add_argument("-o", "--output", metavar="OUT", type=Path, required=True, help="file to write: .wav or .flac")
    parser.add_argument("--recipe", choices=("gains", "gatys"), default="gains", help="see docs/optimise.md (gains)")
    parser.add_argument("--from", dest="start", choices=("live", "content"), default="live", help="start (live)")
    parser.add_argument("--bundle", default="live", metavar="NAME", help="name, folder (with a /) or zip (live)")
    parser.add_argument("--steps", type=_count, default=30, metavar="N", help="steps of L-BFGS for each chunk (30)")
    parser.add_argument("--minutes", type=_minutes, default=float("inf"), metavar="M", help="stop after so long")
    parser.add_argument("--resume", action="store_true", help="go on from the state file beside OUT")
    parser.add_argument(
        "--vgg", type=existing_file, metavar="FILE", help="VGG19 that `encoder` trained (the shipped one)"
    )
    parser.add_argument("--random", action="store_true", help="listen with random weights, the baseline")
    parser.add_argument("--near", type=_weight, metavar="W", help="pull towards the start; 0.1 goes further (1)")
    parser.add_argument("--reach", type=float, metavar="DB", help="how far a gain may go from its start (6; 30)")
    parser.add_argument("--imagenet", metavar="FILE_OR_URL", help="torchvision's VGG19 weights, for --recipe gatys")
    parser.add_argument("--sha256", metavar="HEX", help="checksum of --imagenet; a URL needs one")
    parser.add_argument("--seed", type=int, default=0, help="of random weights and filters (0)")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw spectrograms and the loss")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Optimises, and writes what was reached; 0 also when it was stopped."""
    from deepmusic_export.optimise.plan import RANDOM_WIDTH, WEIGHTS, OptimisePlan
    from deepmusic_export.optimise.plot import plot
    from deepmusic_export.optimise.recording import (
        Recording,
        check_content,
        check_output,
        read_recording,
        write_recording,
    )
    from deepmusic_export.optimise.run import Optimisation
    from deepmusic_export.optimise.state import load_state, state_path

    plan = OptimisePlan(
        recipe=args.recipe,
        start=args.start,
        bundle=args.bundle,
        steps=args.steps,
        minutes=args.minutes,
        vgg=args.vgg,
        width=RANDOM_WIDTH if args.random else None,
        imagenet=args.imagenet,
        imagenet_sha256=args.sha256,
        seed=args.seed,
        reach_db=args.reach,
        weights=None if args.near is None else replace(WEIGHTS[args.start], near=args.near),
    )
    check_output(args.output, (args.content, args.style))
    if args.plot is not None and (args.plot.suffix.lower() != ".png" or not args.plot.parent.is_dir()):
        raise RequestError(f"{args.plot}: expected a name that ends in .png in a folder that exists; choose another")
    content = read_recording(args.content)
    check_content(args.content, content)
    style = read_recording(args.style)
    for path, recording in ((args.content, content), (args.style, style)):
        if recording.n_replaced:
            _say(f"{path}: {recording.n_replaced} samples are NaN or infinite and were taken as silence")
    where = state_path(args.output)
    with stop_flag() as caught:
        optimisation = Optimisation(content, style, plan)
        if args.resume:
            optimisation.state = load_state(where, optimisation.key)
            _say(f"going on at step {optimisation.n_steps} of {optimisation.total_steps}")
        _say(f"{plan.recipe}; the VGG19 is {optimisation.task.listener_origin}")
        _run(optimisation, where, caught)
        finished = optimisation.result()
        write_recording(args.output, Recording(audio=finished.audio, sample_rate_hz=content.sample_rate_hz))
    if optimisation.is_complete:
        where.unlink(missing_ok=True)
    _report(args.output, optimisation, finished)
    if args.plot is not None:
        plot(args.plot, optimisation, style, finished)
    return 0


def _run(optimisation: Optimisation, where: Path, caught: list[int]) -> None:
    """Runs until the end, the budget's end or a signal, with a bar where somebody looks at it."""
    from tqdm import tqdm

    from deepmusic_export.optimise.run import Surroundings

    with tqdm(
        desc="optimising",
        total=optimisation.total_steps,
        initial=optimisation.n_steps,
        bar_format="{desc} {percentage:3.0f}% |{bar}| {remaining} left{postfix}",
        file=sys.stderr,
        leave=False,
        dynamic_ncols=True,
        disable=None,
    ) as bar:

        def advance(n_steps: int, loss: float) -> None:
            bar.set_postfix_str(f"loss {loss:.4g}", refresh=False)
            bar.update(n_steps)

        optimisation.run(Surroundings(state_path=where, should_stop=lambda: bool(caught), on_progress=advance))


def _report(output: Path, optimisation: Optimisation, finished: Finished) -> None:
    curve = optimisation.curve()
    fall = f", loss {curve[0]:.4g} to {curve[-1]:.4g}" if curve else ""
    _say(
        f"{output}: {optimisation.n_steps} of {optimisation.total_steps} steps{fall}; "
        f"{finished.loudness_lufs:.1f} LUFS, {finished.true_peak_dbtp:.1f} dBTP"
    )
    if finished.ceiling_db > 0.5:
        _say(f"the ceiling of -1 dBTP took up to {finished.ceiling_db:.1f} dB, so it is quieter than the content")
    if not optimisation.is_complete:
        _say("stopped before the last step; the same command with --resume goes on from there")


@contextmanager
def stop_flag() -> Generator[list[int]]:
    """A list that SIGINT and SIGTERM put something into; a second one interrupts as ever."""
    caught: list[int] = []

    def note(number: int, frame: object) -> None:
        if caught:
            raise KeyboardInterrupt
        caught.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _count(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"expected a whole number of 0 or more, got {text!r}")
    return int(text)


def _minutes(text: str) -> float:
    if not (value := _number(text)) > 0.0:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return value


def _weight(text: str) -> float:
    if not 0.0 <= (value := _number(text)) < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number of 0 or more, got {text!r}")
    return value


def _number(text: str) -> float:
    """NaN, which no bound lets through, where it is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _say(line: str) -> None:
    print(f"deepmusic-export optimise: {line}", file=sys.stderr)
