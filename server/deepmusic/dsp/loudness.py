"""Loudness after ITU-R BS.1770-4: K-weighting, frame by frame for the stream, and integrated for whole recordings.

All channels have weight 1: which of them would be surrounds is not known here.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

import numpy as np
import numpy.typing as npt

from deepmusic.audio import Audio, Spectra
from deepmusic.dsp.gains import channel_power
from deepmusic.dsp.windows import StftGeometry, analysis_window, bin_frequencies_hz

LOUDNESS_OFFSET_DB = -0.691
"""What makes a sine of 997 Hz at full scale in one channel -3.01 LUFS (BS.1770-4)."""

_SEGMENT_HZ = 10  # gating blocks of 400 ms overlap by three quarters: they start every 100 ms
_SEGMENTS_A_BLOCK = 4
_ABSOLUTE_GATE_LUFS = -70.0
_RELATIVE_GATE_LU = -10.0
_RESPONSE_S = 0.17  # the high-pass has a double pole at 38 Hz and is down by 300 dB then


def k_weighting(frequencies_hz: npt.NDArray[np.floating], sample_rate_hz: int) -> npt.NDArray[np.complex128]:
    """The K-weighting of BS.1770-4: a shelf for the head, then a high-pass.

    The standard gives coefficients for 48 kHz; the filters behind them (as in libebur128) are evaluated at the given
    rate, and agree with the standard's at 48 kHz.

    Args:
        frequencies_hz: Where, in Hz.
        sample_rate_hz: Rate of the filters.

    Returns:
        The frequency response, complex128, of the shape of ``frequencies_hz``.
    """
    angle = (-2j * np.pi / sample_rate_hz) * np.asarray(frequencies_hz, np.complex128)
    unit_delay: npt.NDArray[np.complex128] = np.exp(angle)

    def second_order(numerator: tuple[float, float, float], k: float, q: float) -> npt.NDArray[np.complex128]:
        a0, a1, a2 = 1.0 + k / q + k * k, 2.0 * (k * k - 1.0), 1.0 - k / q + k * k
        b0, b1, b2 = numerator
        top: npt.NDArray[np.complex128] = b0 + unit_delay * (b1 + unit_delay * b2)
        return top / (a0 + unit_delay * (a1 + unit_delay * a2))

    k = float(np.tan(np.pi * 1681.974450955533 / sample_rate_hz))
    q = 0.7071752369554196
    high = float(10.0 ** (3.999843853973347 / 20.0))
    band = high**0.4996667741545416
    shelf = second_order((high + band * k / q + k * k, 2.0 * (k * k - high), high - band * k / q + k * k), k, q)
    k = float(np.tan(np.pi * 38.13547087602444 / sample_rate_hz))
    q = 0.5003270373238773
    scale = 1.0 + k / q + k * k  # the standard's numerator is (1, -2, 1) over a denominator that starts with 1
    return shelf * second_order((scale, -2.0 * scale, scale), k, q)


class KWeighting:
    """Loudness power of frames, straight from their spectra.

    Args:
        geometry: Sizes and rate of the spectra.
    """

    def __init__(self, geometry: StftGeometry) -> None:
        weight = np.abs(k_weighting(bin_frequencies_hz(geometry), geometry.sample_rate_hz)) ** 2
        weight[1:-1] *= 2.0  # a bin stands for its negative frequency too
        window_energy = np.square(analysis_window(geometry), dtype=np.float64).sum()
        weight /= geometry.n_fft * window_energy
        self._weight = weight.astype(np.float32)

    def frame_loudness_power(self, spectra: Spectra) -> npt.NDArray[np.float32]:
        """Mean square of the K-weighted frame, summed over channels as BS.1770-4 does (all channels with weight 1).

        Args:
            spectra: complex64 ``(channels, frames, bins)``, contiguous in its last axis.

        Returns:
            float32 ``(frames,)``; 0.5 for a full-scale sine at 1 kHz in one channel, within 0.7 dB.
        """
        return self.loudness_of_power(channel_power(spectra))

    def loudness_of_power(self, power: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """``frame_loudness_power`` where the power of the bins is known: ``channel_power``, ``(frames, bins)``."""
        return np.einsum("fb,b->f", power, self._weight, optimize=False)


def integrated_loudness_lufs(audio: Audio, sample_rate_hz: int) -> float:
    """Gated loudness of a whole recording.

    Args:
        audio: ``(channels, samples)``, any rate and length. What is shorter than one gating block of 400 ms is taken as
            one block, without gates.
        sample_rate_hz: Its rate.

    Returns:
        LUFS; minus infinity where nothing is above the absolute gate of -70 LUFS.
    """
    n_segments = audio.shape[1] * _SEGMENT_HZ // sample_rate_hz
    if n_segments < _SEGMENTS_A_BLOCK:
        power = _segment_energies(audio, sample_rate_hz, np.array([0, audio.shape[1]])).sum() / max(1, audio.shape[1])
        return _lufs(power)
    edges: npt.NDArray[np.int64] = np.arange(n_segments + 1, dtype=np.int64) * sample_rate_hz // _SEGMENT_HZ
    sums = np.cumsum(np.concatenate([[0.0], _segment_energies(audio, sample_rate_hz, edges)]))
    n_samples = edges[_SEGMENTS_A_BLOCK:] - edges[:-_SEGMENTS_A_BLOCK]
    powers: npt.NDArray[np.float64] = (sums[_SEGMENTS_A_BLOCK:] - sums[:-_SEGMENTS_A_BLOCK]) / n_samples
    powers = powers[powers > 10.0 ** ((_ABSOLUTE_GATE_LUFS - LOUDNESS_OFFSET_DB) / 10.0)]
    if not powers.size:
        return -float("inf")
    return _lufs(powers[powers > powers.mean() * 10.0 ** (_RELATIVE_GATE_LU / 10.0)].mean())


def _segment_energies(audio: Audio, sample_rate_hz: int, edges: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """K-weighted energy of every stretch between two edges, summed over channels, ``(len(edges) - 1,)``.

    Overlap-save with the impulse response of the weighting, in pieces: an hour of audio needs no more memory than ten
    seconds.
    """
    n_response = 1 << int(np.ceil(np.log2(_RESPONSE_S * sample_rate_hz)))
    n_fft = 8 * n_response
    n_new = n_fft - n_response
    frequencies = np.arange(n_fft // 2 + 1) * (sample_rate_hz / n_fft)
    response = k_weighting(frequencies, sample_rate_hz)
    energies = np.zeros(len(edges) - 1)
    stops: list[int] = edges.tolist()
    piece = np.zeros((audio.shape[0], n_fft))
    for first in range(0, int(edges[-1]), n_new):
        fresh = audio[:, first : min(first + n_new, int(edges[-1]))]
        piece[:, :n_response] = piece[:, n_new:]
        piece[:, n_response : n_response + fresh.shape[1]] = fresh
        piece[:, n_response + fresh.shape[1] :] = 0.0
        weighted = np.fft.irfft(np.fft.rfft(piece) * response)[:, n_response : n_response + fresh.shape[1]]
        segment = bisect_right(stops, first) - 1
        last = bisect_left(stops, first + fresh.shape[1])
        starts = np.maximum(edges[segment:last] - first, 0)
        power: npt.NDArray[np.float64] = np.square(weighted).sum(axis=0)
        energies[segment:last] += np.add.reduceat(power, starts)
    return energies


def _lufs(power: float) -> float:
    return LOUDNESS_OFFSET_DB + 10.0 * float(np.log10(power)) if power > 0.0 else -float("inf")
