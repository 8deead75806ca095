"""`deepmusic models`: the bundles on this machine."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from deepmusic.cli.columns import in_columns
from deepmusic.cli.main import Subparsers
from deepmusic.errors import BundleInvalid
from deepmusic.model.bundle import Bundle
from deepmusic.model.catalog import BundleCatalog, CatalogEntry, user_bundle_folder
from deepmusic.model.chosen_bundle import is_path, open_bundle
from deepmusic.model.golden import golden_snr_db
from deepmusic.model.manifest import Manifest
from deepmusic.model.probe import probe_bundle
from deepmusic.model.runtime import MIN_INT8_SNR_DB, Precision, StyleEncoder, TransferModel

MIN_FLOAT_SNR_DB = 60.0
"""What the float file must reach against its golden steps on any machine: their own rounding gives some 100 dB."""


def register(subparsers: Subparsers[argparse.ArgumentParser]) -> None:
    """Add the verb's parser."""
    parser = subparsers.add_parser(
        "models",
        help="list, show and verify bundles",
        description=f"Bundles of your own belong in {user_bundle_folder()}.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="list all bundles with their figures, also those that are refused")
    show = actions.add_parser("show", help="show one bundle: training, licence, figures")
    verify = actions.add_parser("verify", help="check digests, run the golden steps, say what came out")
    for action in (show, verify):
        action.add_argument("bundle", metavar="NAME", help="a bundle's name, or its folder (with a /) or zip")
    for action in (listing, show, verify):
        action.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Do it."""
    if args.action == "list":
        return _list(BundleCatalog(user_bundle_folder()).entries(), as_json=args.json)
    bundle = _find(args.bundle)
    return _show(bundle, as_json=args.json) if args.action == "show" else _verify(bundle, as_json=args.json)


def _find(chosen: str) -> Bundle:
    if is_path(chosen):
        return open_bundle(Path(chosen))
    entry = BundleCatalog(user_bundle_folder()).entry(chosen)
    if entry.bundle is None or entry.refusal:
        raise BundleInvalid(f"{entry.path}: {entry.refusal}; export or install it again")
    return entry.bundle


def _list(entries: tuple[CatalogEntry, ...], *, as_json: bool) -> int:
    if as_json:
        print(json.dumps([_entry_fields(entry) for entry in entries]))
        return 0
    if not entries:
        print(f"deepmusic models: there are none; put one into {user_bundle_folder()}", file=sys.stderr)
        return 0
    print("\n".join(in_columns([_row(entry) for entry in entries])))
    return 0


def _row(entry: CatalogEntry) -> tuple[str, ...]:
    """Name, where from, version, profile, size, how near to the right answers, state."""
    state = f"refused: {entry.refusal}" if entry.refusal else entry.note or "ready"
    if entry.bundle is None:
        return (entry.name, entry.origin.value, "", "", "", "", state)
    manifest = entry.bundle.manifest
    lsd_db, lsd50_db = (manifest.metrics.get(name) for name in ("lsd_db", "lsd50_db"))
    figures = "" if lsd_db is None or lsd50_db is None else f"LSD {lsd_db:.2f} / {lsd50_db:.2f} dB"
    size = f"{_megabytes(manifest):.1f} MB"
    return (entry.name, entry.origin.value, f"version {manifest.version}", manifest.profile, size, figures, state)


def _megabytes(manifest: Manifest) -> float:
    return sum(file.n_bytes for file in manifest.files.values()) / 1e6


def _entry_fields(entry: CatalogEntry) -> dict[str, object]:
    return {
        "name": entry.name,
        "path": str(entry.path),
        "origin": entry.origin.value,
        "digest": None if entry.bundle is None else entry.bundle.digest,
        "version": None if entry.bundle is None else entry.bundle.manifest.version,
        "profile": None if entry.bundle is None else entry.bundle.manifest.profile,
        "metrics": None if entry.bundle is None else dict(entry.bundle.manifest.metrics),
        "refusal": entry.refusal or None,
        "note": entry.note or None,
    }


def _show(bundle: Bundle, *, as_json: bool) -> int:
    fields = _bundle_fields(bundle)
    if as_json:
        print(json.dumps(fields))
        return 0
    for name, value in fields.items():
        if isinstance(value, dict):
            print(name)
            for key, inner in value.items():  # pyright: ignore[reportUnknownVariableType]  # our own, built below
                print(f"  {key:<22} {inner}")
        else:
            print(f"{name:<24} {value}")
    return 0


def _bundle_fields(bundle: Bundle) -> dict[str, object]:
    manifest, training = bundle.manifest, bundle.manifest.training
    return {
        "name": manifest.name,
        "version": manifest.version,
        "path": str(bundle.path),
        "digest": bundle.digest,
        "kind": manifest.kind.value,
        "profile": manifest.profile,
        "bands": manifest.features.n_bands,
        "style_size": manifest.style.size,
        "state_size": manifest.state.size,
        "weights": manifest.transfer.precision,
        "has_int8": manifest.transfer_int8 is not None,
        "statistics_time_constant_s": manifest.statistics_time_constant_s,
        "licence": manifest.licence,
        "megabytes": round(_megabytes(manifest), 1),
        "training": {
            "data": training.data,
            "steps": training.steps,
            "hours": training.hours,
            "seed": training.seed,
            "host": training.host,
            "note": training.note,
        },
        "metrics": dict(manifest.metrics),
    }


def _verify(bundle: Bundle, *, as_json: bool) -> int:
    """Opening it checked manifest, sizes, digests and tensors; here its files run, first in a limited process."""
    probe_bundle(bundle)
    StyleEncoder.load(bundle)
    snr_db = {"float": _snr_db(bundle, "float")}
    if bundle.manifest.transfer_int8 is not None:
        snr_db["int8"] = _snr_db(bundle, "int8")
    is_sound = snr_db["float"] >= MIN_FLOAT_SNR_DB
    if as_json:
        finite = {name: min(value, 999.0) if value > -999.0 else None for name, value in snr_db.items()}
        print(
            json.dumps({"name": bundle.manifest.name, "digest": bundle.digest, "ok": is_sound, "golden_snr_db": finite})
        )
    else:
        print(f"{bundle.manifest.name}  {bundle.digest}")
        for name, value in snr_db.items():
            print(f"  {name:<5} golden steps {value:.1f} dB")
    if not is_sound:
        raise BundleInvalid(
            f"{bundle.path}: expected the golden steps within {MIN_FLOAT_SNR_DB:g} dB, got {snr_db['float']:.1f} dB; "
            "export it again"
        )
    if snr_db.get("int8", MIN_INT8_SNR_DB) < MIN_INT8_SNR_DB:
        print("deepmusic models: int8 is too coarse on this machine; the float file runs instead", file=sys.stderr)
    return 0


def _snr_db(bundle: Bundle, precision: Precision) -> float:
    model = TransferModel.load(bundle, precision, "cpu")
    return golden_snr_db(model, model.initial_state(), bundle.golden())
