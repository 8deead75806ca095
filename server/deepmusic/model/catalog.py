"""The bundles that this machine has: the one inside the package, and those of the user."""

from __future__ import annotations

import enum
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Final

import platformdirs

from deepmusic.errors import BundleInvalid, BundleLoading, ModelNotFound
from deepmusic.model.bundle import Bundle
from deepmusic.model.probe import probe_bundle
from deepmusic.model.probe_record import ProbeRecord
from deepmusic.model.providers import Device
from deepmusic.model.runtime import Precision, StyleEncoder, TransferModel, runtime_version

DEFAULT_BUNDLE: Final = "live"
#: Bundles that ship with deepmusic.
PACKAGE_FOLDER: Final = Path(__file__).parent / "bundles"
_RECORD_NAME: Final = ".probed"
#: When to ask again for a bundle that another thread is loading.
_RETRY_AFTER_S: Final = 1.0


def user_bundle_folder() -> Path:
    """Where a user's own bundles lie, by the system's convention; it need not exist."""
    return Path(platformdirs.user_data_dir("deepmusic", appauthor=False)) / "bundles"


class Origin(enum.Enum):
    """Where a bundle came from."""

    PACKAGE = "package"
    USER = "user"


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogEntry:
    """A bundle that was found, whether it can be used or not."""

    name: str
    """The manifest's name; of a refused bundle the file's."""
    path: Path
    origin: Origin
    bundle: Bundle | None
    """None where it was refused before it could be read."""
    refusal: str
    """Why it cannot be used; empty where it can."""
    note: str = ""
    """What else there is to know."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LoadedBundle:
    """A bundle, ready to run."""

    bundle: Bundle
    transfer: TransferModel
    encoder: StyleEncoder


class BundleCatalog:
    """Finds bundles, and loads them when they are first wanted. A bad bundle is an entry with a reason, never a crash.

    All methods may be called from any thread; those marked [slow] read files or load models, and belong in none that
    must not wait.

    Args:
        user_folder: a folder of the user's bundles (folders and zips), or None.
        chosen: a folder or zip that somebody chose by its path, or None: it comes before all others of its name.
        package_folder: the same for the ones that ship; they are trusted and not probed.
        precision, device, intra_op_threads: as `TransferModel.load` has them.
        probe: runs a user's bundle for the first time; raises `BundleInvalid`.
    """

    def __init__(
        self,
        user_folder: Path | None = None,
        *,
        chosen: Path | None = None,
        package_folder: Path = PACKAGE_FOLDER,
        precision: Precision = "auto",
        device: Device = "auto",
        intra_op_threads: int = 1,
        probe: Callable[[Bundle], None] = probe_bundle,
    ) -> None:
        self._chosen = chosen
        self._folders = [(package_folder, Origin.PACKAGE)]
        if user_folder is not None:
            self._folders.append((user_folder, Origin.USER))
        self._precision: Precision = precision
        self._device: Device = device
        self._intra_op_threads = intra_op_threads
        self._probe = probe
        record_path = None if user_folder is None else user_folder / _RECORD_NAME
        self._record = ProbeRecord(record_path, runtime_version=runtime_version())
        self._lock = threading.Lock()
        self._entries: tuple[CatalogEntry, ...] = ()
        self._loaded: dict[str, LoadedBundle] = {}
        self._loading: dict[str, threading.Lock] = {}
        self.refresh()

    def refresh(self) -> None:
        """[slow] Looks at the folders again.

        A bundle that is loaded keeps serving where its files have gone bad, and its entry says so. A changed one is
        loaded anew by the next `get`; whoever holds the old one keeps it.
        """
        chosen = () if self._chosen is None else (_entry_of(self._chosen, Origin.USER),)
        listing = (entry for folder, origin in self._folders for entry in _entries_of(folder, origin))
        found = list(_without_repeated_names(chain(chosen, listing)))
        with self._lock:
            self._entries = tuple(self._kept(entry) for entry in found)
            listed = {entry.bundle.digest for entry in self._entries if entry.bundle is not None}
            self._loaded = {digest: loaded for digest, loaded in self._loaded.items() if digest in listed}

    def entries(self) -> tuple[CatalogEntry, ...]:
        """Everything that was found, usable or not."""
        with self._lock:
            return self._entries

    def entry(self, name: str) -> CatalogEntry:
        """The entry of that name.

        Raises:
            ModelNotFound: there is none.
        """
        entries = self.entries()
        named = [entry for entry in entries if entry.name == name]
        if not named:
            usable = ", ".join(entry.name for entry in entries if not entry.refusal) or "none"
            raise ModelNotFound(f"no bundle is named {name[:64]!r}; there are: {usable}", resource=name[:64])
        return min(named, key=lambda entry: bool(entry.refusal))

    def is_loaded(self, name: str) -> bool:
        """Whether `get` would answer at once."""
        bundle = self.entry(name).bundle
        with self._lock:
            return bundle is not None and bundle.digest in self._loaded

    def get(self, name: str = DEFAULT_BUNDLE, *, wait: bool = True) -> LoadedBundle:
        """[slow] The bundle of that name, loaded now if it was not.

        Args:
            name: the bundle's name.
            wait: whether to wait for another thread that is loading it.

        Raises:
            ModelNotFound: there is no such bundle.
            BundleInvalid: it is refused; its entry says why.
            BundleLoading: another thread is loading it and `wait` is false.
        """
        entry = self.entry(name)
        if entry.refusal or entry.bundle is None:
            raise BundleInvalid(entry.refusal, resource=name)
        digest = entry.bundle.digest
        with self._lock:
            if digest in self._loaded:
                return self._loaded[digest]
            loading = self._loading.setdefault(digest, threading.Lock())
        if not loading.acquire(blocking=wait):
            raise BundleLoading(
                f"bundle {name!r} is being loaded; ask again", resource=name, retry_after_s=_RETRY_AFTER_S
            )
        try:
            with self._lock:
                if digest in self._loaded:
                    return self._loaded[digest]
            loaded = self._load(entry, entry.bundle)
            with self._lock:
                self._loaded[digest] = loaded
            return loaded
        except BundleInvalid as error:
            self._refuse(entry, error.message)
            raise
        finally:
            loading.release()

    def _load(self, entry: CatalogEntry, bundle: Bundle) -> LoadedBundle:
        if entry.origin is not Origin.PACKAGE and bundle.digest not in self._record:
            self._probe(bundle)
            self._record.add(bundle.digest)
        transfer = TransferModel.load(bundle, self._precision, self._device, self._intra_op_threads)
        return LoadedBundle(bundle=bundle, transfer=transfer, encoder=StyleEncoder.load(bundle))

    def _refuse(self, entry: CatalogEntry, refusal: str) -> None:
        with self._lock:
            self._entries = tuple(
                replace(other, refusal=refusal) if other is entry else other for other in self._entries
            )

    def _kept(self, entry: CatalogEntry) -> CatalogEntry:
        """`entry`, or where it is refused and an earlier state of the same path is loaded, that one with a note."""
        if not entry.refusal:
            return entry
        for old in self._entries:
            if old.path == entry.path and old.bundle is not None and old.bundle.digest in self._loaded:
                return replace(old, note=f"the version loaded earlier keeps serving; the files now: {entry.refusal}")
        return entry


def _entries_of(folder: Path, origin: Origin) -> Iterator[CatalogEntry]:
    try:
        paths = sorted(folder.iterdir())
    except OSError:
        return
    for path in paths:
        if not path.name.startswith(".") and (path.suffix == ".zip" or path.is_dir()):
            yield _entry_of(path, origin)


def _entry_of(path: Path, origin: Origin) -> CatalogEntry:
    try:
        bundle = Bundle.open(path)
    except BundleInvalid as error:
        name = path.stem if path.suffix == ".zip" else path.name
        return CatalogEntry(name=name[:64], path=path, origin=origin, bundle=None, refusal=error.message)
    return CatalogEntry(name=bundle.manifest.name, path=path, origin=origin, bundle=bundle, refusal="")


def _without_repeated_names(entries: Iterator[CatalogEntry]) -> Iterator[CatalogEntry]:
    """Refuses a bundle whose name an earlier one has.

    What ships comes first, so that nothing can stand in for it, but for one that was chosen by its path.
    """
    taken: set[str] = set()
    for entry in entries:
        if entry.refusal or entry.name not in taken:
            taken |= set() if entry.refusal else {entry.name}
            yield entry
        else:
            yield replace(
                entry, refusal=f"another bundle is named {entry.name!r} already; export it under another name"
            )
