"""Opens sessions: a bundle from the catalog, a style for it, a worker on the scheduler, within the number of slots."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol, cast

from deepmusic.app.recorder import Recorder
from deepmusic.audio import AudioFormat
from deepmusic.errors import BundleInvalid, NoCapacity, ShuttingDown
from deepmusic.model.catalog import BundleCatalog, LoadedBundle
from deepmusic.model.scheduler import StepScheduler
from deepmusic.model.style_share import StyleShare, brought_to_one
from deepmusic.model.style_vector import StyleVector, blend
from deepmusic.session.asked import AskedValues
from deepmusic.session.config import SessionConfig, model_facts
from deepmusic.session.events import ChangeStyle, Control, InEvent, OutEvent
from deepmusic.session.session import Session
from deepmusic.session.stats import SessionStats
from deepmusic.session.worker import SessionWorker
from deepmusic.transports.rpc.ports import Emit, Emitted, SessionFacts
from deepmusic.transports.wire.messages import StreamConfig

RETRY_AFTER_S = 1.0
"""When to try again for a slot."""


class VectorSource(Protocol):
    """Where style vectors come from."""

    def vector(self, name: str, bundle: LoadedBundle) -> StyleVector:
        """[any] The style of that name in the bundle's space; reads files, and learns it anew where need be.

        Raises:
            StyleNotFound: There is none of that name.
        """
        ...


class Sessions:
    """Opens sessions and counts them. Safe from any thread.

    Args:
        catalog: Finds and loads bundles.
        scheduler: Runs model steps.
        styles: Where vectors come from.
        default_bundle: Name of the bundle of streams that name none.
        max_sessions: Sessions at a time.
        recorder: Records every session; ``None`` for none.
    """

    def __init__(
        self,
        catalog: BundleCatalog,
        scheduler: StepScheduler,
        styles: VectorSource,
        *,
        default_bundle: str,
        max_sessions: int,
        recorder: Recorder | None = None,
    ) -> None:
        self._catalog = catalog
        self._scheduler = scheduler
        self._styles = styles
        self._default_bundle = default_bundle
        self._max_sessions = max_sessions
        self._recorder = recorder
        self._lock = threading.Lock()
        self._running: dict[OpenSession, None] = {}  # a set that keeps the order of opening
        self._n_opening = 0
        self._is_closed = False

    @property
    def n_open(self) -> int:
        """[any] Slots in use."""
        with self._lock:
            return len(self._running) + self._n_opening

    def open(
        self, config: StreamConfig, *, max_block_samples: int, emit: Emit, style: StyleVector | None = None
    ) -> OpenSession:
        """[any] Opens a session; see ``SessionOpener``.

        It begins with ``style``, a vector in the space of the config's bundle; ``None`` looks the config's styles up.
        """
        self._take_slot()
        session: OpenSession | None = None
        try:
            session = self._open(config, max_block_samples, emit, style)
            return session
        finally:
            with self._lock:
                self._n_opening -= 1
                if session is not None:
                    self._running[session] = None

    def running(self) -> tuple[OpenSession, ...]:
        """[any] The sessions that are open, in the order of their opening."""
        with self._lock:
            return tuple(self._running)

    def close(self, timeout_s: float) -> None:
        """[any] Opens no more, ends all sessions, and waits a little for their threads."""
        with self._lock:
            self._is_closed = True
            running = tuple(self._running)
        for session in running:
            session.close()
        for session in running:
            session.join(timeout_s)

    def _take_slot(self) -> None:
        with self._lock:
            if self._is_closed:
                raise ShuttingDown("the server stops and opens no more sessions; try another, or this one later")
            if len(self._running) + self._n_opening >= self._max_sessions:
                raise NoCapacity(
                    f"all {self._max_sessions} sessions of this server are in use; try again when one has ended",
                    retry_after_s=RETRY_AFTER_S,
                )
            self._n_opening += 1

    def _open(self, config: StreamConfig, max_block_samples: int, emit: Emit, style: StyleVector | None) -> OpenSession:
        loaded = self._catalog.get(config.bundle or self._default_bundle, wait=False)
        name = loaded.bundle.manifest.name
        if config.bundle_digest and config.bundle_digest != loaded.bundle.digest:
            raise BundleInvalid(
                f"expected bundle {name!r} with digest {config.bundle_digest[:64]!r}, this server has "
                f"{loaded.bundle.digest}; leave the digest out, or install that version",
                resource=name,
            )
        vector = self._blend(config.styles, loaded) if style is None else style
        facts = model_facts(loaded.transfer)
        facts.held()  # asked here, on the first stream of a bundle, and not when one that plays is frozen
        session = Session(
            SessionConfig(
                audio_format=config.audio_format,
                settings=config.settings,
                max_block_samples=max_block_samples,
                noise_seed=config.noise_seed,
                statistics=config.statistics,
            ),
            facts,
            vector,
        )
        rate_hz = config.audio_format.sample_rate_hz
        step_samples = session.segment_samples
        deadline_s = None if config.deadline_samples is None else (config.deadline_samples or step_samples) / rate_hz
        tape = self._recorder and self._recorder.open(
            config, loaded, vector, latency_samples=session.latency_samples, step_samples=step_samples
        )
        # A worker keeps requests for steps to itself; what is left is for the transport.
        worker = SessionWorker(
            session, self._scheduler, lambda event: emit(_emitted(event)), deadline_s=deadline_s, tape=tape
        )
        session_facts = SessionFacts(
            bundle=name,
            bundle_digest=loaded.bundle.digest,
            latency_samples=session.latency_samples,
            step_samples=step_samples,
            provider=loaded.transfer.provider,
            precision=loaded.transfer.precision,
            requested_device=loaded.transfer.requested_device,
        )
        worker.start()
        return OpenSession(
            worker,
            session_facts,
            config,
            AskedValues(config.settings, vector.name, vector.shares),
            find_style=lambda shares: self._blend(shares, loaded),
            on_close=self._free,
        )

    def _blend(self, shares: Sequence[StyleShare], loaded: LoadedBundle) -> StyleVector:
        vector = blend((self._styles.vector(share.name, loaded), share.weight) for share in shares)
        return replace(vector, shares=brought_to_one(shares))

    def _free(self, session: OpenSession) -> None:
        with self._lock:
            self._running.pop(session, None)


class OpenSession:
    """A session on its thread: for its own stream a ``RunningSession``, for OSC a ``LiveSession``."""

    def __init__(
        self,
        worker: SessionWorker,
        facts: SessionFacts,
        config: StreamConfig,
        asked: AskedValues,
        *,
        find_style: Callable[[Sequence[StyleShare]], StyleVector],
        on_close: Callable[[OpenSession], None],
    ) -> None:
        self._worker = worker
        self._facts = facts
        self._config = config
        self._asked = asked
        self._find_style = find_style
        self._on_close = on_close

    @property
    def facts(self) -> SessionFacts:
        """[any] What is fixed for its life."""
        return self._facts

    @property
    def name(self) -> str:
        """[any] The stream's name."""
        return self._config.session_id

    @property
    def audio_format(self) -> AudioFormat:
        """[any] Rate and channels."""
        return self._config.audio_format

    @property
    def stats(self) -> SessionStats:
        """[any] Its counters as of now."""
        return self._worker.stats

    @property
    def values(self) -> Mapping[str, float | str]:
        """[loop] What it was last asked for, by parameter."""
        return self._asked.values

    @property
    def shares(self) -> tuple[tuple[str, float], ...]:
        """[loop] Names and weights of the styles that it was last asked for."""
        return self._asked.shares

    def post(self, event: InEvent) -> None:
        """[loop] Hands an event of its own stream in; never waits."""
        self._worker.post(event)
        self._asked.note(event)

    def offer(self, event: Control | ChangeStyle) -> bool:
        """[loop] Hands in a control of someone else; whether it was taken. Never waits."""
        is_taken = self._worker.offer(event)
        if is_taken:
            self._asked.note(event)
        return is_taken

    def position_at(self, at_s: float) -> int | None:
        """[any] The sample that comes in at a monotonic time; ``None`` where that cannot be told."""
        return self._worker.position_at(at_s)

    def style(self, styles: Sequence[StyleShare]) -> StyleVector:
        """[any] Looks the styles up for the session's bundle and blends them."""
        return self._find_style(styles)

    def close(self) -> None:
        """[any] Stops the worker and frees the slot, without waiting."""
        self._worker.stop(0.0)
        self._on_close(self)

    def join(self, timeout_s: float) -> None:
        """[any] Waits for the thread's end."""
        self._worker.join(timeout_s)


def _emitted(event: OutEvent) -> Emitted:
    return cast("Emitted", event)
