"""How a verb on an event loop hears that it is to stop; ``interruption`` is for work without one."""

from __future__ import annotations

import asyncio
import contextlib
import signal

from deepmusic.cli.interruption import SIGNALS


def stop_on_signals(stopping: asyncio.Event) -> None:
    """[loop] Sets an event at SIGINT or SIGTERM from now on."""
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        try:
            loop.add_signal_handler(number, stopping.set)
        except NotImplementedError:  # Windows

            def stop(number: int, frame: object) -> None:
                loop.call_soon_threadsafe(stopping.set)

            signal.signal(number, stop)


def cancel_on_sigterm() -> None:
    """[loop] Cancels the task that calls this at SIGTERM, as ``asyncio.run`` does at Ctrl-C: it can tidy up."""
    task = asyncio.current_task()
    assert task is not None
    with contextlib.suppress(NotImplementedError):  # Windows, whose programs are ended without a word
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
