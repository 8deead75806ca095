r"""The audio process: nothing but a device and its cycles, so that no work of ours is ever in their way.

::

    live process                          audio process
    spawns                      ------->  opens the device
              <- one line of JSON ------  what it is, or why it cannot be opened
    makes a session, fills rings
              -- a line on stdin ------>  runs it
              <- a record a cycle ------  ...
    closes stdin, or ends       ------->  closes the device, ends

In a process with other threads a Python callback waits for the interpreter's lock, up to 5 ms; here there is no other
thread that runs. The garbage collector is off: a cycle makes no garbage that needs one.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from deepmusic.errors import DeepmusicError
from deepmusic.transports.soundcard.choice import opener_of
from deepmusic.transports.soundcard.cycle import Cycle
from deepmusic.transports.soundcard.device import DeviceWish
from deepmusic.transports.soundcard.exchange import Exchange, Port
from deepmusic.transports.soundcard.priority import AUDIO_PRIORITY, take_realtime
from deepmusic.transports.soundcard.rings import Rings, Word


def main() -> int:
    """Runs the device that the first argument names, in JSON, over the rings at the second."""
    wish = DeviceWish(**json.loads(sys.argv[1]))
    rings = Rings(Path(sys.argv[2]))
    # Libraries write to stdout as they please; what belongs to us gets a way of its own.
    records = os.dup(1)
    os.dup2(2, 1)
    gone = threading.Event()
    try:
        device = opener_of(wish)(wish, gone.set)
    except DeepmusicError as error:
        _say(records, {"error": type(error).__name__, "message": error.message})
        return 1
    _say(records, asdict(device.facts))
    if not sys.stdin.readline():
        device.close()
        return 0
    if hasattr(os, "set_blocking"):  # not under Windows, where a reader that hangs for seconds would hold the device up
        os.set_blocking(records, False)
    exchange = Exchange(rings, device.facts.n_channels, device.facts.sample_rate_hz)

    def on_cycle(inputs: Sequence[Port], outputs: Sequence[Port]) -> None:
        began_ns = time.monotonic_ns()
        turn = exchange.turn(inputs, outputs)
        cycle = Cycle(
            first_sample=turn.first_sample,
            n_samples=turn.n_samples,
            is_starved=turn.is_starved,
            began_ns=began_ns,
            took_ns=time.monotonic_ns() - began_ns,
            n_xruns=rings[Word.XRUNS],
        )
        with contextlib.suppress(OSError):  # nobody reads: the stream will see a gap, and this goes on
            os.write(records, cycle.pack())

    gc.collect()
    gc.freeze()
    gc.disable()
    threading.Thread(target=_wait_for_end, args=(gone,), daemon=True).start()
    take_realtime(AUDIO_PRIORITY)  # not before all is loaded: another set may be playing
    try:
        device.start(on_cycle, rings)
        gone.wait()
    finally:
        device.close()
    return 0


def _wait_for_end(gone: threading.Event) -> None:
    sys.stdin.read()
    gone.set()


def _say(records: int, message: object) -> None:
    os.write(records, json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main())
