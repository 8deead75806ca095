"""A bundle on disk, opened: a folder or a zip whose every file is what its manifest says."""

from __future__ import annotations

import hashlib
import os
import stat
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, Self

from deepmusic.errors import BundleInvalid
from deepmusic.model.arrays import ANY, FloatArray, read_npy, read_npz
from deepmusic.model.golden import Golden
from deepmusic.model.json_fields import MAX_JSON_BYTES
from deepmusic.model.manifest import (
    EXCITATIONS,
    MANIFEST_NAME,
    MAX_FILE_BYTES,
    MAX_FILES,
    N_FEATURE_EXCITATIONS,
    FileEntry,
    Manifest,
)
from deepmusic.model.manifest_json import parse_manifest
from deepmusic.model.onnx_scan import check_onnx

#: A folder may hold a model card and the like beside the files that the manifest names.
_MAX_ENTRIES: Final = 4 * MAX_FILES

#: Reads one file by name, at most so many bytes.
_ReadFile = Callable[[str, int], bytes]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bundle:
    """A bundle whose files were there and right when it was opened; `read` checks them again. Safe from any thread."""

    path: Path
    """The folder or zip."""
    digest: str
    """sha256 of the manifest's bytes, in hexadecimal; it covers all files, since the manifest holds their digests."""
    manifest: Manifest

    @classmethod
    def open(cls, path: Path) -> Self:
        """Opens a folder or a zip and checks all of it.

        Nothing is executed and nothing is written. Links inside the folder are refused; so are entries of a zip that
        point outside it, files larger than 64 MiB and ONNX files that `check_onnx` refuses.

        Raises:
            BundleInvalid: something is missing, damaged, too large or not as the manifest says.
        """
        read_file = _reader(path)
        manifest_bytes = read_file(MANIFEST_NAME, MAX_JSON_BYTES)
        bundle = cls(
            path=path, digest=hashlib.sha256(manifest_bytes).hexdigest(), manifest=parse_manifest(manifest_bytes)
        )
        for name, entry in bundle.manifest.files.items():
            content = _checked(read_file, name, entry)
            if name in bundle.onnx_files():
                check_onnx(content, file=name)
        bundle.initial_state()
        bundle.golden()
        return bundle

    def read(self, name: str) -> bytes:
        """The bytes of a file that the manifest names, checked against its digest.

        Raises:
            BundleInvalid: the file has changed since the bundle was opened.
        """
        return _checked(_reader(self.path), name, self.manifest.files[name])

    def onnx_files(self) -> tuple[str, ...]:
        """Names of the ONNX files."""
        int8 = self.manifest.transfer_int8
        names = (self.manifest.style.file, self.manifest.transfer.file)
        return names if int8 is None else (*names, int8.file)

    def initial_state(self) -> FloatArray:
        """The state before the first step, shape (n_state,)."""
        state = self.manifest.state
        return read_npy(self.read(state.file), (state.size,), what=state.file)

    def golden(self) -> Golden:
        """The golden steps."""
        features, file = self.manifest.features, self.manifest.golden_file
        step, n_bands = features.step_frames, features.n_bands
        shapes = {
            "bands": (ANY, 1, step, N_FEATURE_EXCITATIONS, n_bands),
            "style": (1, self.manifest.style.size),
            "gain_db": (ANY, 1, step, len(EXCITATIONS), n_bands),
        }
        arrays = read_npz(self.read(file), shapes, what=file)
        if len(arrays["bands"]) != len(arrays["gain_db"]):
            raise BundleInvalid(f"{file}: bands and gain_db differ in their number of steps; export again", field=file)
        return Golden(
            bands=arrays["bands"],
            style=arrays["style"],
            gain_db=arrays["gain_db"],
            look_ahead_frames=self.manifest.look_ahead_frames,
        )


def _checked(read_file: _ReadFile, name: str, entry: FileEntry) -> bytes:
    content = read_file(name, entry.n_bytes)
    if len(content) != entry.n_bytes:
        raise BundleInvalid(
            f"{name}: expected {entry.n_bytes} bytes, got {_at_least(content, entry.n_bytes)}; copy the bundle again",
            field=name,
        )
    digest = hashlib.sha256(content).hexdigest()
    if digest != entry.sha256:
        raise BundleInvalid(
            f"{name}: expected sha256 {entry.sha256[:12]}..., got {digest[:12]}...; copy the bundle again", field=name
        )
    return content


def _at_least(content: bytes, n_bytes: int) -> str:
    return "more" if len(content) > n_bytes else str(len(content))


def _reader(path: Path) -> _ReadFile:
    if path.is_dir():
        _check_folder(path)
        return lambda name, limit: _read_from_folder(path, name, limit)
    if path.is_file():
        return lambda name, limit: _read_from_zip(path, name, limit)
    raise BundleInvalid(f"expected a bundle (a folder or a zip) at {path.name!r}, got nothing there", field="path")


def _check_folder(folder: Path) -> None:
    try:
        with os.scandir(folder) as entries:
            listed = [(entry.name, entry.is_symlink()) for entry in entries]
    except OSError as error:
        raise BundleInvalid(f"{folder.name}: the folder cannot be read; check its permissions", field="path") from error
    if len(listed) > _MAX_ENTRIES:
        raise BundleInvalid(f"{folder.name}: expected at most {_MAX_ENTRIES} files, got {len(listed)}", field="path")
    for name, is_symlink in listed:
        if is_symlink:
            raise BundleInvalid(
                f"{name[:100]}: expected plain files, got a link; copy the file itself", field=name[:100]
            )


def _read_from_folder(folder: Path, name: str, limit: int) -> bytes:
    try:
        # O_NOFOLLOW closes the gap between the check for links and the reading; O_NONBLOCK keeps a pipe from hanging.
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(folder / name, flags), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise BundleInvalid(f"{name}: expected a plain file, got something else", field=name)
            return file.read(limit + 1)
    except FileNotFoundError:
        raise BundleInvalid(
            f"expected a file {name!r} in {folder.name!r}, got none; copy the bundle again", field=name
        ) from None
    except OSError as error:
        raise BundleInvalid(f"{name}: the file cannot be read; check its permissions", field=name) from error


def _read_from_zip(path: Path, name: str, limit: int) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive:
            members = _zip_members(archive)
            if name not in members:
                raise BundleInvalid(
                    f"expected a file {name!r} in {path.name!r}, got none; pack the bundle again", field=name
                )
            with archive.open(members[name]) as member:
                return member.read(limit + 1)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise BundleInvalid(
            f"{path.name}: expected a zip that can be read, got something else", field="path"
        ) from error


def _zip_members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The entries by their names inside the bundle; one folder around all of them is taken off."""
    infos = [info for info in archive.infolist() if not info.is_dir()]
    if len(infos) > _MAX_ENTRIES:
        raise BundleInvalid(f"expected at most {_MAX_ENTRIES} files in a zip, got {len(infos)}", field="path")
    for info in infos:
        _check_zip_entry(info)
    folders = {PurePosixPath(info.filename).parts[:-1] for info in infos}
    depth = 1 if len(folders) == 1 and len(next(iter(folders))) == 1 else 0
    members = {"/".join(PurePosixPath(info.filename).parts[depth:]): info for info in infos}
    if len(members) != len(infos):
        raise BundleInvalid("expected every file once in a zip, got one twice; pack the bundle again", field="path")
    return members


def _check_zip_entry(info: zipfile.ZipInfo) -> None:
    name = info.filename
    parts = PurePosixPath(name).parts
    if name.startswith("/") or "\\" in name or ":" in name or ".." in parts or not parts:
        raise BundleInvalid(f"{name[:100]!r} points outside the zip; pack the bundle again", field=name[:100])
    mode = info.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        raise BundleInvalid(f"{name[:100]!r}: expected plain files in a zip, got a link or a device", field=name[:100])
    if info.file_size > MAX_FILE_BYTES:
        raise BundleInvalid(
            f"{name[:100]!r}: expected at most {MAX_FILE_BYTES} bytes, got {info.file_size}", field=name[:100]
        )
