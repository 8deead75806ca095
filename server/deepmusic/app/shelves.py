"""What this server has: bundles and styles, as the transports list them."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from deepmusic.audio import Audio
from deepmusic.errors import BundleInvalid, StyleDamaged, StyleExists, StyleNotFound
from deepmusic.model.catalog import BundleCatalog, CatalogEntry, LoadedBundle
from deepmusic.model.style_vector import StyleVector
from deepmusic.styles.learn import learn_source
from deepmusic.styles.library import StyleEntry, StyleLibrary
from deepmusic.styles.source import style_source
from deepmusic.transports.wire.listings import BundleListing, BundleState, StyleListing

MAX_TEMPORARY_STYLES = 256
"""Styles that are kept in memory only; one more, and the oldest goes."""


ASIDE_CHARACTERS = 55
"""What is left of the name of a style that is put aside: with a dash and eight digits it is 64 again."""

TEMPORARY_PREFIX = "temporary-"
"""How the names begin that are given to styles without one."""


class Bundles:
    """Lists the catalog. All methods may be called from any thread.

    Args:
        catalog: Finds and loads bundles.
        default_bundle: Name of the bundle of streams that name none.
    """

    def __init__(self, catalog: BundleCatalog, default_bundle: str) -> None:
        self._catalog = catalog
        self._default_bundle = default_bundle
        self._loading: set[str] = set()

    def listings(self) -> list[BundleListing]:
        """[any] Every bundle, by name."""
        return sorted(map(self._listed, self._catalog.entries()), key=lambda listing: listing.name)

    def listing(self, name: str) -> BundleListing:
        """[any] One bundle; an empty name is the default one."""
        return self._listed(self._catalog.entry(name or self._default_bundle))

    def load_default(self) -> LoadedBundle:
        """[slow] Loads the default bundle, which is listed as loading meanwhile."""
        self._loading.add(self._default_bundle)
        try:
            return self._catalog.get(self._default_bundle)
        finally:
            self._loading.discard(self._default_bundle)

    def _listed(self, entry: CatalogEntry) -> BundleListing:
        is_default = entry.name == self._default_bundle
        if entry.bundle is None:
            return BundleListing(
                name=entry.name, state=BundleState.INVALID, problem=entry.refusal, is_default=is_default
            )
        state = BundleState.LOADING if entry.name in self._loading else BundleState.AVAILABLE
        manifest = entry.bundle.manifest
        return BundleListing(
            name=entry.name,
            state=BundleState.INVALID if entry.refusal else state,
            problem=entry.refusal or entry.note,
            version=manifest.version,
            digest=entry.bundle.digest,
            kind=manifest.kind.value,
            profile=manifest.profile,
            style_size=manifest.style.size,
            is_default=is_default,
            licence=manifest.licence,
        )


class Styles:
    """The library on disk, and the styles that live in memory only. All methods may be called from any thread.

    Args:
        library: The styles on disk.
        bundle: The loaded bundle of a name; an empty name is the default one.
    """

    def __init__(self, library: StyleLibrary, bundle: Callable[[str], LoadedBundle]) -> None:
        self._library = library
        self._bundle = bundle
        self._lock = threading.Lock()
        self._importing = threading.Lock()  # one at a time: between the look at a name and its use nobody takes it
        self._temporary: OrderedDict[str, _TemporaryStyle] = OrderedDict()  # bounded by MAX_TEMPORARY_STYLES

    def vector(self, name: str, bundle: LoadedBundle) -> StyleVector:
        """[any] The style in the bundle's space; a temporary one has only that of the bundle that learned it."""
        with self._lock:
            temporary = self._temporary.get(name)
        if temporary is None:
            return self._library.vector(name, bundle.encoder)
        if temporary.vector.bundle_digest != bundle.bundle.digest:
            raise StyleNotFound(
                f"temporary style {name!r} was learned for another bundle; upload it for this one", resource=name
            )
        return temporary.vector

    def listings(self) -> list[StyleListing]:
        """[any] Every style, by name, temporary ones last."""
        kept = [_listed(entry) for entry in self._library.entries()]
        with self._lock:
            return kept + [style.listing() for style in self._temporary.values()]

    def listing(self, name: str) -> StyleListing:
        """[any] One style."""
        with self._lock:
            if name in self._temporary:
                return self._temporary[name].listing()
        return _listed(self._library.entry(name))

    def create(self, name: str, audio: Audio, sample_rate_hz: int, *, bundle: str, temporary: bool) -> StyleListing:
        """[any] Learns a style and keeps it."""
        loaded = self._bundle(bundle)
        source = style_source(audio, sample_rate_hz)
        if not temporary:
            self._library.add(name, source, loaded.encoder)
            return _listed(self._library.entry(name))
        vector = learn_source(source, loaded.encoder, name=f"{TEMPORARY_PREFIX}{secrets.token_hex(4)}")
        return self._remember(_TemporaryStyle(vector=vector, source_s=source.seconds))

    def exported(self, name: str, *, bundle: str) -> StyleVector:
        """[any] A style's vector; learns it for the bundle where that has not happened yet."""
        return self.vector(name, self._bundle(bundle))

    def import_vector(self, vector: StyleVector, *, bundle: str, temporary: bool) -> StyleListing:
        """[any] Puts a style back: under its name where that is free or has this vector, else aside, in memory."""
        loaded = self._bundle(bundle)
        _check_bundle(vector, loaded)
        aside = f"{vector.name[:ASIDE_CHARACTERS]}-{vector.digest[:8]}"
        with self._importing:
            for name in (vector.name, aside):
                if self._is_free(name):
                    in_memory = temporary or name == aside or name.startswith(TEMPORARY_PREFIX)
                    return self._keep(vector.renamed(name), in_memory=in_memory)
                if self._digest(name, loaded) == vector.digest:
                    return self.listing(name)
        raise StyleExists(f"the names {vector.name!r} and {aside!r} are taken; remove one of them", resource=aside)

    def delete(self, name: str) -> None:
        """[any] Removes a style."""
        with self._lock:
            if self._temporary.pop(name, None) is not None:
                return
        if name.startswith(TEMPORARY_PREFIX) and not self._library.has(name):
            raise StyleNotFound(f"no temporary style is named {name!r}; it may have gone already", resource=name)
        self._library.remove(name)

    def _is_free(self, name: str) -> bool:
        with self._lock:
            is_temporary = name in self._temporary
        return not is_temporary and not self._library.has(name)

    def _digest(self, name: str, bundle: LoadedBundle) -> str:
        """Digest of a style's vector; empty where the bundle has none of it and cannot learn it."""
        try:
            return self.vector(name, bundle).digest
        except StyleNotFound:
            return ""

    def _keep(self, vector: StyleVector, *, in_memory: bool) -> StyleListing:
        if in_memory:
            return self._remember(_TemporaryStyle(vector=vector, source_s=0.0))
        self._library.add_vector(vector)
        return _listed(self._library.entry(vector.name))

    def _remember(self, style: _TemporaryStyle) -> StyleListing:
        with self._lock:
            self._temporary[style.vector.name] = style
            while len(self._temporary) > MAX_TEMPORARY_STYLES:
                self._temporary.popitem(last=False)
        return style.listing()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _TemporaryStyle:
    """A style in memory."""

    vector: StyleVector
    """In the space of the bundle that learned it."""
    source_s: float
    """Length of what it was learned from, in seconds."""

    def listing(self) -> StyleListing:
        """As it is listed."""
        return StyleListing(
            name=self.vector.name,
            bundle_digests=(self.vector.bundle_digest,),
            source_s=self.source_s,
            temporary=True,
        )


def _check_bundle(vector: StyleVector, loaded: LoadedBundle) -> None:
    manifest = loaded.bundle.manifest
    if vector.bundle_digest != loaded.bundle.digest:
        raise BundleInvalid(
            f"expected a style of bundle {manifest.name!r} with digest {loaded.bundle.digest}, got one of "
            f"{vector.bundle_digest}; name that bundle, or install its version",
            resource=manifest.name,
        )
    if len(vector.values) != manifest.style.size:
        raise StyleDamaged(
            f"expected a vector of {manifest.style.size} values, got {len(vector.values)}; export the style again",
            field="vector.values",
        )


def _listed(entry: StyleEntry) -> StyleListing:
    return StyleListing(name=entry.name, bundle_digests=entry.bundle_digests, source_s=entry.record.seconds)
