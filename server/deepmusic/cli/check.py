"""``deepmusic check``: what this rig can do, found out by playing: the buffer to choose, and how many streams fit."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from deepmusic.app.live import RETURN_S, LiveRig, LiveStatus
from deepmusic.app.live_stream import LocalStream, StreamWish
from deepmusic.app.rig_profile import LONGEST_CUSHION_S, RigProfile
from deepmusic.cli.bundle_options import add_bundle_options
from deepmusic.cli.dropouts import CONFIDENCE, WINDOW_S, Answers, Buffer, choose, judge
from deepmusic.cli.measurements import RATE_HZ, example_content, example_style, live_pace
from deepmusic.cli.progress import progress_bar
from deepmusic.cli.realtime import go_first
from deepmusic.errors import DeviceUnavailable
from deepmusic.model.chosen_bundle import load_bundle
from deepmusic.transports.soundcard.device import DeviceFacts, DeviceWish

if TYPE_CHECKING:
    from deepmusic.app.live_stream import OnAudio
    from deepmusic.cli.main import Subparsers

WARM_UP_S = 0.5
"""Of the set, what does not count: caches fill."""

SHARE_OF_STREAMS = 0.25
"""Of the time, what goes to finding out how many more streams fit."""

MOST_STREAMS = 64
"""More are not tried."""

N_TRIES = 8
"""Numbers of streams that are tried in that time, about: doubling until something is late, then halving the gap."""

SHORTEST_TRY_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What was found out."""

    device: DeviceFacts
    seconds: float
    """Time that was judged."""
    p50_ms: float
    """Half of the answers took at most so long."""
    p99_ms: float
    longest_ms: float
    n_xruns: int
    """Cycles that the device itself missed: no buffer of ours helps against those."""
    buffers: tuple[Buffer, ...]
    chosen: Buffer | None
    """``None`` where no buffer is long enough."""
    more_streams: int
    """Streams that were seen to fit beside the one."""
    core_fraction: float
    """Of a core, for each stream, where most of them ran."""


def register(subparsers: Subparsers[argparse.ArgumentParser]) -> None:
    """Add the verb's parser."""
    parser = subparsers.add_parser(
        "check",
        help="find out what this rig can do live",
        description="Play for a while and say how often it would drop out with which buffer, which one to choose and "
        "how many more streams fit; 'deepmusic live' then takes that buffer. End other programs as for a concert.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "minutes", type=_minutes, nargs="?", default=2.0, metavar="MINUTES", help="how long (default %(default)s)"
    )
    parser.add_argument("--input", metavar="DEV", default="clock", help="a device, as for live (default: the clock)")
    parser.add_argument("--output", metavar="DEV", default="", help="the same (default: the input's counterpart)")
    parser.add_argument(
        "--period", metavar="N", type=int, default=0, help="samples of a cycle, 1 to 8192 (the clock's: 256)"
    )
    parser.add_argument("--no-save", action="store_true", help="do not keep the result as this rig's profile")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    add_bundle_options(parser)


def run(args: argparse.Namespace) -> int:
    """Do it; 1 where no buffer is long enough."""
    bundle = load_bundle(args.bundle, device=args.device, precision=args.precision)
    seconds = 60.0 * args.minutes
    wish = DeviceWish(input=args.input, output=args.output, period_samples=args.period, client_name="deepmusic-check")
    with progress_bar("playing", seconds) as advance:
        answers = Answers()
        played_s = seconds * (1.0 - SHARE_OF_STREAMS)
        status = asyncio.run(_play(args, wish, answers, played_s, advance))
        period = status.cycle_samples  # as it ran: PortAudio's devices may not say theirs before
        buffers = judge(
            answers.windows,
            period_samples=period,
            sample_rate_hz=status.device.sample_rate_hz,
            kept_back_s=RETURN_S,
            longest_s=LONGEST_CUSHION_S,
        )
        chosen = choose(buffers)
        more_streams, core_fraction = 0, 0.0
        if chosen is not None:
            style = example_style(bundle)

            def fits(n_streams: int) -> bool:
                nonlocal core_fraction
                try_s = max(SHORTEST_TRY_S, SHARE_OF_STREAMS * seconds / N_TRIES)
                pace = live_pace(bundle, style, n_streams, try_s, deadline_s=max(0.001, chosen.seconds - RETURN_S))
                advance(try_s)
                core_fraction = pace.core_fraction
                return pace.n_late == 0

            more_streams = most_that_fit(fits, MOST_STREAMS) - 1
    checked = Checked(
        device=status.device,
        seconds=len(answers.windows) * WINDOW_S,
        p50_ms=1000.0 * status.answers.p50_s,
        p99_ms=1000.0 * status.answers.p99_s,
        longest_ms=1000.0 * status.answers.longest_s,
        n_xruns=status.n_xruns,
        buffers=tuple(buffers),
        chosen=chosen,
        more_streams=max(0, more_streams),
        core_fraction=core_fraction,
    )
    print(json.dumps(asdict(checked)) if args.json else "\n".join(_lines(checked)))
    if chosen is None:
        print("no buffer is long enough: end other programs, or choose a smaller bundle", file=sys.stderr)
        return 1
    if not args.no_save:
        profile = RigProfile(
            bundle_digest=bundle.bundle.digest,
            precision=bundle.transfer.precision,
            provider=bundle.transfer.provider,
            sample_rate_hz=status.device.sample_rate_hz,
            period_samples=period,
            minutes=checked.seconds / 60.0,
            cushion_s=chosen.seconds,
            dropouts_an_hour=chosen.an_hour,
            more_streams=checked.more_streams,
        )
        print(f"saved as this rig's profile: {profile.save()}", file=sys.stderr)
    return 0


def most_that_fit(fits: Callable[[int], bool], most: int) -> int:
    """The largest number that fits, of those that were tried: doubled until one does not, then by halving the gap.

    Args:
        fits: Tries a number of streams.
        most: Larger numbers are not tried.

    Returns:
        0 where not even one fits.
    """
    fitting, failing = 0, 1
    while failing <= most and fits(failing):
        fitting, failing = failing, 2 * failing
    failing = min(failing, most + 1)
    while failing - fitting > 1:
        middle = (fitting + failing) // 2
        if fits(middle):
            fitting = middle
        else:
            failing = middle
    return fitting


async def _play(
    args: argparse.Namespace, wish: DeviceWish, answers: Answers, seconds: float, advance: Callable[[float], None]
) -> LiveStatus:
    """Plays a set; with the longest cushion, so that each answer is waited for and its time is its own."""
    import soundfile

    with tempfile.TemporaryDirectory() as folder:
        style = Path(folder) / "style.wav"
        soundfile.write(style, example_content(2.0).T, RATE_HZ, subtype="FLOAT")
        stream_wish = StreamWish(style=str(style), bundle=args.bundle, name="check")

        def make_stream(on_audio: OnAudio) -> LocalStream:
            return LocalStream(stream_wish, on_audio, device=args.device, precision=args.precision)

        rig = await asyncio.to_thread(LiveRig, wish, make_stream, cushion_s=LONGEST_CUSHION_S, on_answer=answers.add)
    go_first()
    try:
        await rig.start()
        await asyncio.sleep(WARM_UP_S)
        answers.clear()
        rig.lateness.clear()
        n_xruns = rig.status().n_xruns
        for _ in range(round(seconds)):
            await asyncio.sleep(1.0)
            advance(1.0)
        await asyncio.sleep(max(0.0, seconds - round(seconds)))
        status = rig.status()
    finally:
        await rig.stop()
    if status.n_vanished or not answers.windows:
        raise DeviceUnavailable("expected the device to stay, it vanished; look at its cable, and check again")
    return replace(status, n_xruns=status.n_xruns - n_xruns)


def _lines(checked: Checked) -> list[str]:
    device = checked.device
    lines = [
        f"played    {checked.seconds:.0f} s on {device.name}, {device.sample_rate_hz} Hz",
        f"answers   p50 {checked.p50_ms:.1f} ms, p99 {checked.p99_ms:.1f} ms, longest {checked.longest_ms:.1f} ms",
        f"device    {checked.n_xruns} cycles missed or late by more than a cycle",
        "buffer    dropouts an hour",
    ]
    for buffer in checked.buffers:
        what = (
            f"{buffer.an_hour:.0f}" if buffer.n_seen else f"none seen; at most {buffer.an_hour:.1f} ({CONFIDENCE:.0%})"
        )
        mark = "  <- choose" if buffer == checked.chosen else ""
        lines.append(f"  {buffer.samples:5d} = {1000.0 * buffer.seconds:5.1f} ms   {what}{mark}")
        if buffer == checked.chosen:
            break
    if checked.chosen is not None:
        more = f"{checked.more_streams} more fit" if checked.more_streams < MOST_STREAMS - 1 else "more than 63 fit"
        lines.append(f"streams   {more}; {checked.core_fraction:.2f} of a core for each")
    return lines


def _minutes(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.05 <= value <= 1440.0:
        raise argparse.ArgumentTypeError(f"expected 0.05 to 1440 minutes, got {text[:20]!r}")
    return value
