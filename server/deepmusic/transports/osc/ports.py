"""What the bridge needs of the house; ``deepmusic.app`` gives it, tests give their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from deepmusic.audio import AudioFormat
from deepmusic.model.style_share import StyleShare
from deepmusic.model.style_vector import StyleVector
from deepmusic.session.events import ChangeStyle, Control
from deepmusic.session.stats import SessionStats
from deepmusic.transports.wire.listings import StyleListing


class LiveFacts(Protocol):
    """What is fixed for the whole life of a session."""

    @property
    def bundle(self) -> str:
        """Name of its bundle."""
        ...

    @property
    def bundle_digest(self) -> str:
        """SHA-256 of the bundle's manifest, hexadecimal."""
        ...

    @property
    def latency_samples(self) -> int:
        """From an input sample to its place in the output."""
        ...


class LiveSession(Protocol):
    """A session that runs for somebody else, the client of its stream."""

    @property
    def name(self) -> str:
        """[any] The stream's name."""
        ...

    @property
    def audio_format(self) -> AudioFormat:
        """[any] Rate and channels."""
        ...

    @property
    def facts(self) -> LiveFacts:
        """[any] What is fixed for its life."""
        ...

    @property
    def stats(self) -> SessionStats:
        """[any] Its counters as of now."""
        ...

    @property
    def values(self) -> Mapping[str, float | str]:
        """[loop] What it was last asked for, by parameter, whoever asked."""
        ...

    @property
    def shares(self) -> tuple[tuple[str, float], ...]:
        """[loop] Names and weights of the styles that it was last asked for."""
        ...

    def position_at(self, at_s: float) -> int | None:
        """[any] The sample that comes in at a monotonic time; ``None`` where that cannot be told."""
        ...

    def offer(self, event: Control | ChangeStyle) -> bool:
        """[loop] Hands a control in, without waiting; False where it has no room for it."""
        ...

    def style(self, styles: Sequence[StyleShare]) -> StyleVector:
        """[any] Looks the styles up for the session's bundle and blends them; reads files.

        Raises:
            StyleNotFound: No style of that name.
        """
        ...


class SessionDirectory(Protocol):
    """Knows the sessions that run."""

    def running(self) -> Sequence[LiveSession]:
        """[any] Those that are open, in the order of their opening."""
        ...


class StyleList(Protocol):
    """Knows the styles."""

    def listings(self) -> Sequence[StyleListing]:
        """[any] Every style, by name, temporary ones last; reads files."""
        ...
