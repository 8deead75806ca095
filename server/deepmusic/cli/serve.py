"""``deepmusic serve``: the server, until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepmusic.cli.interruption import SIGNALS
from deepmusic.cli.stopping import stop_on_signals
from deepmusic.config import DEVICES, Address, ServerConfig, read_config
from deepmusic.errors import BadConfig

Subparsers = argparse._SubParsersAction  # pyright: ignore[reportPrivateUsage]  # argparse has no public name for it

if TYPE_CHECKING:
    from deepmusic.app.server import ServerFacts


def register(subparsers: Subparsers[argparse.ArgumentParser]) -> None:
    """Adds the verb and its flags."""
    parser = subparsers.add_parser(
        "serve",
        help="serve streams over gRPC, controlled over OSC too",
        description="Serves streams over gRPC and takes controls over OSC, on loopback unless told otherwise, until "
        "SIGINT or SIGTERM.",
    )
    defaults = ServerConfig()
    parser.add_argument("--grpc", metavar="HOST:PORT", type=_address, help=f"address of gRPC (default {defaults.grpc})")
    parser.add_argument(
        "--http",
        metavar="HOST:PORT",
        type=_address_or_off,
        help=f"address of HTTP, which serves OSCQuery, or off (default {defaults.http})",
    )
    parser.add_argument(
        "--osc", metavar="HOST:PORT", type=_address_or_off, help=f"address of OSC, or off (default {defaults.osc})"
    )
    parser.add_argument(
        "--osc-network",
        metavar="NETWORK",
        action="append",
        dest="osc_networks",
        help="network that may send OSC beside this machine, such as 192.168.1.0/24; may be given more than once",
    )
    parser.add_argument(
        "--announce",
        action="store_true",
        default=None,
        help="tell the local network where OSC and OSCQuery are (mDNS; needs the extra mdns)",
    )
    parser.add_argument(
        "--bundle", metavar="NAME", help=f"bundle of streams that name none (default {defaults.bundle})"
    )
    parser.add_argument("--device", choices=DEVICES, help="where models run (default auto)")
    parser.add_argument("--config", metavar="FILE", type=Path, help="TOML file; flags override what it says")
    parser.add_argument("--threads", metavar="N", type=int, help="threads that run models (default 1)")
    parser.add_argument("--max-streams", metavar="N", type=int, help=f"streams at a time ({defaults.max_streams})")
    parser.add_argument("--bundles", metavar="FOLDER", help="folder of further bundles")
    parser.add_argument("--styles", metavar="FOLDER", help="folder of the styles")
    parser.add_argument("--set", metavar="FILE", dest="set_list", help="TOML file with the cues of an evening")
    parser.add_argument("--midi", metavar="NAME", help="MIDI port (a part of its name) with a clock or a foot switch")
    parser.add_argument("--record", metavar="FOLDER", help="keep a receipt and the dry input of every stream there")
    parser.add_argument("--record-gb", metavar="GB", type=float, help=f"most that may take ({defaults.record_gb:g})")
    parser.add_argument("--reflection", action="store_true", default=None, help="let grpcurl and the like look around")
    parser.add_argument("--tls-certificate", metavar="PEM", help="certificate chain; encrypts, with --tls-key")
    parser.add_argument("--tls-key", metavar="PEM", help="the certificate's key")
    parser.add_argument("--json", action="store_true", help="print one JSON line on stdout once the server is ready")
    parser.set_defaults(run=run)


def _address(text: str) -> str:
    try:
        return str(Address.parse(text, field="the address"))
    except BadConfig as error:
        raise argparse.ArgumentTypeError(error.message) from None


def _address_or_off(text: str) -> str:
    return "" if text == "off" else _address(text)


def run(args: argparse.Namespace) -> int:
    """Serves; returns 0 after a stop that was asked for.

    Raises:
        DeepmusicError: The configuration is wrong or the address is taken.
    """
    config = ServerConfig() if args.config is None else read_config(args.config)
    names = ("grpc", "http", "osc", "midi", "bundle", "device", "threads", "max_streams", "bundles", "styles")
    names = (*names, "reflection", "osc_networks", "announce", "set_list", "record", "record_gb")
    names = (*names, "tls_certificate", "tls_key")
    given = {name: getattr(args, name) for name in names}
    config = config.changed({name: value for name, value in given.items() if value is not None})
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what fails is said once, in our words
    asyncio.run(_serve(config, as_json=args.json))
    return 0


async def _serve(config: ServerConfig, *, as_json: bool) -> None:
    from deepmusic.app.server import Server  # onnxruntime and grpc take a second: not before they are needed

    server = Server(config)
    stopping = asyncio.Event()
    stop_on_signals(stopping)
    try:
        facts = await server.start()
        _report(facts, as_json=as_json)
        await stopping.wait()
        print("stopping; open streams may finish (once more to stop at once)", file=sys.stderr, flush=True)
        for number in SIGNALS:
            asyncio.get_running_loop().remove_signal_handler(number)
    finally:
        await server.stop()


def _report(facts: ServerFacts, *, as_json: bool) -> None:
    for note in facts.notes:
        print(f"note: {note}", file=sys.stderr)
    security = "with TLS" if facts.is_encrypted else "plain text"
    model = f"{facts.bundle} ({facts.precision} on {facts.provider})" if facts.provider else f"{facts.bundle} (missing)"
    osc = f", and OSC at {facts.osc}" if facts.osc else ""
    osc += f", described at http://{facts.http}/" if facts.http else ""
    print(f"deepmusic serves gRPC at {facts.grpc}, {security}{osc}; bundle {model}", file=sys.stderr, flush=True)
    if as_json:
        line: dict[str, Any] = {
            "ready": True,
            "grpc": facts.grpc,
            "osc": facts.osc,
            "http": facts.http,
            "tls": facts.is_encrypted,
            "bundle": facts.bundle,
            "provider": facts.provider,
            "precision": facts.precision,
        }
        print(json.dumps(line), flush=True)
