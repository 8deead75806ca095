"""Instruments that lie between two others, and equalisers: more sounds than a corpus was rendered with.

All patches of a group play the same scores, so their spectra lie on the same harmonics at the same times. A mixture of
the logarithms of two of them, with a weight that changes over frequency, is the spectrum of a third instrument that no
SoundFont has. A network that hears mostly such ones has to listen to its style: what it remembers of the patches does
not help.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deepmusic.dsp.gains import BandLayout, interpolation_matrix
from deepmusic.dsp.windows import StftGeometry

#: Frames of audio that a sample lies in; they are as long as those of the runtime's analysis.
OVERLAP = 4
#: What is softer than this, in dBFS, counts as this soft: clips lie at -20 dBFS.
FLOOR_DBFS = -100.0
#: A bin is raised and lowered by the other instrument by this much at most, dB.
MOST_GAIN_DB = 40.0
#: Deviation of an equaliser's curve, dB, and its points, equally spaced on the mel scale.
EQ_DEVIATION_DB, EQ_POINTS = 6.0, 10
#: The other instrument's share: its mean over frequency, the deviation of its curve, its points and its limits.
MEAN_WEIGHT, WEIGHT_DEVIATION, WEIGHT_POINTS, WEIGHT_LIMITS = (0.1, 0.7), 0.5, 6, (-0.15, 0.9)


@dataclass(frozen=True, slots=True)
class Hybrid:
    """What turns one instrument into another, for every score alike."""

    other: int | None
    """The patch that is mixed in; None for none."""
    weight: np.ndarray
    """Its share at WEIGHT_POINTS: at 0 the instrument stays what it is, at 1 it is the other one."""
    eq_db: np.ndarray | None
    """Gain in dB at EQ_POINTS; None for none."""

    def of_audio(self, one: np.ndarray, two: np.ndarray | None, sample_rate_hz: int) -> np.ndarray:
        """The hybrid's audio, with the phases of the first instrument.

        Args:
            one: The instrument, float32 (samples,).
            two: `other` playing the same, of the same length; None where there is no other.
            sample_rate_hz: Rate of both.
        """
        geometry = StftGeometry.for_rate(sample_rate_hz)
        other = None if two is None else torch.from_numpy(two)[None]
        eq_db = None if self.eq_db is None else over_bins(self.eq_db, geometry)[None]
        return mixed(torch.from_numpy(one)[None], other, over_bins(self.weight, geometry)[None], eq_db)[0].numpy()

    def of_levels(self, one: np.ndarray, two: np.ndarray | None) -> np.ndarray:
        """The same of band levels in dB (frames, bands), bands equally spaced on the mel scale."""
        out = one
        if two is not None:
            difference_db = np.maximum(two, FLOOR_DBFS) - np.maximum(one, FLOOR_DBFS)
            gain_db = _over_bands(self.weight, one.shape[1]) * difference_db
            out = out + np.clip(gain_db, -MOST_GAIN_DB, MOST_GAIN_DB)
        if self.eq_db is not None:
            out = out + _over_bands(self.eq_db, one.shape[1])
        return out


def random_hybrid(rng: np.random.Generator, others: np.ndarray, hybrid_share: float, eq_share: float) -> Hybrid | None:
    """Draws a hybrid, an equaliser or both.

    Args:
        rng: Source of randomness.
        others: Patches that may be mixed in.
        hybrid_share: How often one is, 0 to 1.
        eq_share: How often there is an equaliser, 0 to 1.

    Returns:
        None where the instrument stays what it is.
    """
    is_mixed, has_eq = len(others) > 0 and rng.random() < hybrid_share, rng.random() < eq_share
    if not is_mixed and not has_eq:
        return None
    weight = rng.uniform(*MEAN_WEIGHT) + _walk(rng, WEIGHT_POINTS, WEIGHT_DEVIATION)
    return Hybrid(
        int(rng.choice(others)) if is_mixed else None,
        np.clip(weight, *WEIGHT_LIMITS),
        _walk(rng, EQ_POINTS, EQ_DEVIATION_DB) if has_eq else None,
    )


def random_eq(rng: np.random.Generator, n_bands: int) -> np.ndarray:
    """The curve of an equaliser in dB, float32 (bands,)."""
    return _over_bands(_walk(rng, EQ_POINTS, EQ_DEVIATION_DB), n_bands)


def _walk(rng: np.random.Generator, n_points: int, deviation: float) -> np.ndarray:
    """A random walk less its mean, whose steps have half the deviation."""
    points = np.cumsum(rng.normal(0.0, deviation / 2, n_points))
    return points - points.mean()


def mixed(one: Tensor, two: Tensor | None, weight: Tensor, eq_db: Tensor | None) -> Tensor:
    """Instruments between `one` and `two`, equalised, with the phases of `one`.

    Args:
        one: Audio (batch, samples).
        two: Another instrument playing the same; None where there is none.
        weight: Its share in every bin (batch, bins), not read where there is none.
        eq_db: Gain in dB of every bin (batch, bins); None for none.

    Returns:
        Audio (batch, samples).
    """
    n_fft = 2 * weight.shape[1] - 2
    window = torch.hann_window(n_fft, device=one.device)
    transform: dict[str, Any] = {"n_fft": n_fft, "hop_length": n_fft // OVERLAP, "window": window}
    spectrum = torch.stft(one, **transform, return_complex=True)
    gain_db = torch.zeros((), device=one.device)
    if two is not None:
        scale_db = 20.0 * torch.log10(2.0 / window.sum())
        levels = [
            (20.0 * torch.log10(spectra.abs() + 1e-9) + scale_db).clamp(min=FLOOR_DBFS)
            for spectra in (spectrum, torch.stft(two, **transform, return_complex=True))
        ]
        gain_db = (weight[..., None] * (levels[1] - levels[0])).clamp(-MOST_GAIN_DB, MOST_GAIN_DB)
    if eq_db is not None:
        gain_db = gain_db + eq_db[..., None]
    return torch.istft(spectrum * torch.pow(10.0, gain_db / 20), **transform, length=one.shape[1])


def over_bins(points: np.ndarray, geometry: StftGeometry) -> Tensor:
    """(bins,): the curve through points that lie where the runtime's bands would, were there as many."""
    matrix = interpolation_matrix(BandLayout(n_bands=len(points)), geometry)
    return torch.from_numpy(points.astype(np.float32) @ matrix)


def _over_bands(points: np.ndarray, n_bands: int) -> np.ndarray:
    return np.interp(np.linspace(0, 1, n_bands), np.linspace(0, 1, len(points)), points).astype(np.float32)
