"""Real-time scheduling, where the system gives it: other programs then no longer decide when a cycle is worked on."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Generator

LIVE_PRIORITY = 3
"""Of the process with the model: below JACK's clients (5 under its own default of 10) and below the audio process."""

AUDIO_PRIORITY = 6
"""Of the audio process; JACK gives its clients' threads their own."""


def take_realtime(priority: int) -> bool:
    """Asks for real-time scheduling of all threads of this process and of those that they start; whether it was given.

    Under Linux it is given to root, and to those whom ``/etc/security/limits.conf`` allows an ``rtprio``. The kernel
    keeps 5 % of a core for others whatever a real-time thread does.
    """
    if not hasattr(os, "sched_setscheduler"):
        return False
    try:
        for thread in threading.enumerate():
            os.sched_setscheduler(thread.native_id or 0, os.SCHED_FIFO, os.sched_param(priority))
    except OSError:
        return False
    return True


@contextlib.contextmanager
def ordinary_scheduling() -> Generator[None]:
    """Schedules this thread as any program's while it is entered: a process that it starts meanwhile inherits that."""
    if not hasattr(os, "sched_getscheduler"):
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameters)
