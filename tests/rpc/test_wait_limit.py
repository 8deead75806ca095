"""One timer for many waits: a wait that is too long ends, short ones go on for ever."""

from __future__ import annotations

import asyncio

import pytest

from deepmusic.transports.rpc.wait_limit import WaitLimit


class HandTurnedLoop(asyncio.SelectorEventLoop):
    """A loop whose clock jumps to the next timer instead of waiting for it."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def time(self) -> float:
        return self.now_s

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:
            self.now_s = max(self.now_s, self._scheduled[0].when())
        super()._run_once()


def run(coroutine) -> None:
    with asyncio.Runner(loop_factory=HandTurnedLoop) as runner:
        runner.run(coroutine)


def test_a_wait_ends_at_the_limit_to_the_second():
    async def scene() -> None:
        limit, loop = WaitLimit(5.0), asyncio.get_running_loop()
        with limit:
            await asyncio.sleep(3.0)
        with pytest.raises(TimeoutError), limit:
            await asyncio.Event().wait()
        assert loop.time() == pytest.approx(8.0)

    run(scene())


def test_short_waits_and_what_lies_between_them_never_end():
    async def scene() -> None:
        limit = WaitLimit(5.0)
        for _ in range(20):
            with limit:
                await asyncio.sleep(4.0)
            await asyncio.sleep(7.0)

    run(scene())


def test_a_cancellation_by_someone_else_stays_one():
    async def scene() -> None:
        limit = WaitLimit(5.0)

        async def wait() -> None:
            with limit:
                await asyncio.Event().wait()

        waiting = asyncio.create_task(wait())
        await asyncio.sleep(1.0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    run(scene())


def test_an_error_of_what_is_waited_for_comes_through():
    async def scene() -> None:
        with pytest.raises(KeyError), WaitLimit(5.0):
            raise KeyError

    run(scene())


def test_a_closed_limit_leaves_no_timer():
    async def scene() -> None:
        limit = WaitLimit(5.0)
        with limit:
            await asyncio.sleep(1.0)
        limit.close()
        assert not [timer for timer in asyncio.get_running_loop()._scheduled if not timer.cancelled()]

    run(scene())
