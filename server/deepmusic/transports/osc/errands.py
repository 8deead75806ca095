"""Commands that take a while, one after another: each is answered when it is done, and ``/sync`` waits among them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass

from deepmusic.errors import NoCapacity
from deepmusic.transports.osc.answers import ReturnPath
from deepmusic.transports.osc.counters import Count, Counters

MAX_ERRANDS = 64
"""Errands that wait, all senders together; one more is answered by ``/fail``."""

Errand = Callable[[], Awaitable[None]]
"""[loop] Does one thing; what is slow in it runs on a thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    command: str
    path: ReturnPath
    errand: Errand


class Errands:
    """A queue of errands. All methods are [loop].

    Args:
        counters: Counts what fails or finds no room.
    """

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._waiting: dict[Hashable, _Waiting] = {}  # in order; bounded by MAX_ERRANDS
        self._filled = asyncio.Event()

    def check_room(self) -> None:
        """For a command that changes something before it is queued.

        Raises:
            NoCapacity: Too many wait.
        """
        if len(self._waiting) >= MAX_ERRANDS:
            self._counters.add(Count.BUSY)
            raise NoCapacity(f"expected at most {MAX_ERRANDS} commands to wait, got more; wait for /done")

    def put(self, command: str, path: ReturnPath, errand: Errand, *, instead_of: Hashable = None) -> None:
        """Queues an errand.

        Args:
            command: Its address, for the answer where it fails.
            path: To who asked.
            errand: What to do.
            instead_of: What waits under the same name is given up for this one, which takes its place: of a pad that is
                moved faster than styles can be looked up, the last position counts, and is answered.

        Raises:
            NoCapacity: Too many wait.
        """
        name = instead_of if instead_of is not None else object()
        if name not in self._waiting:
            self.check_room()
        self._waiting[name] = _Waiting(command=command, path=path, errand=errand)
        self._filled.set()

    async def run(self) -> None:
        """Does them in order, for ever."""
        while True:
            await self._filled.wait()
            while self._waiting:
                await self._do(self._waiting.pop(next(iter(self._waiting))))
            self._filled.clear()

    async def _do(self, waiting: _Waiting) -> None:
        try:
            await waiting.errand()
        except Exception as error:
            waiting.path.refuse(waiting.command, error)
