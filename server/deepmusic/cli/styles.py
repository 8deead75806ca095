"""`deepmusic styles`: the library of styles on this machine."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from deepmusic.cli.bundle_options import add_bundle_options, add_style_folder
from deepmusic.cli.main import Subparsers
from deepmusic.errors import StyleExists
from deepmusic.model.chosen_bundle import load_bundle
from deepmusic.styles.library import StyleEntry, StyleLibrary, check_style_name
from deepmusic.transports.file.style_file import read_style_source


def register(subparsers: Subparsers[argparse.ArgumentParser]) -> None:
    """Add the verb's parser."""
    parser = subparsers.add_parser(
        "styles",
        help="add, list, show and remove styles",
        description="Keep styles under a name, for 'remix', 'stream' and live clients.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    add = actions.add_parser("add", help="learn a style from a recording", allow_abbrev=False)
    add.add_argument("name", metavar="NAME", help="what to call it: letters, digits, spaces, '.', '_' and '-'")
    add.add_argument("file", metavar="FILE", help="the recording: WAV, AIFF, FLAC, OGG or MP3; any length")
    add_bundle_options(add, with_device=False)
    listing = actions.add_parser("list", help="list all styles")
    show = actions.add_parser("show", help="show one style")
    show.add_argument("name", metavar="NAME")
    remove = actions.add_parser("remove", help="forget a style")
    remove.add_argument("name", metavar="NAME")
    for action in (add, listing, show, remove):
        add_style_folder(action)
        action.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Do it."""
    library = StyleLibrary(args.styles)
    if args.action == "add":
        _add(library, args)
    elif args.action == "remove":
        library.remove(args.name)
        if args.json:
            print(json.dumps({"removed": args.name}))
    elif args.action == "show":
        _show(library.entry(args.name), as_json=args.json)
    else:
        _list(library.entries(), as_json=args.json)
    return 0


def _add(library: StyleLibrary, args: argparse.Namespace) -> None:
    # The name first: a file of an hour is not read for one that cannot be used.
    name = check_style_name(args.name)
    if any(entry.name == name for entry in library.entries()):
        raise StyleExists(f"a style is named {name!r} already; remove it or choose another name", resource=name)
    source = read_style_source(args.file)
    encoder = load_bundle(args.bundle, device="cpu").encoder
    library.add(name, source, encoder, origin=Path(args.file).name)
    _show(library.entry(name), as_json=args.json)


def _list(entries: tuple[StyleEntry, ...], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps([_fields(entry) for entry in entries]))
        return
    if not entries:
        print("deepmusic styles: there are none yet; add one with 'deepmusic styles add NAME FILE'", file=sys.stderr)
        return
    width = max(len(entry.name) for entry in entries)
    for entry in entries:
        print(f"{entry.name:<{width}}  {entry.record.seconds:6.1f} s  {entry.record.origin}")


def _show(entry: StyleEntry, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(_fields(entry)))
        return
    record = entry.record
    print(f"name      {entry.name}")
    print(f"from      {record.origin or 'unknown'}")
    print(f"added     {record.added}")
    if record.piece_samples:
        print(f"excerpt   {record.seconds:.1f} s, {record.n_channels} channels, {record.sample_rate_hz} Hz")
    else:
        print("excerpt   none, it was imported")
    for digest in entry.bundle_digests:
        print(f"learned   for bundle {digest[:12]}")


def _fields(entry: StyleEntry) -> dict[str, object]:
    return {
        "name": entry.name,
        "origin": entry.record.origin,
        "added": entry.record.added,
        "seconds": round(entry.record.seconds, 3),
        "sample_rate_hz": entry.record.sample_rate_hz,
        "channels": entry.record.n_channels,
        "bundle_digests": list(entry.bundle_digests),
    }
