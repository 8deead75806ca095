"""``deepmusic stream``: a file through a server, as a DAW would play it or as fast as it goes."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from deepmusic.cli.root_certificates import add_root_certificates, root_certificates
from deepmusic.cli.stopping import cancel_on_sigterm
from deepmusic.errors import DeepmusicError

if TYPE_CHECKING:
    from deepmusic.audio import Audio
    from deepmusic.transports.rpc.client import RpcClient
    from deepmusic.transports.rpc.playback import Played

Subparsers = argparse._SubParsersAction  # pyright: ignore[reportPrivateUsage]  # argparse has no public name for it

DEFAULT_SERVER = "127.0.0.1:50051"
DEFAULT_BLOCK_SAMPLES = 512
"""What a DAW often has."""
MOST_BLOCK_SAMPLES = 16384
MOST_CUSHION_SAMPLES = 2**32 - 1
"""What a config has room for; more than anybody wants."""
RESAMPLED_RATE_HZ = 48000
"""Rate at which files are streamed whose own rate no stream has."""


def register(subparsers: Subparsers[argparse.ArgumentParser]) -> None:
    """Adds the verb and its flags."""
    parser = subparsers.add_parser(
        "stream",
        help="send a file through a server",
        description="Sends a file through a server and writes what comes back, without the latency: float32 WAV.",
    )
    parser.add_argument("input", metavar="IN", type=Path, help="the recording to send")
    parser.add_argument("-o", "--output", metavar="OUT", type=Path, required=True, help="the .wav file to write")
    parser.add_argument(
        "--style", metavar="NAME|FILE", required=True, help="a style of the server, or a recording to learn one from"
    )
    parser.add_argument("--server", metavar="HOST:PORT", default=DEFAULT_SERVER, help=f"default {DEFAULT_SERVER}")
    parser.add_argument(
        "--pace", choices=("live", "fast"), default="fast", help="in real time, or as fast as it goes (default)"
    )
    parser.add_argument(
        "--block",
        metavar="N",
        type=_block_samples,
        default=DEFAULT_BLOCK_SAMPLES,
        help="samples of a block (default %(default)s)",
    )
    parser.add_argument(
        "--deadline", metavar="N", type=_cushion_samples, default=0, help="live: cushion in samples (0: one step)"
    )
    parser.add_argument("--strength", metavar="0..1", type=float, help="how much of the style is heard (default 1)")
    parser.add_argument("--bundle", metavar="NAME", default="", help="bundle (default: the server's)")
    add_root_certificates(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON line on stdout at the end")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Streams the file; returns 0 when the output is there. SIGTERM ends it as Ctrl-C does: nothing half-written stays.

    Raises:
        DeepmusicError: The file, the style or the server is not to be had.
    """
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what fails is said once, in our words
    try:
        asyncio.run(_stream(args))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    return 0


async def _stream(args: argparse.Namespace) -> None:
    from deepmusic.transports.file.reader import read_audio
    from deepmusic.transports.file.writer import AudioWriter, check_output, encoding_for

    cancel_on_sigterm()
    encoding = encoding_for(args.output, as_float=True)
    check_output(args.output, args.input, args.style)
    content, rate_hz = await asyncio.to_thread(read_audio, args.input)
    # Opened first: an hour in real time is not to end at a folder that is not there.
    with AudioWriter(
        args.output,
        encoding=encoding,
        sample_rate_hz=rate_hz,
        n_channels=content.shape[0],
        n_samples=content.shape[1],
    ) as writer:
        played = await _played(args, content, rate_hz)
        writer.write(played.audio)
        writer.commit()
    _report(args, played, content.shape[1])


async def _played(args: argparse.Namespace, content: Audio, file_rate_hz: int) -> Played:
    """The recording through the server, at its own rate and length."""
    from deepmusic.audio import SUPPORTED_RATES_HZ, AudioFormat
    from deepmusic.dsp.resample import resample
    from deepmusic.session.config import Setting
    from deepmusic.transports.rpc.client import RpcClient
    from deepmusic.transports.rpc.playback import play_through
    from deepmusic.transports.wire.messages import StreamConfig, StyleShare

    rate_hz = file_rate_hz if file_rate_hz in SUPPORTED_RATES_HZ else RESAMPLED_RATE_HZ
    sent = content if rate_hz == file_rate_hz else resample(content, file_rate_hz, rate_hz)
    certificates = root_certificates(args)
    async with RpcClient(args.server, root_certificates=certificates) as client, _style(client, args) as style:
        config = StreamConfig(
            audio_format=AudioFormat(sample_rate_hz=rate_hz, n_channels=content.shape[0]),
            styles=(StyleShare(name=style),),
            bundle=args.bundle,
            nominal_block_samples=args.block,
            settings=() if args.strength is None else (Setting(name="strength", value=args.strength),),
            deadline_samples=args.deadline if args.pace == "live" else None,
        )
        played = await play_through(client, config, sent, block_samples=args.block)
    if rate_hz == file_rate_hz:
        return played
    return replace(played, audio=_fitted(resample(played.audio, rate_hz, file_rate_hz), content.shape[1]))


def _report(args: argparse.Namespace, played: Played, n_samples: int) -> None:
    for kind, n_events in sorted(played.n_events.items()):
        print(f"note: {n_events} x {kind}", file=sys.stderr)
    print(f"wrote {args.output}: {n_samples} samples, rtf {played.rtf:.3f}", file=sys.stderr)
    if args.json:
        line = {
            "samples_in": n_samples,
            "samples_out": played.audio.shape[1],
            "late_blocks": played.late_blocks,
            "dry_blocks": played.dry_blocks,
            "latency_samples": played.ready.latency_samples,
            "bundle": played.ready.bundle,
            "precision": played.ready.precision,
            "provider": played.ready.provider,
            "rtf": round(played.rtf, 6),
        }
        print(json.dumps(line), flush=True)


@asynccontextmanager
async def _style(client: RpcClient, args: argparse.Namespace) -> AsyncGenerator[str]:
    """The name of the style on the server: a file is uploaded as a temporary one, and removed in the end."""
    from deepmusic.transports.file.style_file import style_recording

    recording = await asyncio.to_thread(style_recording, args.style)
    if recording is None:
        yield args.style
        return
    listing = await client.create_style("", *recording, bundle=args.bundle, temporary=True)
    try:
        yield listing.name
    finally:
        with suppress(DeepmusicError):  # it may be gone already, or its server: what was played counts, or what failed
            await client.delete_style(listing.name)


def _fitted(audio: Audio, n_samples: int) -> Audio:
    """Exactly so many samples: resampling there and back may round the length by one."""
    import numpy as np

    missing = max(0, n_samples - audio.shape[1])
    return np.ascontiguousarray(np.pad(audio[:, :n_samples], ((0, 0), (0, missing))))


def _block_samples(text: str) -> int:
    return _samples(text, 1, MOST_BLOCK_SAMPLES)


def _cushion_samples(text: str) -> int:
    return _samples(text, 0, MOST_CUSHION_SAMPLES)


def _samples(text: str, fewest: int, most: int) -> int:
    n_samples = int(text) if text.isascii() and text.isdecimal() else -1
    if not fewest <= n_samples <= most:
        raise argparse.ArgumentTypeError(f"expected {fewest} to {most} samples, got {text[:20]!r}")
    return n_samples
