"""A change of style whose styles take long to be found: the stream goes on meanwhile, and nothing is mixed up."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deepmusic.audio import Audio
from deepmusic.model.style_vector import StyleVector
from deepmusic.session.events import AudioFlag
from deepmusic.transports.rpc.client import RpcClient, StyledAudio, TransferCall
from deepmusic.transports.rpc.ports import Emit, RunningSession, SessionOpener
from deepmusic.transports.rpc.style_lookups import MAX_LOOKUPS
from deepmusic.transports.wire.messages import EventKind, StreamConfig, StreamEvent, StyleShare
from tests.rpc.serving import config, listen, noise, play, serving
from tests.support.bundles import style_gain_bundle

BLOCK_SAMPLES = 4800


class SlowLibrary:
    """Opens sessions that find the style named faint only once they may."""

    def __init__(self, inner: SessionOpener) -> None:
        self._inner = inner
        self.may_find = threading.Event()

    def open(self, config: StreamConfig, *, max_block_samples: int, emit: Emit) -> RunningSession:
        return SlowSession(self._inner.open(config, max_block_samples=max_block_samples, emit=emit), self.may_find)  # type: ignore[return-value]


class SlowSession:
    def __init__(self, session: RunningSession, may_find: threading.Event) -> None:
        self._session = session
        self._may_find = may_find

    def style(self, styles: Sequence[StyleShare]) -> StyleVector:
        if styles[0].name == "faint":
            assert self._may_find.wait(20)
        return self._session.style(styles)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


@contextlib.asynccontextmanager
async def with_a_slow_library(folder: Path, stream: StreamConfig) -> AsyncIterator[tuple[TransferCall, SlowLibrary]]:
    libraries: list[SlowLibrary] = []

    def slow(inner: SessionOpener) -> SlowLibrary:
        libraries.append(SlowLibrary(inner))
        return libraries[0]

    bundles = {"style-gain": style_gain_bundle}
    async with (
        serving(folder, bundles, default="style-gain", opener_around=slow) as server,
        RpcClient(server.address) as client,
        client.transfer(stream) as call,
    ):
        try:
            yield call, libraries[0]
        finally:
            libraries[0].may_find.set()


async def next_audio(answers: AsyncIterator[object]) -> Audio:
    while True:
        answer = await anext(answers)
        if isinstance(answer, StyledAudio):
            return answer.block


LIVE = config(deadline_samples=20 * 48000)


async def test_a_live_stream_goes_on_while_a_style_is_looked_for(tmp_path: Path):
    async with with_a_slow_library(tmp_path, LIVE) as (call, library), asyncio.timeout(20):
        answers = aiter(call)
        await call.change_style("faint")
        for start in range(0, 4 * BLOCK_SAMPLES, BLOCK_SAMPLES):
            await call.send(noise(BLOCK_SAMPLES, seed=start))
            await next_audio(answers)
        library.may_find.set()
        await call.finish()
        rest = [answer async for answer in answers]
    assert EventKind.STYLE_CHANGED in [answer.kind for answer in rest if isinstance(answer, StreamEvent)]


async def test_a_style_that_is_found_at_once_waits_for_none_that_is_asked_for_later(tmp_path: Path):
    async with with_a_slow_library(tmp_path, LIVE) as (call, library), asyncio.timeout(20):
        answers = aiter(call)
        await call.change_style("faint", fade_samples=240)
        await call.change_style("quiet", fade_samples=240)
        await call.send(noise(BLOCK_SAMPLES))
        await next_audio(answers)
        library.may_find.set()
        await play(call, noise(48000), BLOCK_SAMPLES)
        events = [answer async for answer in answers if isinstance(answer, StreamEvent)]
    assert [event.name for event in events if event.kind is EventKind.STYLE_CHANGED][-1] == "quiet"


async def test_a_fast_stream_waits_so_that_a_change_keeps_its_sample(tmp_path: Path):
    async with with_a_slow_library(tmp_path, config()) as (call, library), asyncio.TaskGroup() as tasks:
        hearing = tasks.create_task(listen(call))
        await call.change_style("faint", at_sample=0, fade_samples=240)
        sending = tasks.create_task(play(call, noise(20000)))
        await asyncio.sleep(0.05)
        library.may_find.set()
        await sending
    (changed,) = hearing.result().events
    assert (changed.kind, changed.at_sample) == (EventKind.STYLE_CHANGED, 0)


async def test_more_changes_than_can_wait_are_refused_with_an_event(tmp_path: Path):
    async with with_a_slow_library(tmp_path, LIVE) as (call, library), asyncio.TaskGroup() as tasks:
        hearing = tasks.create_task(listen(call))
        for _ in range(MAX_LOOKUPS + 2):
            await call.change_style("faint")
        await call.send(noise(BLOCK_SAMPLES))
        library.may_find.set()
        await call.finish()
    refused = [event for event in hearing.result().events if event.kind is EventKind.STYLE_REFUSED]
    assert len(refused) == 1
    assert "too many" in refused[0].message
    heard = [answer for answer in hearing.result().blocks if AudioFlag.TAIL not in answer.flags]
    assert np.isfinite(hearing.result().audio).all()
    assert len(heard) == 1
