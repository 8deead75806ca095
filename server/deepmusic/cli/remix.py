"""`deepmusic remix`: two recordings in, one out. No server is needed."""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepmusic.audio import Audio
from deepmusic.cli.bundle_options import add_bundle_options, add_style_folder
from deepmusic.cli.interruption import Interruption
from deepmusic.cli.main import Subparsers
from deepmusic.cli.progress import progress_bar
from deepmusic.model.catalog import LoadedBundle
from deepmusic.model.chosen_bundle import load_bundle
from deepmusic.model.style_vector import StyleVector
from deepmusic.session.config import Setting
from deepmusic.styles.learn import learn_source
from deepmusic.styles.library import StyleLibrary
from deepmusic.transports.file.finishing import FinishReport, finish
from deepmusic.transports.file.reader import AudioReader
from deepmusic.transports.file.render import RenderPlan, render_blocks
from deepmusic.transports.file.spool import Spool
from deepmusic.transports.file.style_file import read_style_source
from deepmusic.transports.file.writer import AudioWriter, Encoding, check_output, encoding_for

FULL_SCALE = 1.0 - 2.0**-15
"""A 16-bit sample at its limit."""

CLIPPED_SHARE = 1e-4
"""Share of samples at full scale from which a recording counts as clipped: no mix leaves that many there by chance."""


REHEARSAL_S = 4.0
"""How much of the content is heard before it is played: its first seconds sound like the others (decision 22)."""


@dataclass(slots=True, kw_only=True)
class ContentCounts:
    """What was seen of the content while it was read."""

    n_samples: int = 0
    """Samples, of all channels together one."""

    n_values: int = 0
    """Samples over all channels."""

    n_full_scale: int = 0
    """Of these, how many are at full scale or above."""

    n_non_finite: int = 0
    """Of these, how many were NaN or infinite and became 0."""

    peak: float = 0.0
    """Largest magnitude."""

    def add(self, block: Audio) -> None:
        """Count a block."""
        magnitude = np.abs(block)
        self.n_samples += block.shape[1]
        self.n_values += block.size
        self.n_full_scale += int(np.count_nonzero(magnitude >= FULL_SCALE))
        self.peak = max(self.peak, float(magnitude.max(initial=0.0)))

    def remarks(self) -> Iterator[str]:
        """What a person should know about it."""
        if self.n_non_finite:
            yield f"{self.n_non_finite} samples of the content are NaN or infinite and were taken as silence"
        if not self.peak:
            yield "the content is silent, and so is the output"
        elif self.n_full_scale > CLIPPED_SHARE * self.n_values:
            share = self.n_full_scale / self.n_values
            yield f"the content is clipped ({share:.2%} of its samples are at full scale); its distortion stays"


def register(subparsers: Subparsers[argparse.ArgumentParser]) -> None:
    """Add the verb's parser."""
    parser = subparsers.add_parser(
        "remix",
        help="play one recording in the sound of another, to a file",
        description="Play CONTENT in the sound of STYLE. The output has CONTENT's rate, channels and exact length.",
        allow_abbrev=False,
    )
    parser.add_argument("content", metavar="CONTENT", help="recording to play: WAV, AIFF, FLAC, OGG or MP3")
    parser.add_argument("style", metavar="STYLE", help="recording to take the sound of, or a style of the library")
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="file to write: .wav, .flac or .ogg")
    parser.add_argument("--strength", type=_strength, default=1.0, metavar="0..1", help="how much (%(default)s)")
    parser.add_argument(
        "--raw", action="store_true", help="the session's own samples in a float32 .wav, without the finishing pass"
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON about the result")
    add_style_folder(parser)
    add_bundle_options(parser)


def run(args: argparse.Namespace) -> int:
    """Do it. SIGTERM ends it as Ctrl-C does: nothing half-written stays."""
    with Interruption() as interruption:
        return _run(args, interruption.check)


def _run(args: argparse.Namespace, check: Callable[[], None]) -> int:
    started_s = time.monotonic()
    output = Path(args.output)
    encoding = encoding_for(output, as_float=args.raw)
    check_output(output, args.content, args.style)
    bundle = load_bundle(args.bundle, device=args.device, precision=args.precision)
    for note in filter(None, (bundle.transfer.device_note, bundle.transfer.precision_note)):
        _say(note)
    with AudioReader(args.content) as reader:
        style = _style(args.style, StyleLibrary(args.styles), bundle)
        # Strength 0 is the content itself, bit for bit, so there is nothing to match and nothing to hold down.
        is_finished = not args.raw and args.strength > 0.0
        plan = RenderPlan(
            model=bundle.transfer,
            style=style,
            settings=(Setting(name="strength", value=args.strength),),
            rehearsal_s=REHEARSAL_S if is_finished else 0.0,
        )
        check()
        counts, report = _remix(reader, plan, output, encoding, check, is_finished=is_finished)
    for remark in counts.remarks():
        _say(remark)
    if report is not None and report.ceiling_db > 0.5:
        _say(f"the ceiling of -1 dBTP took up to {report.ceiling_db:.1f} dB, so the output is quieter than the content")
    seconds = counts.n_samples / reader.info.sample_rate_hz
    fields = _fields(args, reader, bundle, counts, report, elapsed_s=time.monotonic() - started_s)
    if args.json:
        print(json.dumps(fields))
    else:
        _say(
            f"{output}: {seconds:.1f} s in {fields['elapsed_s']:.1f} s, {bundle.bundle.manifest.name} on "
            f"{bundle.transfer.provider} ({bundle.transfer.precision})"
        )
    return 0


def _remix(
    reader: AudioReader,
    plan: RenderPlan,
    output: Path,
    encoding: Encoding,
    check: Callable[[], None],
    *,
    is_finished: bool,
) -> tuple[ContentCounts, FinishReport | None]:
    rate_hz, n_channels = reader.info.sample_rate_hz, reader.info.n_channels
    counts = ContentCounts()

    def open_writer() -> AudioWriter:
        return AudioWriter(
            output,
            encoding=encoding,
            sample_rate_hz=rate_hz,
            n_channels=n_channels,
            n_samples=counts.n_samples or reader.info.n_samples,
        )

    with progress_bar(output.name, reader.info.n_samples / rate_hz) as bar:

        def advance(seconds: float) -> None:
            check()
            bar(seconds)

        if not is_finished:
            with open_writer() as writer:
                for block in render_blocks(plan, _heard(reader, counts, advance), rate_hz, n_channels):
                    writer.write(block)
                writer.commit()
            return counts, None
        with Spool(output.parent, n_channels) as content, Spool(output.parent, n_channels) as rendered:
            heard = _heard(reader, counts, advance, content)
            for block in render_blocks(plan, heard, rate_hz, n_channels):
                rendered.append(block)
            return counts, finish(
                rendered.audio(), content.audio(), rate_hz, open_writer, on_progress=lambda n_samples: check()
            )


def _heard(
    reader: AudioReader, counts: ContentCounts, advance: Callable[[float], None], spool: Spool | None = None
) -> Iterator[Audio]:
    """The content's blocks, counted, shown as progress, and kept where a spool is given."""
    for block in reader.blocks():
        counts.add(block)
        advance(block.shape[1] / reader.info.sample_rate_hz)
        if spool is not None:
            spool.append(block)
        yield block
    counts.n_non_finite = reader.n_non_finite


def _style(chosen: str, library: StyleLibrary, bundle: LoadedBundle) -> StyleVector:
    """Learn from a file; where there is none of that name, a style of the library."""
    path = Path(chosen)
    if not path.is_file() and chosen in {entry.name for entry in library.entries()}:
        return library.vector(chosen, bundle.encoder)
    return learn_source(read_style_source(path), bundle.encoder, name=path.stem)


def _fields(
    args: argparse.Namespace,
    reader: AudioReader,
    bundle: LoadedBundle,
    counts: ContentCounts,
    report: FinishReport | None,
    *,
    elapsed_s: float,
) -> dict[str, str | int | float | bool | None]:
    rate_hz = reader.info.sample_rate_hz
    fields: dict[str, str | int | float | bool | None] = {
        "content": args.content,
        "style": args.style,
        "output": args.output,
        "strength": args.strength,
        "samples": counts.n_samples,
        "sample_rate_hz": rate_hz,
        "channels": reader.info.n_channels,
        "bundle": bundle.bundle.manifest.name,
        "bundle_digest": bundle.bundle.digest,
        "precision": bundle.transfer.precision,
        "provider": bundle.transfer.provider,
        "replaced_samples": counts.n_non_finite,
        "finished": report is not None,
        "elapsed_s": round(elapsed_s, 3),
        "rtf": round(elapsed_s * rate_hz / max(1, counts.n_samples), 4),
    }
    if report is not None:
        fields |= {
            "content_lufs": _finite(report.content_lufs),
            "loudness_lufs": _finite(report.loudness_lufs),
            "true_peak_dbtp": _finite(report.true_peak_dbtp),
            "gain_db": round(report.gain_db, 3),
            "ceiling_db": round(report.ceiling_db, 3),
        }
    return fields


def _finite(decibels: float) -> float | None:
    """JSON has no minus infinity: silence is null."""
    return None if math.isinf(decibels) else round(decibels, 3)


def _strength(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, got {text!r}")
    return value


def _say(line: str) -> None:
    print(f"deepmusic remix: {line}", file=sys.stderr)
