"""The finishing pass: exactly the content's loudness, and no true peak above -1 dBTP, as `remix` leaves its files."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from deepmusic.audio import Audio
from deepmusic.dsp.levels import TruePeakCeiling
from deepmusic.dsp.loudness import integrated_loudness_lufs
from deepmusic.dsp.true_peak import true_peak_dbtp
from deepmusic.dsp.windows import StftGeometry

#: Highest true peak (EBU R 128 s2), and room under it for the rounding to 24 bits.
CEILING_DBTP, MARGIN_DB = -1.0, 0.02
#: Within this of the content's loudness it is right, LU.
TOLERANCE_LU = 0.05
#: Largest gain up or down; beyond it there is only noise to be had, dB.
MAX_GAIN_DB = 24.0
#: Gains that are tried: the ceiling takes loudness, so the first is not always enough.
MAX_PASSES = 6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Finished:
    """The result and what was measured on it."""

    audio: Audio
    """float32 (channels, samples)."""
    loudness_lufs: float
    """Integrated loudness; minus infinity for silence."""
    true_peak_dbtp: float
    """True peak."""
    ceiling_db: float
    """The most that the ceiling took from any moment."""


def finish(rendered: Audio, content: Audio, sample_rate_hz: int) -> Finished:
    """Brings a result to the loudness of its content, under the ceiling.

    Args:
        rendered: (channels, samples).
        content: The same shape.
        sample_rate_hz: Hz.
    """
    content_lufs = integrated_loudness_lufs(content, sample_rate_hz)
    gain_db = _gain_between(integrated_loudness_lufs(rendered, sample_rate_hz), content_lufs)
    for _ in range(MAX_PASSES):
        audio, ceiling_db = _limited(rendered * np.float32(10 ** (gain_db / 20)), sample_rate_hz)
        loudness_lufs = integrated_loudness_lufs(audio, sample_rate_hz)
        error_lu = _gain_between(loudness_lufs, content_lufs)
        # A gain beyond what the ceiling takes would only squash: what it took up to here is what remains missing.
        if abs(error_lu) <= TOLERANCE_LU or ceiling_db > 0.0 or abs(gain_db) >= MAX_GAIN_DB:
            break
        gain_db = float(np.clip(gain_db + error_lu, -MAX_GAIN_DB, MAX_GAIN_DB))
    return Finished(
        audio=audio,
        loudness_lufs=loudness_lufs,
        true_peak_dbtp=true_peak_dbtp(audio, sample_rate_hz),
        ceiling_db=ceiling_db,
    )


def _limited(audio: Audio, sample_rate_hz: int) -> tuple[Audio, float]:
    ceiling = TruePeakCeiling(StftGeometry.for_rate(sample_rate_hz), audio.shape[0], CEILING_DBTP - MARGIN_DB)
    n_samples, taken_db, blocks = audio.shape[1], 0.0, []
    for first in range(0, n_samples, sample_rate_hz):
        blocks.append(ceiling.process(np.ascontiguousarray(audio[:, first : first + sample_rate_hz])))
        taken_db = max(taken_db, ceiling.reduction_db)
    blocks.append(ceiling.flush())
    taken_db = max(taken_db, ceiling.reduction_db)
    return np.ascontiguousarray(np.concatenate(blocks, axis=1)[:, ceiling.latency_samples :]), taken_db


def _gain_between(from_lufs: float, to_lufs: float) -> float:
    """Gain in dB from one loudness to the other; none where one of them is silence."""
    if math.isinf(from_lufs) or math.isinf(to_lufs):
        return 0.0
    return float(np.clip(to_lufs - from_lufs, -MAX_GAIN_DB, MAX_GAIN_DB))
