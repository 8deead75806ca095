"""A sound card that is not there: cycles by the clock, with noise coming in. ``deepmusic check`` runs on it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np

from deepmusic.transports.soundcard.device import DeviceFacts, DeviceWish, OnCycle
from deepmusic.transports.soundcard.rings import Rings, Word

RATE_HZ = 48000
PERIOD_SAMPLES = 256
LEVEL = 0.1
"""Standard deviation of the noise, -20 dB of full scale: it keeps all bands of the model busy."""


class ClockDevice:
    """Paces cycles; a cycle that comes late is followed by the next ones at once, as a sound card's would be.

    Args:
        wish: Its rate, period and channels.
        on_gone: Never called: a clock does not vanish.
    """

    def __init__(self, wish: DeviceWish, on_gone: Callable[[], None]) -> None:
        self.facts = DeviceFacts(
            name="clock",
            sample_rate_hz=wish.sample_rate_hz or RATE_HZ,
            n_channels=wish.n_channels or 2,
            period_samples=wish.period_samples or PERIOD_SAMPLES,
            input="clock",
            output="clock",
        )
        self._is_closing = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, on_cycle: OnCycle, rings: Rings) -> None:
        """Begins to run."""
        self._thread = threading.Thread(target=self._run, args=(on_cycle, rings), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops."""
        self._is_closing.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, on_cycle: OnCycle, rings: Rings) -> None:
        facts = self.facts
        noise = LEVEL * np.random.default_rng(0).standard_normal((facts.n_channels, 8 * facts.period_samples))
        blocks = np.split(noise.astype(np.float32), 8, axis=1)
        outputs = list(np.zeros((facts.n_channels, facts.period_samples), np.float32))
        started_s = time.monotonic()
        n_cycles = 0
        while True:
            n_cycles += 1
            due_s = started_s + n_cycles * facts.period_samples / facts.sample_rate_hz
            if self._is_closing.wait(max(0.0, due_s - time.monotonic())):
                return
            rings[Word.XRUNS] += time.monotonic() - due_s > facts.period_samples / facts.sample_rate_hz
            on_cycle(list(blocks[n_cycles % 8]), outputs)
