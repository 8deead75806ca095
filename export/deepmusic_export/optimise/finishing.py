"""The finishing pass: exactly the content's loudness, and no true peak above -1 dBTP, as `remix` leaves its files."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deepmusic.audio import Audio
from deepmusic.dsp.finishing import CEILING_DBTP, MARGIN_DB, MAX_GAIN_DB, LimitedPass, clamped_db, gain_between_db
from deepmusic.dsp.loudness import integrated_loudness_lufs
from deepmusic.dsp.true_peak import true_peak_dbtp

#: Within this of the content's loudness it is right, LU.
TOLERANCE_LU = 0.05
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
    gain_db = gain_between_db(integrated_loudness_lufs(rendered, sample_rate_hz), content_lufs)
    for _ in range(MAX_PASSES):
        limited = LimitedPass(rendered, sample_rate_hz, gain_db, CEILING_DBTP - MARGIN_DB)
        audio = np.concatenate(list(limited), axis=1)
        loudness_lufs = integrated_loudness_lufs(audio, sample_rate_hz)
        error_lu = gain_between_db(loudness_lufs, content_lufs)
        # A gain beyond what the ceiling takes would only squash: what it took up to here is what remains missing.
        if abs(error_lu) <= TOLERANCE_LU or limited.taken_db > 0.0 or abs(gain_db) >= MAX_GAIN_DB:
            break
        gain_db = clamped_db(gain_db + error_lu)
    return Finished(
        audio=audio,
        loudness_lufs=loudness_lufs,
        true_peak_dbtp=true_peak_dbtp(audio, sample_rate_hz),
        ceiling_db=limited.taken_db,
    )
