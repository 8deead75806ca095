"""Parameters that move with every block of a stream whose model is behind."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from deepmusic.audio import Audio
from deepmusic.model.scheduler import StepScheduler
from deepmusic.model.steps import OnDone, StepInput, StepModel
from deepmusic.transports.rpc.client import RpcClient, TransferCall
from deepmusic.transports.rpc.stream import MAX_UNANSWERED_BLOCKS
from tests.rpc.serving import config, listen, noise, serving
from tests.support.bundles import style_gain_bundle

BLOCK_SAMPLES = 16
"""The smallest that drivers have."""


class BusyScheduler:
    """Runs nothing until others leave it room."""

    def __init__(self, inner: StepScheduler) -> None:
        self._inner = inner
        self._lock = threading.Lock()
        self._waiting: list[tuple[StepModel, StepInput, float | None, OnDone]] | None = []

    def submit(self, model: StepModel, step: StepInput, deadline_s: float | None, on_done: OnDone) -> None:
        with self._lock:
            if self._waiting is not None:
                self._waiting.append((model, step, deadline_s, on_done))
                return
        self._inner.submit(model, step, deadline_s, on_done)

    def go_on(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting or [], None
        for job in waiting:
            self._inner.submit(*job)


async def test_a_control_with_every_block_that_a_fast_stream_has_under_way_is_taken(tmp_path: Path):
    busy: list[BusyScheduler] = []

    def around(inner: StepScheduler) -> BusyScheduler:
        busy.append(BusyScheduler(inner))
        return busy[0]

    audio = noise(3 * MAX_UNANSWERED_BLOCKS * BLOCK_SAMPLES // 2)
    async with (
        serving(tmp_path, {"style-gain": style_gain_bundle}, default="style-gain", scheduler_around=around) as server,
        RpcClient(server.address) as client,
        client.transfer(config()) as call,
        asyncio.TaskGroup() as tasks,
    ):
        hearing = tasks.create_task(listen(call))
        tasks.create_task(play_and_turn(call, audio))
        (session,) = server.sessions.running()
        await server.wait_until(lambda: session.stats.blocks_in > MAX_UNANSWERED_BLOCKS, timeout_s=20.0)
        busy[0].go_on()
    assert hearing.result().events == ()


async def play_and_turn(call: TransferCall, audio: Audio) -> None:
    for start in range(0, audio.shape[1], BLOCK_SAMPLES):
        await call.control("strength", start / audio.shape[1])
        await call.send(audio[:, start : start + BLOCK_SAMPLES])
    await call.finish()
