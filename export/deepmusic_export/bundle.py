"""Writing of bundles: digests, a manifest that the runtime accepts, and a folder that appears whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deepmusic.errors import BundleInvalid, RequestError
from deepmusic.model.manifest import MANIFEST_NAME, Manifest, check_file_name
from deepmusic.model.manifest_json import parse_manifest


def write_bundle(folder: Path, manifest_fields: Mapping[str, Any], files: Mapping[str, bytes | Path]) -> Manifest:
    """Writes a bundle's folder; one that is there already is replaced whole.

    Args:
        folder: the folder to make; its parent is made too.
        manifest_fields: the manifest's JSON members without ``files``.
        files: for each file name, its bytes or a file to copy.

    Returns:
        The manifest as the runtime reads it.

    Raises:
        BundleInvalid: the runtime would refuse the manifest; nothing is written.
        RequestError: something is in the way that is no bundle.
    """
    check_place(folder)
    contents = {check_file_name(name): _content(source) for name, source in files.items()}
    manifest_bytes = _manifest_bytes(manifest_fields, contents)
    manifest = parse_manifest(manifest_bytes)
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = folder.parent / f".{folder.name}.{secrets.token_hex(4)}.tmp"
    draft.mkdir()
    try:
        for name, content in contents.items():
            _write_durably(draft / name, content)
        _write_durably(draft / MANIFEST_NAME, manifest_bytes)
        _replace_folder(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return manifest


def check_place(folder: Path) -> None:
    """Makes sure that nothing is replaced but a bundle.

    Raises:
        RequestError: `folder` is a file, or holds files and no manifest.
    """
    if folder.is_dir():
        is_free = (folder / MANIFEST_NAME).is_file() or not any(folder.iterdir())
    else:
        is_free = not folder.exists()
    if not is_free:
        raise RequestError(
            f"{folder}: expected a bundle to replace, or nothing, found what is no bundle; name another folder"
        )


def _content(source: bytes | Path) -> bytes:
    return source if isinstance(source, bytes) else source.read_bytes()


def _manifest_bytes(manifest_fields: Mapping[str, Any], contents: Mapping[str, bytes]) -> bytes:
    if "files" in manifest_fields:
        raise BundleInvalid("the digests in 'files' are computed; leave the key out", field="files")
    entries = {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        for name, content in sorted(contents.items())
    }
    try:
        text = json.dumps({**manifest_fields, "files": entries}, indent=1, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise BundleInvalid("expected JSON values with finite numbers in the manifest, got others") from error
    return (text + "\n").encode("utf-8")


def _write_durably(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _replace_folder(draft: Path, folder: Path) -> None:
    """Renames `draft` to `folder`; an old folder is set aside first, since a rename replaces no full one."""
    old = folder.parent / f"{draft.name}.old"
    if folder.exists():
        folder.rename(old)
    draft.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
