"""What the bridge needs of the house; ``deepmusic.app`` gives it, tests give their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from deepmusic.audio import AudioFormat
from deepmusic.model.style_share import StyleShare
from deepmusic.model.style_vector import StyleVector
from deepmusic.session.events import AudioOut, ChangeStyle, Control, Failure, Held, InEvent, Notice, Summary
from deepmusic.session.stats import SessionStats
from deepmusic.transports.osc.gate import Peer
from deepmusic.transports.wire.listings import StyleListing
from deepmusic.transports.wire.messages import StreamConfig


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


Emitted = AudioOut | Notice | Held | Summary | Failure
"""What a session hands out to a transport."""

Emit = Callable[[Emitted], None]
"""[worker] Takes what a session hands out; returns soon."""


class OwnSession(Protocol):
    """A session that runs for a stream of audio over OSC."""

    @property
    def facts(self) -> LiveFacts:
        """[any] What is fixed for its life."""
        ...

    def post(self, event: InEvent) -> None:
        """[loop] Hands an event in; never waits.

        Raises:
            AudioTooFast: Too much is waiting already.
        """
        ...

    def close(self) -> None:
        """[any] Stops it and frees its slot, without waiting; what it has not handed out is lost."""
        ...


class Senders(Protocol):
    """Hears who sends audio over datagrams."""

    def sender_came(self, peer: Peer) -> None:
        """[loop] A peer has opened its first stream."""
        ...

    def sender_left(self, peer: Peer) -> None:
        """[loop] Its last one has ended."""
        ...


class SessionOpener(Protocol):
    """Opens sessions."""

    def open(self, config: StreamConfig, *, max_block_samples: int, emit: Emit) -> OwnSession:
        """[any] Opens a session; may take a while, since it may load a bundle.

        Raises:
            DeepmusicError: The bundle, a style or a parameter is not to be had, or the server is full.
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
