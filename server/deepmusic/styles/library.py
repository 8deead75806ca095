"""The library of styles: one folder a style, written so that a crash at any moment leaves it whole.

::

    styles/
      warm-brass/
        meta.json           where it came from, how the excerpts lie in the file
        excerpt.flac        what it was learned from, to learn it again for another bundle; an import has none
        vectors/<bundle digest>.npy
      .new-3f9a0c1b/        being written, or left by a crash; swept away after an hour

A style appears by the rename of a complete, synced folder, and disappears by a rename before it is deleted.
"""

from __future__ import annotations

import contextlib
import errno
import io
import re
import secrets
import shutil
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import platformdirs

from deepmusic.errors import BadName, BundleInvalid, StorageDenied, StorageFull, StyleExists, StyleNotFound
from deepmusic.model.arrays import read_npy
from deepmusic.model.style_vector import StyleVector
from deepmusic.styles.excerpt_file import (
    SourceRecord,
    read_source,
    source_record,
    sync_folder,
    write_import,
    write_source,
    write_synced,
)
from deepmusic.styles.learn import Encoder, learn_source
from deepmusic.styles.source import StyleSource

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 _.-]{0,62}[A-Za-z0-9_-])?")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_WINDOWS_DEVICES = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)
_DENIED = frozenset((errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTDIR))
_STALE_S = 3600.0
"""Age at which an unfinished folder belongs to nobody any more, seconds."""


def default_style_folder() -> Path:
    """Where a user's styles lie, by the system's convention; it need not exist."""
    return Path(platformdirs.user_data_dir("deepmusic", appauthor=False)) / "styles"


def check_style_name(name: str) -> str:
    """The name, where it can be a style's (and a folder's, on every system).

    Raises:
        BadName: it cannot.
    """
    if not _NAME.fullmatch(name) or _WINDOWS_DEVICES.fullmatch(name):
        raise BadName(
            "expected a style name of 1 to 64 letters, digits, spaces, '.', '_' and '-', beginning with a letter or "
            f"digit, got {name[:40]!r}",
            field="name",
        )
    return name


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleEntry:
    """A style as it lies on disk."""

    name: str
    """Its name, and its folder's."""

    record: SourceRecord
    """Where it came from and what is kept of it."""

    bundle_digests: tuple[str, ...]
    """Bundles that have a vector of it already, sorted."""


class StyleLibrary:
    """Styles in a folder. All methods may be called from any thread and by several processes; all of them read files.

    Args:
        folder: where they are; made when the first one is added.
        wall_clock: seconds since 1970, for the age of leftovers and the date of a style.
    """

    def __init__(self, folder: Path | None = None, *, wall_clock: Callable[[], float] = time.time) -> None:
        self.folder = folder or default_style_folder()
        self._wall_clock = wall_clock
        self._sweep()

    def entries(self) -> tuple[StyleEntry, ...]:
        """Every style, by name. A folder that is damaged or not ours is left out.

        Raises:
            StorageDenied: the folder may not be read.
        """
        found: list[StyleEntry] = []
        for name in sorted(path.name for path in self._folders()):
            with contextlib.suppress(StyleNotFound, BadName):
                found.append(self.entry(name))
        return tuple(found)

    def entry(self, name: str) -> StyleEntry:
        """One style.

        Raises:
            BadName: no style can have this name.
            StyleNotFound: there is none, or its folder is damaged.
            StorageDenied: the folder may not be read.
        """
        folder = self.folder / check_style_name(name)
        with self._looking():
            is_there = folder.is_dir()
        if not is_there:
            names = ", ".join(path.name for path in sorted(self._folders())[:8]) or "none"
            raise StyleNotFound(f"no style is named {name!r}; there are: {names}", resource=name)
        vectors = (folder / "vectors").glob("*.npy")
        digests = sorted(path.stem for path in vectors if _DIGEST.fullmatch(path.stem))
        return StyleEntry(name=name, record=source_record(folder), bundle_digests=tuple(digests))

    def add(self, name: str, source: StyleSource, encoder: Encoder, *, origin: str = "") -> StyleVector:
        """Learn a style and keep it.

        Args:
            name: what to call it.
            source: what to learn from.
            encoder: of the bundle that learns it now; others learn it when they first want it.
            origin: the recording's file name, for people.

        Raises:
            BadName: no style can have this name.
            StyleExists: there is one already.
            StyleSilent: there is nothing to learn.
            StorageFull: it does not fit on the disk; nothing is kept.
            StorageDenied: the folder may not be written to.
        """
        if self.has(name):
            raise StyleExists(f"a style is named {name!r} already; remove it or choose another name", resource=name)
        vector = learn_source(source, encoder, name=name)
        with self._drafting(vector) as draft:
            write_source(draft, source, origin=origin, added_at_s=self._wall_clock())
        return vector

    def add_vector(self, vector: StyleVector) -> None:
        """Keep a style that was learned elsewhere, without a recording: other bundles cannot learn it.

        Raises:
            BadName: no style can have this name.
            StyleExists: there is one already.
            StorageFull: it does not fit on the disk; nothing is kept.
            StorageDenied: the folder may not be written to.
        """
        if self.has(vector.name):
            raise StyleExists(f"a style is named {vector.name!r} already; remove it first", resource=vector.name)
        with self._drafting(vector) as draft:
            write_import(draft, added_at_s=self._wall_clock())

    def has(self, name: str) -> bool:
        """Whether the name is taken, be it by a style that is damaged.

        Raises:
            BadName: no style can have this name.
        """
        folder = self.folder / check_style_name(name)
        with self._looking():
            return folder.exists()

    def vector(self, name: str, encoder: Encoder) -> StyleVector:
        """The style in the bundle's space, learned again from the kept excerpt where that has not happened yet.

        Raises:
            BadName: no style can have this name.
            StyleNotFound: there is none, or it is damaged.
            StorageDenied: the folder may not be read.
        """
        folder = self.folder / self.entry(name).name
        kept = _read_vector(folder, encoder)
        if kept is not None:
            return StyleVector(values=kept, bundle_digest=encoder.bundle_digest, name=name)
        vector = learn_source(read_source(folder), encoder, name=name)
        with contextlib.suppress(OSError):  # a full or read-only disk costs time at the next start, not the sound now
            _write_vector(folder, vector)
        return vector

    def remove(self, name: str) -> None:
        """Forget a style.

        Raises:
            BadName: no style can have this name.
            StyleNotFound: there is none.
            StorageDenied: the folder may not be written to.
        """
        folder = self.folder / check_style_name(name)
        grave = self.folder / f".old-{secrets.token_hex(4)}"
        try:
            folder.rename(grave)
        except FileNotFoundError:
            raise StyleNotFound(f"no style is named {name!r}", resource=name) from None
        except OSError as error:
            raise self._denied() from error
        shutil.rmtree(grave, ignore_errors=True)

    def _folders(self) -> list[Path]:
        with self._looking():
            if not self.folder.is_dir():
                return []
            return [path for path in self.folder.iterdir() if path.is_dir() and not path.name.startswith(".")]

    @contextlib.contextmanager
    def _looking(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            raise StorageDenied(f"the styles' folder {self.folder} may not be read; mend its permissions") from error

    @contextlib.contextmanager
    def _drafting(self, vector: StyleVector) -> Generator[Path]:
        """A folder that becomes the style of that name, with this vector, where nothing goes wrong."""
        with self._storing():
            self.folder.mkdir(parents=True, exist_ok=True)
            draft = self.folder / f".new-{secrets.token_hex(4)}"
            try:
                draft.mkdir()
                yield draft
                _write_vector(draft, vector)
                self._publish(draft, vector.name)
            finally:
                shutil.rmtree(draft, ignore_errors=True)

    def _publish(self, draft: Path, name: str) -> None:
        sync_folder(draft)
        try:
            draft.rename(self.folder / name)
        except OSError as error:
            if (self.folder / name).exists():
                raise StyleExists(f"a style is named {name!r} already; remove it first", resource=name) from error
            raise
        sync_folder(self.folder)

    @contextlib.contextmanager
    def _storing(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in _DENIED:
                raise self._denied() from error
            raise StorageFull(f"the style does not fit into {self.folder}; free some disk space") from error

    def _denied(self) -> StorageDenied:
        return StorageDenied(
            f"expected a folder of styles that may be written to, {self.folder} is none; mend its permissions"
        )

    def _sweep(self) -> None:
        """Remove what a crash left behind, once it is too old to be another process' work."""
        left: tuple[Path, ...] = ()
        with contextlib.suppress(OSError):  # whoever wants a style is told
            left = tuple(self.folder.glob(".*-*")) if self.folder.is_dir() else ()
        for path in left:
            with contextlib.suppress(OSError):
                if path.name.startswith((".new-", ".old-")) and self._wall_clock() - path.stat().st_mtime > _STALE_S:
                    shutil.rmtree(path, ignore_errors=True)


def _write_vector(folder: Path, vector: StyleVector) -> None:
    vectors = folder / "vectors"
    vectors.mkdir(exist_ok=True)
    buffer = io.BytesIO()
    np.save(buffer, vector.values)
    write_synced(vectors / f"{vector.bundle_digest}.npy", buffer.getvalue())
    sync_folder(vectors)


def _read_vector(folder: Path, encoder: Encoder) -> npt.NDArray[np.float32] | None:
    """The vector for the encoder's bundle; None where there is none that can be used."""
    path = folder / "vectors" / f"{encoder.bundle_digest}.npy"
    try:
        return read_npy(path.read_bytes(), (encoder.manifest.style.size,), what=path.name)
    except (OSError, BundleInvalid):
        return None
