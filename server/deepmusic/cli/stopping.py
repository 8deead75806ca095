"""How a verb on an event loop hears that it is to stop; ``interruption`` is for work without one."""

from __future__ import annotations

import asyncio
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
