"""Changes of style on their way to a session: names that have to be looked up first, which may take long.

::

    reader --add--> waiting --run--> a thread looks it up --> session, in the order in which they were asked for

A style comes from a file in a millisecond, or is learned anew in seconds, or waits for threads that others keep busy. A
live stream's audio must not wait behind it: the reader goes on, and the change begins as soon as it can. A stream at
pace fast waits, so that the change keeps its sample.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import NoReturn

from deepmusic.errors import DeepmusicError
from deepmusic.session.events import ChangeStyle
from deepmusic.transports.rpc.ports import RunningSession
from deepmusic.transports.wire.messages import EventKind, StreamEvent, StyleControl

MAX_LOOKUPS = 64
"""Changes that may wait while another one is looked up; a further one is refused, and the client told."""

PATIENCE_S = 0.01
"""How long a live stream's audio waits for a change, half a step at 48 kHz: nearly all are found by then."""


class StyleLookups:
    """One stream's changes of style. All methods are [loop].

    Args:
        session: Whose styles they are.
        announce: Tells the client something.
        patience_s: How long ``add`` waits at most for what it takes; ``None``: until it is done.
    """

    def __init__(
        self, session: RunningSession, announce: Callable[[StreamEvent], None], patience_s: float | None
    ) -> None:
        self._session = session
        self._announce = announce
        self._patience_s = patience_s
        self._waiting: asyncio.Queue[StyleControl] = asyncio.Queue(MAX_LOOKUPS)
        self._n_unsettled = 0

    async def add(self, control: StyleControl) -> None:
        """Takes a change; while an earlier one is looked for, it is waited for no longer."""
        is_first = not self._n_unsettled
        try:
            self._waiting.put_nowait(control)
        except asyncio.QueueFull:
            self._refuse(control, "too many changes of style wait for their styles; this one is ignored")
            return
        self._n_unsettled += 1
        if self._patience_s is None:
            await self.settle()
        elif is_first:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._patience_s):
                    await self.settle()

    async def settle(self) -> None:
        """Waits until the session has every change that was taken."""
        await self._waiting.join()

    async def run(self) -> NoReturn:
        """Looks them up, until it is cancelled."""
        while True:
            await self._change(await self._waiting.get())
            self._n_unsettled -= 1
            self._waiting.task_done()

    async def _change(self, control: StyleControl) -> None:
        try:
            vector = await asyncio.to_thread(self._session.style, control.styles)
        except DeepmusicError as error:
            self._refuse(control, error.message)
            return
        self._session.post(ChangeStyle(vector=vector, at_sample=control.at_sample, fade_samples=control.fade_samples))

    def _refuse(self, control: StyleControl, why: str) -> None:
        names = ", ".join(share.name for share in control.styles)
        self._announce(StreamEvent(kind=EventKind.STYLE_REFUSED, message=why, name=names[:64]))
