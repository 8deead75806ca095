"""`deepmusic replay`: what a recorded stream sounded like, sample for sample, or what another bundle makes of it."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path

from deepmusic.app.recorder import circumstances
from deepmusic.cli.bundle_options import add_style_folder
from deepmusic.cli.interruption import Interruption
from deepmusic.cli.main import Subparsers
from deepmusic.cli.progress import progress_bar
from deepmusic.errors import RequestError
from deepmusic.model.catalog import LoadedBundle
from deepmusic.model.chosen_bundle import load_bundle
from deepmusic.model.providers import CUDA_PROVIDER, DEVICES
from deepmusic.model.runtime import PRECISIONS
from deepmusic.model.style_vector import StyleVector, blend
from deepmusic.session.config import SessionConfig, model_facts
from deepmusic.session.offline import answer_step
from deepmusic.session.session import Session
from deepmusic.stage.receipt import Missed, Receipt
from deepmusic.stage.replay import BLOCK_SAMPLES, Misses, Replay
from deepmusic.styles.library import StyleLibrary
from deepmusic.transports.file.recorded import Recorded
from deepmusic.transports.file.writer import AudioWriter, check_output, encoding_for


def register(subparsers: Subparsers[argparse.ArgumentParser]) -> None:
    """Add the verb's parser."""
    parser = subparsers.add_parser(
        "replay",
        help="render a recorded stream again, sample for sample",
        description="Render a stream that `deepmusic serve --record FOLDER` kept: float32 WAV, without the latency, as "
        "long as its dry input, with every rescue that was heard.",
        allow_abbrev=False,
    )
    parser.add_argument("recording", metavar="RECORDING", type=Path, help="a stream's folder, or the receipt in it")
    parser.add_argument("-o", "--output", metavar="OUT", type=Path, required=True, help="the .wav file to write")
    parser.add_argument(
        "--bundle",
        metavar="NAME",
        help="name, folder (with a /) or zip of a bundle (the one that played); with another one "
        "the styles come from the library, and nothing is missed",
    )
    parser.add_argument("--without-misses", action="store_true", help="as if every model step had been in time")
    add_style_folder(parser, what_for=", for another bundle")
    parser.add_argument("--device", choices=DEVICES, help="where the model runs (where it ran)")
    parser.add_argument("--precision", choices=PRECISIONS, help="which of the bundle's files runs (the one that ran)")
    parser.add_argument("--json", action="store_true", help="print one line of JSON about the result")


def run(args: argparse.Namespace) -> int:
    """Do it. SIGTERM ends it as Ctrl-C does: nothing half-written stays."""
    with Interruption() as interruption, Recorded(args.recording) as recorded:
        return _run(args, recorded, interruption.check)


def _run(args: argparse.Namespace, recorded: Recorded, check: Callable[[], None]) -> int:
    encoding = encoding_for(args.output, as_float=True)
    check_output(args.output, recorded.dry_path)
    receipt = recorded.receipt
    loaded = _bundle(args, receipt)
    is_same_bundle = loaded.bundle.digest == receipt.circumstances.bundle_digest
    has_misses = is_same_bundle and not args.without_misses
    style_of: Callable[[StyleVector], StyleVector] = _kept if is_same_bundle else _Relearned(args.styles, loaded)
    session = Session(
        SessionConfig(
            audio_format=recorded.audio_format,
            settings=receipt.settings,
            max_block_samples=BLOCK_SAMPLES,
            noise_seed=receipt.noise_seed,
            backlog_s=math.inf,
            statistics=receipt.statistics if is_same_bundle else None,
        ),
        model_facts(loaded.transfer),
        style_of(receipt.style),
    )
    replay = Replay(session, Misses(recorded.entries if has_misses else ()), answer_step, style_of)
    rate_hz, n_done = receipt.sample_rate_hz, 0
    with (
        AudioWriter(
            args.output,
            encoding=encoding,
            sample_rate_hz=rate_hz,
            n_channels=receipt.n_channels,
            n_samples=recorded.n_samples,
        ) as writer,
        progress_bar(args.output.name, recorded.n_samples / rate_hz) as advance,
    ):
        for block in replay.play(recorded.entries, recorded):
            check()
            writer.write(block)
            n_done += block.shape[1]
            advance(block.shape[1] / rate_hz)
        writer.commit()
    differences = receipt.circumstances.differences(circumstances(loaded))
    _report(args, recorded, loaded, differences, has_misses=has_misses)
    return 0


def _bundle(args: argparse.Namespace, receipt: Receipt) -> LoadedBundle:
    """The bundle that played, in the very file that ran, or the one that was chosen."""
    played = receipt.circumstances
    device = args.device or ("cuda" if played.provider == CUDA_PROVIDER else "cpu")
    precision = args.precision or ("int8" if played.precision == "int8" else "float")
    if args.bundle is not None:
        chosen = load_bundle(args.bundle, device=device, precision="auto")
        if chosen.bundle.digest != played.bundle_digest or chosen.transfer.precision == played.precision:
            return chosen
        return load_bundle(args.bundle, device=device, precision=precision)
    loaded = load_bundle(receipt.bundle, device=device, precision=precision)
    if loaded.bundle.digest != played.bundle_digest:
        raise RequestError(
            f"expected bundle {receipt.bundle!r} with digest {played.bundle_digest[:12]}..., this machine's has "
            f"{loaded.bundle.digest[:12]}...; name its folder with --bundle, or the bundle to render with instead"
        )
    return loaded


def _kept(style: StyleVector) -> StyleVector:
    return style


class _Relearned:
    """The same styles in the space of another bundle, from the library.

    Args:
        folder: Of the library; ``None`` for the user's own.
        loaded: The other bundle.
    """

    def __init__(self, folder: Path | None, loaded: LoadedBundle) -> None:
        self._library = StyleLibrary(folder)
        self._loaded = loaded

    def __call__(self, style: StyleVector) -> StyleVector:
        encoder = self._loaded.encoder
        return blend((self._library.vector(share.name, encoder), share.weight) for share in style.shares)


def _report(
    args: argparse.Namespace,
    recorded: Recorded,
    loaded: LoadedBundle,
    differences: tuple[str, ...],
    *,
    has_misses: bool,
) -> None:
    n_missed = sum(isinstance(entry, Missed) for entry in recorded.entries)
    if recorded.how != "finished":
        _say(f"the recording ends early: {recorded.how}")
    if n_missed and not has_misses:
        _say(f"{n_missed} model steps that were missed are rendered as if they had been in time")
    for difference in differences:
        _say(f"other than then: {difference}")
    seconds = recorded.n_samples / recorded.receipt.sample_rate_hz
    is_exact = not differences and has_misses | (not n_missed)
    what = "bit for bit as it was" if is_exact else "not bit for bit as it was"
    _say(f"{args.output}: {seconds:.1f} s of {recorded.receipt.stream}, {what}")
    if args.json:
        fields: dict[str, object] = {
            "stream": recorded.receipt.stream,
            "samples": recorded.n_samples,
            "ended": recorded.how,
            "bundle": loaded.bundle.manifest.name,
            "missed_steps": n_missed,
            "replayed_misses": n_missed if has_misses else 0,
            "exact": is_exact,
            "differences": list(differences),
        }
        print(json.dumps(fields))


def _say(line: str) -> None:
    print(f"deepmusic replay: {line}", file=sys.stderr)
