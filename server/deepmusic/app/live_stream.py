"""The stream of the sound card on an engine in this process; for OSC it is one stream, however often it begins anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from deepmusic.app.sessions import OpenSession, Sessions
from deepmusic.app.shelves import Styles
from deepmusic.audio import AudioFormat
from deepmusic.errors import DeviceUnavailable
from deepmusic.model.catalog import BundleCatalog, user_bundle_folder
from deepmusic.model.chosen_bundle import is_path, open_bundle
from deepmusic.model.providers import Device
from deepmusic.model.runtime import Precision
from deepmusic.model.scheduler import StepScheduler
from deepmusic.model.style_vector import StyleVector
from deepmusic.session.asked import AskedValues
from deepmusic.session.config import MAX_BLOCK_SAMPLES, Setting
from deepmusic.session.events import AudioIn, AudioOut, ChangeStyle, Control, Failure, Flush
from deepmusic.session.parameters import numeric_names
from deepmusic.session.stats import SessionStats
from deepmusic.styles.library import StyleLibrary
from deepmusic.transports.file.style_file import style_recording
from deepmusic.transports.osc.ports import LiveSession, StyleList
from deepmusic.transports.rpc.ports import Emitted, SessionFacts
from deepmusic.transports.wire.messages import StreamConfig, StyleShare

CLOSE_TIMEOUT_S = 2.0
"""Longest wait for a session's thread at the end; a step takes milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamWish:
    """What the stream is to be."""

    style: str
    """Name of a style in the library, or a recording to learn one from."""
    bundle: str
    """Name of the bundle, or its folder or zip."""
    settings: tuple[Setting, ...] = ()
    """First values of parameters."""
    name: str = "live"
    """Name of the stream."""


OnAudio = Callable[[AudioOut], None]
"""[worker] Takes a block of output."""


class LiveStream(Protocol):
    """An engine's stream, as the sound card and the terminal use it."""

    @property
    def styles(self) -> StyleList:
        """[any] The styles that it can change to."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """[any] What a person should know: why not the GPU, why not int8."""
        ...

    def running(self) -> Sequence[LiveSession]:
        """[any] For OSC: the stream, while there is one."""
        ...

    @property
    def facts(self) -> SessionFacts:
        """[any] What is fixed as long as the device stays the same."""
        ...

    @property
    def stats(self) -> SessionStats:
        """[any] Counters since the set began."""
        ...

    @property
    def values(self) -> Mapping[str, float | str]:
        """[loop] What it was last asked for, by parameter."""
        ...

    def open(self, audio_format: AudioFormat, deadline_samples: int) -> int:
        """[card] Begins, or begins anew with what it was last asked for; gives the latency in samples.

        Raises:
            DeepmusicError: The bundle or the style is not to be had, or the format is none.
        """
        ...

    def post(self, block: AudioIn) -> None:
        """[card] Takes a block; never waits and never fails: a stream that has ended begins anew."""
        ...

    def close(self) -> None:
        """[any] Ends."""
        ...


class LocalStream:
    """A session in this process, with all that it needs.

    Args:
        wish: What it is to be.
        on_audio: [worker] Takes what comes out.
        device: Where the model runs.
        precision: Which of the bundle's files runs.
        styles: Folder of the styles; ``None`` for the user's own.
    """

    def __init__(
        self,
        wish: StreamWish,
        on_audio: OnAudio,
        *,
        device: Device = "auto",
        precision: Precision = "auto",
        styles: Path | None = None,
    ) -> None:
        self._wish = wish
        self._on_audio = on_audio
        bundle, chosen = wish.bundle, None
        if is_path(bundle):
            chosen = Path(bundle)
            bundle = open_bundle(chosen).manifest.name
        self._catalog = BundleCatalog(user_bundle_folder(), chosen=chosen, device=device, precision=precision)
        self._scheduler = StepScheduler(1)
        self.styles = Styles(StyleLibrary(styles), lambda name: self._catalog.get(name or bundle))
        self._sessions = Sessions(
            self._catalog, self._scheduler, self.styles, default_bundle=bundle, max_sessions=2
        )  # two: the old one's thread may still be ending when the next one begins
        self._session: OpenSession | None = None
        self._facts: SessionFacts | None = None
        self._opened_for: tuple[AudioFormat, int] | None = None
        self._stats_before = SessionStats()
        self._asked = AskedValues(wish.settings, wish.style)
        self._has_failed = False
        try:
            loaded = self._catalog.get(bundle)
            self._bundle = loaded.bundle.manifest.name
            self._style = self._style_name(wish.style)
            # A name that is wrong is said before a device is opened, and one that is removed later plays on.
            self._vector = self.styles.vector(self._style, loaded)
        except BaseException:
            self._scheduler.stop()
            raise
        self.notes = tuple(n for n in (loaded.transfer.device_note, loaded.transfer.precision_note) if n)

    @property
    def name(self) -> str:
        """[any] Its name."""
        return self._wish.name

    @property
    def audio_format(self) -> AudioFormat:
        """[any] Rate and channels of the device."""
        assert self._opened_for is not None, "the stream is not open"
        return self._opened_for[0]

    @property
    def facts(self) -> SessionFacts:
        """[any] What is fixed as long as the device stays the same."""
        assert self._facts is not None, "the stream is not open"
        return self._facts

    @property
    def stats(self) -> SessionStats:
        """[any] Counters since the set began, over all its sessions."""
        now = SessionStats() if self._session is None else self._session.stats
        return _sum(self._stats_before, now)

    @property
    def values(self) -> Mapping[str, float | str]:
        """[loop] What it was last asked for, by parameter."""
        return self._asked.values

    @property
    def shares(self) -> tuple[tuple[str, float], ...]:
        """[loop] Names and weights of the styles that it was last asked for."""
        return self._asked.shares

    def running(self) -> tuple[LocalStream, ...]:
        """[any] For OSC: this stream, while there is one."""
        return () if self._session is None else (self,)

    def open(self, audio_format: AudioFormat, deadline_samples: int) -> int:
        """[card] Begins, or begins anew with what it was last asked for; gives the latency in samples."""
        wanted = (audio_format, deadline_samples)
        if self._session is not None and self._opened_for == wanted and not self._has_failed:
            self._session.post(Flush())  # what was inside when the device vanished is not played after it is back
            return self._session.facts.latency_samples
        self._end_session()
        values = self._asked.values
        config = StreamConfig(
            audio_format=audio_format,
            styles=(StyleShare(name=self._style),),
            bundle=self._bundle,
            session_id=self._wish.name,
            settings=tuple(Setting(name=name, value=float(values[name])) for name in numeric_names()),
            deadline_samples=deadline_samples,
        )
        self._has_failed = False
        session = self._sessions.open(config, max_block_samples=MAX_BLOCK_SAMPLES, emit=self._emit, style=self._vector)
        self._session, self._facts, self._opened_for = session, session.facts, wanted
        return session.facts.latency_samples

    def post(self, block: AudioIn) -> None:
        """[card] Takes a block; a stream that has failed begins anew."""
        assert self._opened_for is not None
        if self._has_failed:
            self.open(*self._opened_for)
        assert self._session is not None
        self._session.post(block)

    def position_at(self, at_s: float) -> int | None:
        """[any] The sample that comes in at a monotonic time; ``None`` where that cannot be told."""
        session = self._session
        return None if session is None else session.position_at(at_s)

    def offer(self, event: Control | ChangeStyle) -> bool:
        """[loop] Hands in a control; whether it was taken."""
        session = self._session
        is_taken = session is not None and session.offer(event)
        if is_taken:
            self._asked.note(event)
            if isinstance(event, ChangeStyle):
                self._vector = event.vector
        return is_taken

    def style(self, styles: Sequence[StyleShare]) -> StyleVector:
        """[any] Looks styles up and blends them.

        Raises:
            DeviceUnavailable: There is no session just now.
        """
        session = self._session
        if session is None:
            raise DeviceUnavailable("expected the sound card to play, it does not; try again when it is back")
        return session.style(styles)

    def close(self) -> None:
        """[any] Ends the session and all that was started for it."""
        self._end_session()
        self._sessions.close(CLOSE_TIMEOUT_S)
        self._scheduler.stop()

    def _end_session(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            self._stats_before = _sum(self._stats_before, session.stats)
            session.close()

    def _emit(self, event: Emitted) -> None:
        """[worker] Passes sound on; a session that has failed is replaced at the next block."""
        if isinstance(event, AudioOut):
            self._on_audio(event)
        elif isinstance(event, Failure):
            self._has_failed = True

    def _style_name(self, style: str) -> str:
        """The style's name in the library; that of a temporary one where a recording is meant."""
        recording = style_recording(style)
        return style if recording is None else self.styles.create("", *recording, bundle="", temporary=True).name


def _sum(first: SessionStats, second: SessionStats) -> SessionStats:
    fields = SessionStats.__dataclass_fields__
    return SessionStats(**{name: getattr(first, name) + getattr(second, name) for name in fields})
