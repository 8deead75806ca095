"""What finishing a recording is made of: the gain to another loudness, and one pass through gain and ceiling."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from deepmusic.audio import Audio
from deepmusic.dsp.levels import TruePeakCeiling
from deepmusic.dsp.windows import StftGeometry

CEILING_DBTP = -1.0
"""Highest true peak of a file: what broadcasters and streaming services ask for (EBU R 128 s2)."""

MARGIN_DB = 0.02
"""Room under the ceiling for the rounding of an encoding."""

MAX_GAIN_DB = 24.0
"""Largest gain up or down; beyond it there is only noise to be had."""

_BLOCK_SAMPLES = 16_384


class LimitedPass:
    """A recording through one gain and the true-peak ceiling, block by block and in place: iterate over it once.

    Args:
        audio: float32 ``(channels, samples)``; may lie on disk.
        sample_rate_hz: Its rate; any.
        gain_db: Gain before the ceiling, in dB.
        ceiling_dbtp: Highest true peak, in dBTP.
    """

    def __init__(self, audio: Audio, sample_rate_hz: int, gain_db: float, ceiling_dbtp: float) -> None:
        self._audio = audio
        self._gain = np.float32(10.0 ** (gain_db / 20.0))
        self._ceiling = TruePeakCeiling(StftGeometry.for_rate(sample_rate_hz), audio.shape[0], ceiling_dbtp)
        self.taken_db = 0.0
        """The most that the ceiling took from any moment so far, in dB."""

    def __iter__(self) -> Iterator[Audio]:
        """Blocks ``(channels, n)``, as many samples as the recording in all."""
        n_to_skip = self._ceiling.latency_samples
        for block in blocks_of(self._audio):
            limited = self._ceiling.process(np.ascontiguousarray(block * self._gain))
            self.taken_db = max(self.taken_db, self._ceiling.reduction_db)
            yield limited[:, n_to_skip:]
            n_to_skip = max(0, n_to_skip - limited.shape[1])
        tail = self._ceiling.flush()
        self.taken_db = max(self.taken_db, self._ceiling.reduction_db)
        yield tail[:, n_to_skip:]


def blocks_of(audio: Audio) -> Iterator[Audio]:
    """A recording in blocks of a third of a second at 48 kHz."""
    for first in range(0, audio.shape[1], _BLOCK_SAMPLES):
        yield audio[:, first : first + _BLOCK_SAMPLES]


def gain_between_db(from_lufs: float, to_lufs: float) -> float:
    """Gain in dB from one loudness to the other, within ``MAX_GAIN_DB``; none where one of them is silence."""
    if math.isinf(from_lufs) or math.isinf(to_lufs):
        return 0.0
    return clamped_db(to_lufs - from_lufs)


def clamped_db(gain_db: float) -> float:
    """The gain within ``MAX_GAIN_DB`` up and down."""
    return min(max(gain_db, -MAX_GAIN_DB), MAX_GAIN_DB)
