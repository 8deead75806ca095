"""A real server on a free loopback port, with small real bundles, and styles that are only a gain."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepmusic.app.recorder import Recorder
from deepmusic.app.sessions import Sessions
from deepmusic.audio import Audio, AudioFormat
from deepmusic.errors import StyleExists, StyleNotFound
from deepmusic.model.catalog import BundleCatalog, CatalogEntry, LoadedBundle
from deepmusic.model.scheduler import StepScheduler
from deepmusic.model.style_vector import StyleVector
from deepmusic.session.config import SessionConfig, Setting
from deepmusic.session.offline import render
from deepmusic.transports.rpc.client import RpcClient, StyledAudio, TransferCall
from deepmusic.transports.rpc.server import RpcServer, TlsFiles
from deepmusic.transports.rpc.terms import StreamLimits
from deepmusic.transports.wire.listings import BundleListing, BundleState, StyleListing
from deepmusic.transports.wire.messages import StreamConfig, StreamEvent, StreamSummary, StyleShare
from tests.support.bundles import STYLE_SIZE

STYLE_GAINS_DB = {"plain": 0.0, "quiet": -6.0, "faint": -12.0}
"""Styles of the fake shelf: with the bundle ``style-gain``, value 0 of a style is the content's gain in dB."""


BUNDLE_DIGEST = "0123456789abcdef" * 4
"""Digest of the bundle that the fake shelf exports for."""


class GainStyles:
    """Styles by name that set one gain; what is created is a gain of -3 dB."""

    def __init__(self) -> None:
        self.gains_db = dict(STYLE_GAINS_DB)
        self.created: list[tuple[str, tuple[int, ...], int]] = []
        self.imported: list[tuple[StyleVector, str, bool]] = []

    def vector(self, name: str, bundle: LoadedBundle) -> StyleVector:
        if name not in self.gains_db:
            raise StyleNotFound(f"no style is named {name!r}", resource=name)
        values = np.zeros(bundle.bundle.manifest.style.size, np.float32)
        values[0] = self.gains_db[name]
        return StyleVector(values=values, bundle_digest=bundle.bundle.digest, name=name)

    def listings(self) -> list[StyleListing]:
        return [StyleListing(name=name) for name in sorted(self.gains_db)]

    def listing(self, name: str) -> StyleListing:
        if name not in self.gains_db:
            raise StyleNotFound(f"no style is named {name!r}", resource=name)
        return StyleListing(name=name)

    def create(self, name: str, audio: Audio, sample_rate_hz: int, *, bundle: str, temporary: bool) -> StyleListing:
        name = name or f"temporary-{len(self.created)}"
        if name in self.gains_db:
            raise StyleExists(f"a style is named {name!r} already", resource=name)
        self.created.append((name, audio.shape, sample_rate_hz))
        self.gains_db[name] = -3.0
        return StyleListing(name=name, temporary=temporary)

    def exported(self, name: str, *, bundle: str) -> StyleVector:
        self.listing(name)
        values = np.full(STYLE_SIZE, self.gains_db[name], np.float32)
        return StyleVector(values=values, bundle_digest=BUNDLE_DIGEST, name=name)

    def import_vector(self, vector: StyleVector, *, bundle: str, temporary: bool) -> StyleListing:
        self.imported.append((vector, bundle, temporary))
        self.gains_db[vector.name] = float(vector.values[0])
        return StyleListing(name=vector.name, temporary=temporary)

    def delete(self, name: str) -> None:
        self.listing(name)
        del self.gains_db[name]


class CatalogListings:
    """The catalog, listed."""

    def __init__(self, catalog: BundleCatalog, default: str) -> None:
        self._catalog = catalog
        self._default = default

    def listings(self) -> list[BundleListing]:
        return [self._listed(entry) for entry in self._catalog.entries()]

    def listing(self, name: str) -> BundleListing:
        return self._listed(self._catalog.entry(name or self._default))

    def _listed(self, entry: CatalogEntry) -> BundleListing:
        state = BundleState.INVALID if entry.refusal else BundleState.AVAILABLE
        return BundleListing(name=entry.name, state=state, problem=entry.refusal)


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """A server that runs."""

    address: str
    server: RpcServer
    sessions: Sessions
    catalog: BundleCatalog
    scheduler: StepScheduler
    styles: GainStyles

    async def wait_until(self, condition: Callable[[], bool], timeout_s: float = 5.0) -> float:
        """Polls until it is true; the seconds that took."""
        loop = asyncio.get_running_loop()
        start_s = loop.time()
        async with asyncio.timeout(timeout_s):
            while not condition():  # noqa: ASYNC110 (what is polled has no event, and it is a test)
                await asyncio.sleep(0.002)
        return loop.time() - start_s


@contextlib.asynccontextmanager
async def serving(
    folder: Path,
    bundles: Mapping[str, Callable[[Path], Path]],
    *,
    default: str,
    limits: StreamLimits | None = None,
    max_sessions: int = 8,
    tls: TlsFiles | None = None,
    with_reflection: bool = False,
    opener_around: Callable[[Sessions], object] | None = None,
    scheduler_around: Callable[[StepScheduler], object] | None = None,
    recorder: Recorder | None = None,
) -> AsyncIterator[Serving]:
    """Serves the bundles that the builders write."""
    for name, build in bundles.items():
        build(folder / name)
    catalog = BundleCatalog(folder, package_folder=folder / "none", device="cpu", probe=lambda bundle: None)
    scheduler = StepScheduler(1)
    styles = GainStyles()
    sessions = Sessions(
        catalog,
        scheduler if scheduler_around is None else scheduler_around(scheduler),  # type: ignore[arg-type]
        styles,
        default_bundle=default,
        max_sessions=max_sessions,
        recorder=recorder,
    )
    opener = opener_around(sessions) if opener_around is not None else sessions
    server = RpcServer(
        opener,  # type: ignore[arg-type]
        CatalogListings(catalog, default),
        styles,
        limits=limits,
        tls=tls,
        with_reflection=with_reflection,
    )
    port = await server.start("127.0.0.1:0")
    try:
        yield Serving(
            address=f"127.0.0.1:{port}",
            server=server,
            sessions=sessions,
            catalog=catalog,
            scheduler=scheduler,
            styles=styles,
        )
    finally:
        await server.stop(0.0)
        sessions.close(5.0)
        scheduler.stop()
        if recorder is not None:
            recorder.stop()


def config(
    *,
    rate_hz: int = 48000,
    n_channels: int = 2,
    style: str = "plain",
    bundle: str = "",
    deadline_samples: int | None = None,
    settings: tuple[Setting, ...] = (),
) -> StreamConfig:
    """A config, pacing fast unless a deadline is given."""
    return StreamConfig(
        audio_format=AudioFormat(sample_rate_hz=rate_hz, n_channels=n_channels),
        styles=(StyleShare(name=style),),
        bundle=bundle,
        deadline_samples=deadline_samples,
        settings=settings,
    )


def noise(n_samples: int, n_channels: int = 2, seed: int = 1) -> Audio:
    """Noise at -20 dBFS."""
    return (0.1 * np.random.default_rng(seed).standard_normal((n_channels, n_samples))).astype(np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """Everything that came back from a stream."""

    blocks: tuple[StyledAudio, ...]
    events: tuple[StreamEvent, ...]
    summary: StreamSummary | None

    @property
    def audio(self) -> Audio:
        return np.concatenate([answer.block for answer in self.blocks], axis=1)


async def listen(call: TransferCall) -> Heard:
    """Reads a stream to its end."""
    blocks: list[StyledAudio] = []
    events: list[StreamEvent] = []
    summary: StreamSummary | None = None
    async for answer in call:
        if isinstance(answer, StyledAudio):
            blocks.append(answer)
        elif isinstance(answer, StreamEvent):
            events.append(answer)
        else:
            summary = answer
    return Heard(blocks=tuple(blocks), events=tuple(events), summary=summary)


async def play(call: TransferCall, audio: Audio, block_samples: int = 480) -> None:
    """Sends a recording in blocks, then ``finish``."""
    for start in range(0, audio.shape[1], block_samples):
        await call.send(audio[:, start : start + block_samples])
    await call.finish()


async def through(
    client: RpcClient, stream_config: StreamConfig, audio: Audio, block_samples: int = 480
) -> tuple[TransferCall, Heard]:
    """A recording through a stream, all of it."""
    async with client.transfer(stream_config) as call, asyncio.TaskGroup() as tasks:
        hearing = tasks.create_task(listen(call))
        tasks.create_task(play(call, audio, block_samples))
    return call, hearing.result()


def rendered(server: Serving, stream_config: StreamConfig, audio: Audio) -> Audio:
    """The same samples through the same bundle and style, without a stream."""
    loaded = server.catalog.get(stream_config.bundle)
    session_config = SessionConfig(audio_format=stream_config.audio_format, settings=stream_config.settings)
    return render(session_config, loaded.transfer, server.styles.vector(stream_config.styles[0].name, loaded), audio)
