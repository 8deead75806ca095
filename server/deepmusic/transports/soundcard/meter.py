"""How loud it is: the peak of each channel since somebody last looked."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from deepmusic.audio import Audio

FLOOR_DB = -120.0
"""What silence is shown as."""


class Meter:
    """Peaks of one signal. One thread adds, another reads; a block that falls between the two counts for the next look.

    Args:
        n_channels: Of the signal.
    """

    def __init__(self, n_channels: int) -> None:
        self._peaks: npt.NDArray[np.float32] = np.zeros(n_channels, np.float32)

    def add(self, block: Audio) -> None:
        """Takes a block of ``(channels, samples)``."""
        self._peaks = np.maximum(self._peaks, np.abs(block).max(axis=1))

    def read_db(self) -> tuple[float, ...]:
        """Peak of each channel in dB of full scale since the last look, ``FLOOR_DB`` at least."""
        peaks, self._peaks = self._peaks, np.zeros_like(self._peaks)
        floor = 10.0 ** (FLOOR_DB / 20.0)
        decibels: list[float] = (20.0 * np.log10(np.maximum(peaks.astype(np.float64), floor))).tolist()
        return tuple(decibels)
