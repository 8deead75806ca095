"""True peak: how high the signal goes between its samples.

ITU-R BS.1770-4, annex 2: four-fold oversampling by the polyphase filter given there (48 taps, 12 a phase), then the
largest magnitude. At 88.2 and 96 kHz every other phase gives two-fold oversampling, above that the samples are enough.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from deepmusic.audio import Audio

_PHASE_0 = (
    0.0017089843750,
    0.0109863281250,
    -0.0196533203125,
    0.0332031250000,
    -0.0594482421875,
    0.1373291015625,
    0.9721679687500,
    -0.1022949218750,
    0.0476074218750,
    -0.0266113281250,
    0.0148925781250,
    -0.0083007812500,
)
_PHASE_1 = (
    -0.0291748046875,
    0.0292968750000,
    -0.0517578125000,
    0.0891113281250,
    -0.1665039062500,
    0.4650878906250,
    0.7797851562500,
    -0.2003173828125,
    0.1015625000000,
    -0.0582275390625,
    0.0330810546875,
    -0.0189208984375,
)
_PHASES = (_PHASE_0, _PHASE_1, _PHASE_1[::-1], _PHASE_0[::-1])  # BS.1770-4 annex 2, table
_TAPS = np.array([phase[::-1] for phase in _PHASES], np.float32)  # (phase, tap), oldest sample first
_PIECE_COLUMNS = 4096
_TILE = 64
# Columns of one matrix product, and what they are padded to: large products and the edges of a matrix take
# other code in BLAS, which rounds differently, and a reading must not depend on the block it came in.

N_TAPS = len(_PHASE_0)
"""Taps of a phase, and so the samples that one reading looks at."""

DELAY_SAMPLES = 6
"""A reading belongs to the gap between 6 and 5 samples ago."""

MAX_OVERSHOOT = float(max(np.abs(phase).sum() for phase in np.array(_PHASES)))
"""The largest reading for samples of magnitude 1: twice as high, 6.1 dB."""

_FACTORS = ((50_000, 4), (100_000, 2))


def oversampling_factor(sample_rate_hz: int) -> int:
    """4 up to 50 kHz, 2 up to 100 kHz, 1 above."""
    return next((factor for limit, factor in _FACTORS if sample_rate_hz <= limit), 1)


def peak_readings(samples: Audio, factor: int) -> npt.NDArray[np.float32]:
    """The largest magnitude over channels in and around every gap between samples.

    Args:
        samples: ``(channels, N_TAPS - 1 + n)``: the new samples and as many before them as a reading looks at.
        factor: Oversampling, 4, 2 or 1.

    Returns:
        float32 ``(n,)``: reading i looks at samples ``i .. i + N_TAPS - 1``, holds the oversampled values between
        samples ``i + 5`` and ``i + 6``, and the magnitude of ``i + 6``.
    """
    n_readings = samples.shape[1] - N_TAPS + 1
    at = N_TAPS - DELAY_SAMPLES
    readings = np.abs(samples[:, at : at + n_readings]).max(axis=0)
    if factor == 1:
        return readings
    n_piece = max(_TILE, _PIECE_COLUMNS // samples.shape[0])
    for first in range(0, n_readings, n_piece):
        piece = readings[first : first + n_piece]
        between = _oversampled_peak(samples[:, first : first + len(piece) + N_TAPS - 1], _TAPS[:: 4 // factor])
        np.maximum(piece, between, out=piece)
    return readings


def true_peak(audio: Audio, sample_rate_hz: int) -> float:
    """Largest true peak over all channels, linear; 0 for silence or no samples.

    Args:
        audio: ``(channels, samples)``.
        sample_rate_hz: Its rate, which chooses the oversampling.
    """
    if not audio.size:
        return 0.0
    padded = np.pad(audio, ((0, 0), (N_TAPS, N_TAPS)))
    return float(peak_readings(padded, oversampling_factor(sample_rate_hz)).max())


def true_peak_dbtp(audio: Audio, sample_rate_hz: int) -> float:
    """``true_peak`` in dBTP, decibels over full scale; minus infinity for silence."""
    peak = true_peak(audio, sample_rate_hz)
    return 20.0 * float(np.log10(peak)) if peak > 0.0 else -float("inf")


def _oversampled_peak(samples: Audio, taps: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Largest magnitude over channels and phases, ``(n,)`` of ``(channels, N_TAPS - 1 + n)``."""
    n_channels, n_readings = samples.shape[0], samples.shape[1] - N_TAPS + 1
    n_columns = -(-n_readings // _TILE) * _TILE
    shifted = np.zeros((N_TAPS, n_channels, n_columns), np.float32)
    for tap in range(N_TAPS):
        shifted[tap, :, :n_readings] = samples[:, tap : tap + n_readings]
    oversampled = taps @ shifted.reshape(N_TAPS, -1)
    np.abs(oversampled, out=oversampled)
    return oversampled.reshape(-1, n_columns).max(axis=0)[:n_readings]
