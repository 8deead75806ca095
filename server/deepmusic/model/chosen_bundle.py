"""A bundle that somebody has chosen: a name in the catalog, or a folder or zip that was just exported."""

from __future__ import annotations

import os
from pathlib import Path

from deepmusic.errors import ModelNotFound
from deepmusic.model.bundle import Bundle
from deepmusic.model.catalog import BundleCatalog, LoadedBundle, user_bundle_folder
from deepmusic.model.probe import probe_bundle
from deepmusic.model.providers import Device
from deepmusic.model.runtime import Precision, StyleEncoder, TransferModel


def load_bundle(chosen: str, *, device: Device = "auto", precision: Precision = "auto") -> LoadedBundle:
    """Load the bundle that somebody has chosen.

    Args:
        chosen: a name; with a path separator in it or with the ending .zip, a path.
        device: where the model is to run.
        precision: which of its files.

    Raises:
        ModelNotFound: there is no such bundle.
        BundleInvalid: it is refused.
    """
    if not is_path(chosen):
        catalog = BundleCatalog(user_bundle_folder(), device=device, precision=precision)
        try:
            return catalog.get(chosen)
        except ModelNotFound as error:
            raise ModelNotFound(
                f"{error.message}; name one of them, or a bundle's folder or zip", resource=error.resource
            ) from error
    bundle = open_bundle(Path(chosen))
    probe_bundle(bundle)
    return LoadedBundle(
        bundle=bundle, transfer=TransferModel.load(bundle, precision, device), encoder=StyleEncoder.load(bundle)
    )


def open_bundle(path: Path) -> Bundle:
    """Open a folder or zip.

    Raises:
        ModelNotFound: there is nothing at that path.
        BundleInvalid: it is refused.
    """
    if not path.exists():
        raise ModelNotFound(
            f"{path}: expected a bundle's folder or zip, but there is none; check the path", resource=str(path)[:64]
        )
    return Bundle.open(path)


def is_path(chosen: str) -> bool:
    """Whether a choice is a path and not a name; names have neither separators nor dots."""
    return os.sep in chosen or "/" in chosen or chosen.endswith(".zip")
