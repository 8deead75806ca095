"""``deepmusic live``: the sound card or JACK, styled, until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from deepmusic.cli.bundle_options import add_bundle_options, add_style_folder
from deepmusic.cli.columns import in_columns
from deepmusic.cli.realtime import go_first
from deepmusic.cli.root_certificates import add_root_certificates, root_certificates
from deepmusic.cli.stopping import stop_on_signals
from deepmusic.errors import BadConfig, RequestError

if TYPE_CHECKING:
    from deepmusic.app.controls import ControlAddresses
    from deepmusic.app.live import LiveRig, LiveStatus
    from deepmusic.app.live_stream import LiveStream, OnAudio
    from deepmusic.app.rig_profile import RigProfile
    from deepmusic.cli.live_view import Show

Subparsers = argparse._SubParsersAction  # pyright: ignore[reportPrivateUsage]  # argparse has no public name for it

LOOK_S = 0.1
"""Between two looks of the terminal."""


def register(subparsers: Subparsers[argparse.ArgumentParser]) -> None:
    """Adds the verb and its flags."""
    parser = subparsers.add_parser(
        "live",
        help="play through the sound card or JACK",
        description="Plays what comes in at the sound card or from JACK in the sound of a style, until Ctrl-C.",
    )
    parser.add_argument("--list", action="store_true", help="list the devices, and end")
    parser.add_argument(
        "--input",
        metavar="DEV",
        default="",
        help="jack, jack:CLIENT, jack: (connect nothing), or a number or name of --list (default: JACK if it runs)",
    )
    parser.add_argument("--output", metavar="DEV", default="", help="the same (default: the input's counterpart)")
    parser.add_argument("--style", metavar="NAME|FILE", help="a style, or a recording to learn one from")
    parser.add_argument("--server", metavar="HOST:PORT", help="a server that computes (default: this process)")
    add_root_certificates(parser)
    parser.add_argument("--strength", metavar="0..1", type=float, help="how much of the style is heard (default 1)")
    parser.add_argument(
        "--channels", metavar="N", type=int, default=0, help="channels, 1 to 8 (default: 2, or 1 of a mono card)"
    )
    parser.add_argument(
        "--rate", metavar="HZ", type=int, default=0, help="rate (default: the card's; JACK has its own)"
    )
    parser.add_argument(
        "--period", metavar="N", type=int, default=0, help="samples of a cycle, 1 to 8192 (JACK has its own)"
    )
    parser.add_argument(
        "--cushion",
        metavar="MS",
        type=float,
        help="time for computing, added to the latency, above 0 to 500 (default: as check chose, else a step)",
    )
    parser.add_argument("--name", default="live", help="name of the stream for OSC, and of the JACK client")
    parser.add_argument("--osc", metavar="HOST:PORT", help="address of OSC, or off (default 127.0.0.1:9000)")
    parser.add_argument(
        "--osc-network", metavar="NETWORK", action="append", default=[], help="network that may send OSC; repeatable"
    )
    parser.add_argument(
        "--http", metavar="HOST:PORT", help="address of HTTP, which serves OSCQuery, or off (default 127.0.0.1:8080)"
    )
    parser.add_argument("--set", metavar="FILE", help="TOML file with the cues of an evening")
    parser.add_argument("--midi", metavar="NAME", help="MIDI port (a part of its name) with a clock or a foot switch")
    add_style_folder(parser)
    parser.add_argument("--seconds", metavar="S", type=_seconds, help="end after so long")
    parser.add_argument("--json", action="store_true", help="print one JSON line when it runs and one when it ends")
    add_bundle_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Plays; returns 0 after a stop that was asked for.

    Raises:
        DeepmusicError: The device, the style or the bundle is not to be had.
    """
    if args.list:
        return _list(as_json=args.json)
    if args.style is None:
        raise RequestError("expected --style NAME or --style FILE, got none; deepmusic styles list shows yours")
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what fails is said once, in our words
    asyncio.run(_play(args))
    return 0


def _list(*, as_json: bool) -> int:
    from deepmusic.transports.soundcard.listing import list_devices

    listing = list_devices()
    for note in listing.notes:
        print(f"note: {note}", file=sys.stderr)
    if as_json:
        print(json.dumps([asdict(device) for device in listing.devices]))
        return 0
    rows = [("--input", "in", "out", "rate", "through", "name")]
    rows += [
        (
            d.choice,
            str(d.n_inputs),
            str(d.n_outputs),
            str(d.sample_rate_hz),
            d.api,
            d.name + " (default)" * d.is_default,
        )
        for d in listing.devices
    ]
    print("\n".join(in_columns(rows)))
    return 0


async def _play(args: argparse.Namespace) -> None:
    from deepmusic.app.controls import Controls
    from deepmusic.app.live import LiveRig
    from deepmusic.app.live_stream import LocalStream, StreamWish
    from deepmusic.app.remote_stream import RemoteStream
    from deepmusic.app.set_file import read_set
    from deepmusic.cli.live_view import live_view
    from deepmusic.config import ServerConfig
    from deepmusic.model.catalog import DEFAULT_BUNDLE
    from deepmusic.session.config import Setting
    from deepmusic.transports.soundcard.device import DeviceWish

    addresses = {name: "" if value == "off" else value for name, value in (("osc", args.osc), ("http", args.http))}
    given = {"osc_networks": args.osc_network, "midi": args.midi, "set_list": args.set} | addresses
    config = ServerConfig().changed({name: value for name, value in given.items() if value is not None})
    cues = read_set(config.set_list)
    wish = DeviceWish(
        input=args.input,
        output=args.output,
        n_channels=args.channels,
        sample_rate_hz=args.rate,
        period_samples=args.period,
        client_name=args.name,
    )
    stream_wish = StreamWish(
        style=args.style,
        bundle=""
        if args.server and args.bundle == DEFAULT_BUNDLE
        else args.bundle,  # a server has a default of its own
        settings=() if args.strength is None else (Setting(name="strength", value=args.strength),),
        name=args.name,
    )
    make_stream: Callable[[OnAudio], LiveStream]
    if args.server is None:
        make_stream = partial(
            LocalStream, stream_wish, device=args.device, precision=args.precision, styles=args.styles
        )
    else:
        certificates = root_certificates(args)
        make_stream = partial(RemoteStream, stream_wish, server=args.server, root_certificates=certificates)
    cushion = _cushion(args)
    rig = await asyncio.to_thread(LiveRig, wish, make_stream, cushion_s=cushion.seconds)
    go_first()
    controls = Controls(rig.stream, rig.stream.styles, cues, config)
    stopping = asyncio.Event()
    stop_on_signals(stopping)
    try:
        await rig.start()
        notes = list(rig.stream.notes)
        notes += cushion.notes(rig.stream.facts.bundle_digest)
        served = await controls.start(notes)
        for note in notes:
            print(f"note: {note}", file=sys.stderr)
        _report(rig, served, as_json=args.json)
        with live_view(served.osc, controls.place) as show:
            await _watch(rig, show, stopping, args.seconds)
    finally:
        await controls.stop()
        await rig.stop()
    _sum_up(rig.status(), as_json=args.json)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cushion:
    """What is waited for an answer, and why."""

    seconds: float
    profile: RigProfile | None = None
    """Where it comes from, if it was measured."""
    problem: str = ""
    """Why the measured one is not used."""

    def notes(self, bundle_digest: str) -> list[str]:
        """What a person should know of it when this bundle plays."""
        doubt = "" if self.profile is None else self.profile.doubt(bundle_digest)
        return [note for note in (self.problem, doubt) if note]


def _cushion(args: argparse.Namespace) -> _Cushion:
    """That of the command line, or the one measured for this rig; for a damaged file nobody goes without a set."""
    from deepmusic.app.live import DEFAULT_CUSHION_S
    from deepmusic.app.rig_profile import RigProfile

    if args.cushion is not None:
        return _Cushion(seconds=args.cushion / 1000.0)
    if args.server is not None:
        return _Cushion(seconds=DEFAULT_CUSHION_S)
    try:
        profile = RigProfile.load()
    except BadConfig as error:
        return _Cushion(
            seconds=DEFAULT_CUSHION_S, problem=f"{error.message}; until then the cushion is the default one"
        )
    if profile is None:
        return _Cushion(seconds=DEFAULT_CUSHION_S)
    return _Cushion(seconds=profile.cushion_s, profile=profile)


async def _watch(rig: LiveRig, show: Show, stopping: asyncio.Event, seconds: float | None) -> None:
    """Shows how it goes until it is to stop."""
    ends_s = None if seconds is None else asyncio.get_running_loop().time() + seconds
    while not stopping.is_set() and (ends_s is None or asyncio.get_running_loop().time() < ends_s):
        show(rig.status())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), LOOK_S)


def _report(rig: LiveRig, addresses: ControlAddresses, *, as_json: bool) -> None:
    status = rig.status()
    device, latency, facts = status.device, status.latency, rig.stream.facts
    milliseconds = 1000.0 * latency.total / device.sample_rate_hz
    print(
        f"{device.name}: {device.n_channels} channels at {device.sample_rate_hz} Hz, latency {milliseconds:.1f} ms "
        f"(device {latency.device_input} + stream {latency.stream} + cushion {latency.cushion} + device "
        f"{latency.device_output} samples); bundle {facts.bundle} ({facts.precision} on {facts.provider})"
        + (f"; OSC at {addresses.osc}" if addresses.osc else "")
        + (f", described at http://{addresses.http}/" if addresses.http else ""),
        file=sys.stderr,
    )
    if as_json:
        line: dict[str, Any] = {
            "ready": True,
            "device": asdict(device),
            "latency_samples": asdict(latency),
            "bundle": facts.bundle,
            "osc": addresses.osc,
            "http": addresses.http,
        }
        print(json.dumps(line), flush=True)


def _sum_up(status: LiveStatus, *, as_json: bool) -> None:
    stats = status.stats
    print(
        f"played {status.seconds:.0f} s: {stats.late_blocks} late blocks, {stats.failed_steps} failed steps, "
        f"{status.n_starved} of {status.n_cycles} cycles had no answer in time, {status.n_xruns} xruns of the device",
        file=sys.stderr,
    )
    if as_json:
        line: dict[str, Any] = {
            "seconds": round(status.seconds, 3),
            "cycles": status.n_cycles,
            "starved_cycles": status.n_starved,
            "xruns": status.n_xruns,
            "vanished": status.n_vanished,
            "answer_p50_ms": round(1000.0 * status.answers.p50_s, 2),
            "answer_p99_ms": round(1000.0 * status.answers.p99_s, 2),
            "answer_longest_ms": round(1000.0 * status.answers.longest_s, 2),
            "longest_turn_ms": round(1000.0 * status.longest_turn_s, 3),
            **asdict(stats),
        }
        print(json.dumps(line), flush=True)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"expected seconds above 0, got {text!r}; leave it out to play until Ctrl-C")
    return seconds
