"""Commands that take a while, one after another: each is answered when it is done, and ``/sync`` waits among them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from deepmusic.errors import DeepmusicError, NoCapacity
from deepmusic.transports.osc.answers import ReturnPath, fail
from deepmusic.transports.osc.counters import Count, Counters

MAX_ERRANDS = 64
"""Errands that wait, all senders together; one more is answered by ``/fail``."""

_log = logging.getLogger(__name__)

Errand = Callable[[], Awaitable[None]]
"""[loop] Does one thing; what is slow in it runs on a thread."""


class Errands:
    """A queue of errands. All methods are [loop].

    Args:
        counters: Counts what fails or finds no room.
    """

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._queue: asyncio.Queue[tuple[str, ReturnPath, Errand]] = asyncio.Queue(MAX_ERRANDS)

    def put(self, command: str, path: ReturnPath, errand: Errand) -> None:
        """Queues an errand.

        Args:
            command: Its address, for the answer where it fails.
            path: To who asked.
            errand: What to do.

        Raises:
            NoCapacity: Too many wait.
        """
        try:
            self._queue.put_nowait((command, path, errand))
        except asyncio.QueueFull:
            self._counters.add(Count.BUSY)
            raise NoCapacity(f"expected at most {MAX_ERRANDS} commands to wait, got more; wait for /done") from None

    async def run(self) -> None:
        """Does them in order, for ever."""
        while True:
            command, path, errand = await self._queue.get()
            try:
                await errand()
            except DeepmusicError as error:
                self._counters.add(Count.FAILED)
                path.send(fail(command, error.message))
            except Exception:
                _log.exception("an OSC command failed")
                self._counters.add(Count.FAILED)
                path.send(fail(command, "the command failed; the server's log has the cause"))
