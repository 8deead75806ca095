"""How a process that plays live is scheduled: ahead of others, and fair between its own threads."""

from __future__ import annotations

import sys

SWITCH_S = 0.0005
"""How long one of this process's threads may keep the others waiting for the interpreter; Python's own 5 ms are two
cycles of 128 samples at 48 kHz."""


def go_first() -> None:
    """Asks for real-time scheduling, and says where it is not given.

    Call it once everything is loaded: a process that loads at that priority holds up another set that plays already.
    """
    from deepmusic.transports.soundcard.priority import LIVE_PRIORITY, take_realtime

    sys.setswitchinterval(SWITCH_S)
    if not take_realtime(LIVE_PRIORITY):
        print("note: without real-time scheduling; docs/live.md says how to allow it", file=sys.stderr)
