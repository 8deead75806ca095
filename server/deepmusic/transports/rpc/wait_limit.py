"""A limit on waits that come by the hundred and are nearly always short.

``asyncio.timeout`` makes a timer a wait: two for every block of a stream, a sixth of the loop's work. Here one timer
serves all waits of a kind; it rings once a limit at most, and looks whether the wait that it finds is too old::

    wait    |-|  |--|   |-|      |---------------------> TimeoutError
    timer   |------- limit ------|- what is left ------|
"""

from __future__ import annotations

import asyncio
from types import TracebackType


class WaitLimit:
    """A context for one wait at a time, all in one task. All methods are [loop].

    Args:
        limit_s: Longest wait, in seconds.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._began_s = 0.0
        self._is_over = False
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        """Begins a wait."""
        self._task = asyncio.current_task()
        self._began_s = self._loop.time()
        if self._timer is None:
            self._set_timer()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends it.

        Raises:
            TimeoutError: It took longer than the limit.
        """
        task, self._task = self._task, None
        if self._is_over and task is not None:
            self._is_over = False
            # As asyncio.timeout does: a cancellation that somebody else asked for as well goes on as one.
            if task.uncancel() == 0 and kind is asyncio.CancelledError:
                raise TimeoutError from error

    def close(self) -> None:
        """No wait will come any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self) -> None:
        self._timer = self._loop.call_at(self._began_s + self._limit_s, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._task is None:
            return
        if self._loop.time() < self._began_s + self._limit_s:
            self._set_timer()
        else:
            self._is_over = True
            self._task.cancel()
