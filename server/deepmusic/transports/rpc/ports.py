"""What the services need of the house; ``deepmusic.app`` gives it, tests give their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from deepmusic.audio import Audio
from deepmusic.model.style_share import StyleShare
from deepmusic.model.style_vector import StyleVector
from deepmusic.session.events import AudioOut, Failure, Held, InEvent, Notice, Summary
from deepmusic.transports.wire.listings import BundleListing, StyleListing
from deepmusic.transports.wire.messages import StreamConfig

Emitted = AudioOut | Notice | Held | Summary | Failure
"""What a session hands out to a transport."""

Emit = Callable[[Emitted], None]
"""[worker] Takes what a session hands out; returns soon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionFacts:
    """What is fixed for the whole life of a session."""

    bundle: str
    """Name of the bundle."""
    bundle_digest: str
    """SHA-256 of its manifest, hexadecimal."""
    latency_samples: int
    """From an input sample to its place in the output."""
    step_samples: int
    """Samples of one model step."""
    provider: str
    """Execution provider that really runs the model."""
    precision: str
    """Precision of the model file in use."""
    requested_device: str
    """Device that was asked for."""


class RunningSession(Protocol):
    """A session that runs on a thread of its own."""

    @property
    def facts(self) -> SessionFacts:
        """[any] What is fixed for its life."""
        ...

    def post(self, event: InEvent) -> None:
        """[loop] Hands an event in; never waits.

        Raises:
            AudioTooFast: Too much is waiting already.
        """
        ...

    def style(self, styles: Sequence[StyleShare]) -> StyleVector:
        """[any] Looks the styles up for the session's bundle and blends them; reads files.

        Raises:
            StyleNotFound: No style of that name.
        """
        ...

    def close(self) -> None:
        """[any] Stops it and frees its slot, without waiting; what it has not handed out is lost."""
        ...


class SessionOpener(Protocol):
    """Opens sessions."""

    def open(self, config: StreamConfig, *, max_block_samples: int, emit: Emit) -> RunningSession:
        """[any] Opens a session; may take a while, since it may load a bundle.

        Raises:
            DeepmusicError: The bundle, a style or a parameter is not to be had, or the server is full.
        """
        ...


class BundleShelf(Protocol):
    """Lists bundles."""

    def listings(self) -> Sequence[BundleListing]:
        """[any] Every bundle, by name."""
        ...

    def listing(self, name: str) -> BundleListing:
        """[any] One bundle; an empty name is the default one.

        Raises:
            ModelNotFound: There is none of that name.
        """
        ...


class StyleShelf(Protocol):
    """Keeps styles."""

    def listings(self) -> Sequence[StyleListing]:
        """[any] Every style, by name, temporary ones last; reads files."""
        ...

    def listing(self, name: str) -> StyleListing:
        """[any] One style; reads files.

        Raises:
            StyleNotFound: There is none of that name.
        """
        ...

    def create(self, name: str, audio: Audio, sample_rate_hz: int, *, bundle: str, temporary: bool) -> StyleListing:
        """[any] Learns a style and keeps it; takes seconds.

        Args:
            name: Its name; empty for a temporary one, which gets one.
            audio: float32 ``(channels, samples)``.
            sample_rate_hz: Rate of the recording.
            bundle: Whose encoder learns it; empty for the default one.
            temporary: Whether to keep it in memory only.
        """
        ...

    def delete(self, name: str) -> None:
        """[any] Removes a style.

        Raises:
            StyleNotFound: There is none of that name.
        """
        ...

    def exported(self, name: str, *, bundle: str) -> StyleVector:
        """[any] A style's vector; reads files, and may take seconds where the bundle has to learn it first.

        Args:
            name: The style.
            bundle: Whose vector it is to be; empty for the default one.

        Raises:
            StyleNotFound: There is none of that name, or the bundle cannot learn it.
        """
        ...

    def import_vector(self, vector: StyleVector, *, bundle: str, temporary: bool) -> StyleListing:
        """[any] Puts a style back; its name may be another one afterwards. Never changes a style that is there.

        Args:
            vector: What was exported.
            bundle: To which it belongs; empty for the default one.
            temporary: Whether to keep it in memory only.

        Raises:
            BundleInvalid: It belongs to another bundle.
            StyleDamaged: It has the wrong size.
            StyleExists: Two other styles have its name and the name that it would have instead.
        """
        ...
