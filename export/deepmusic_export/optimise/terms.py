"""The terms of the recipe `gains`: style, content, and how the gains themselves may look."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import librosa
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from deepmusic.dsp.gains import BandLayout, interpolation_matrix
from deepmusic.dsp.windows import STEP_FRAMES, StftGeometry
from deepmusic_export.nets.levels import compress
from deepmusic_export.nets.picture import column_power, picture
from deepmusic_export.nets.vgg19 import STYLE_LAYERS
from deepmusic_export.optimise.hearing import CHROMA_STRIDE, PAIRS, Heard, n_chroma_bins
from deepmusic_export.optimise.listener import Listener
from deepmusic_export.optimise.statistics import (
    CONTENT_LAYER,
    FilterStatistics,
    LayerStatistics,
    Observed,
    distance,
    long_enough,
    observe,
    surprise,
)

#: Width over which the chroma's whitening takes its mean, Hz, as in metrics.Recording.chroma.
WHITENING_HZ = 110.0
#: Frames over which an onset rises: 11 ms at 48 kHz.
ONSET_FRAMES = 2

#: Columns this far below the mean power do not sound, dB.
GATE_DB = 30.0
#: Variance that the segments do not show, since one piece of music is more like itself than like another.
DOUBT = 4.0
#: Keeps the root of a power differentiable: -140 dB.
POWER_FLOOR = 1e-14

_NEPER_PER_DB = math.log(10.0) / 20
_FIRST, _SECOND = (list(indices) for indices in zip(*PAIRS, strict=True))


@dataclass(frozen=True, slots=True)
class Style:
    """What the style terms want."""

    layers: Observed
    filters: Observed


class Ear:
    """What the terms compare, for one listener and one rate.

    Args:
        listener: The VGG19.
        layout: The bands.
        sample_rate_hz: Rate of content and style.
        seed: Of the random filters.
    """

    def __init__(self, listener: Listener, layout: BandLayout, sample_rate_hz: int, seed: int) -> None:
        geometry = StftGeometry.for_rate(sample_rate_hz)
        n_bins = n_chroma_bins(geometry)
        self._vgg = listener.vgg
        self.layer_statistics, self.filter_statistics = LayerStatistics(), FilterStatistics(layout.n_bands, seed)
        self.to_bins = torch.from_numpy(interpolation_matrix(layout, geometry)[:, :n_bins].copy())
        chroma = librosa.filters.chroma(sr=sample_rate_hz, n_fft=geometry.n_fft)[:, :n_bins]
        self._chroma = torch.from_numpy(np.ascontiguousarray(chroma, np.float32)).T
        self._whitening = 2 * round(WHITENING_HZ * geometry.n_fft / sample_rate_hz / 2) + 1

    def view(self, bands: Tensor, sounding: Tensor, level: Tensor) -> Tensor:
        """The sounding columns of the picture of band magnitudes (frames, bands), relative to a level that is held."""
        return long_enough(picture(bands[None], level)[:, :, sounding])

    def layers(self, view: Tensor) -> dict[str, Tensor]:
        """VGG19's activations for a picture, up to the last style layer."""
        return self._vgg(view, last=STYLE_LAYERS[-1])

    def observe(self, excerpts: Sequence[Tensor]) -> Style:
        """What band magnitudes (frames, bands) of the excerpts of a recording say of its sound."""
        views = [self.view(excerpt, *sounding_columns(excerpt)) for excerpt in excerpts]
        with torch.no_grad():
            return Style(
                observe([self.layer_statistics.segments(self.layers(view)) for view in views]),
                observe([self.filter_statistics.segments(view) for view in views]),
            )

    def chroma(self, power: Tensor) -> tuple[Tensor, Tensor]:
        """Whitened chroma (frames, 12) and level (frames,) of bin powers (frames, bins)."""
        magnitude = torch.sqrt(power + POWER_FLOOR)
        level = torch.log1p(1000 * magnitude / magnitude.max().detach())
        mean = F.avg_pool1d(level[:, None], self._whitening, 1, self._whitening // 2, count_include_pad=False)[:, 0]
        return F.relu(level - mean) @ self._chroma, magnitude.square().sum(1).sqrt()


def sounding_columns(bands: Tensor) -> tuple[Tensor, Tensor]:
    """Which columns of a picture sound, and the level of those: what rests there are is the score's, not the sound's.

    Args:
        bands: Band magnitudes (frames, bands).

    Returns:
        Indices of the columns, and the root of their mean power (1,).
    """
    power = column_power(bands[None])[0].sum(-1)
    sounding = torch.nonzero(power >= power.mean() * 10 ** (-GATE_DB / 10))[:, 0]
    return sounding, torch.sqrt(power[sounding].mean() + 1e-10)[None]


def onset_envelope(bands: Tensor) -> Tensor:
    """Rise of the compressed level from frame to frame, mean over bands: (frames, bands) -> (frames - 2,)."""
    level = compress(bands / torch.sqrt(bands.square().sum(1).mean() + 1e-12))
    return F.relu(level[ONSET_FRAMES:] - level[:-ONSET_FRAMES]).mean(1)


class ChunkTerms:
    """All terms for a chunk of the content.

    Args:
        ear: What is compared.
        style: What is wanted.
        heard: The chunk.
    """

    def __init__(self, ear: Ear, style: Style, heard: Heard) -> None:
        self._ear, self._style = ear, style
        self._bands, self._bins = torch.from_numpy(heard.bands), torch.from_numpy(heard.bins)
        self._start_db = torch.from_numpy(heard.start_db)
        with torch.no_grad():
            content = torch.sqrt(self._bands[:, 0] + POWER_FLOOR)
            start = torch.sqrt(_power(self._bands, self._start_db) + POWER_FLOOR)
            own = ear.observe([start])
            # Held, or else a few loud bands could be turned down to lift the whole picture.
            self._sounding, self._level = sounding_columns(start)
            content_level = torch.sqrt(column_power(content[None])[:, self._sounding].sum(-1).mean(1))
            self._relu4_2 = ear.layers(ear.view(content, self._sounding, content_level))[CONTENT_LAYER]
            self._onsets = onset_envelope(content)
            self._chroma, self._energy = ear.chroma(self._bins[:, 0])
        self._layer_variances = _doubt(style.layers, own.layers)
        self._filter_variances = _doubt(style.filters, own.filters)

    def magnitudes(self, offset_db: Tensor) -> Tensor:
        """Band magnitudes (frames, bands) of the output for offsets (steps, 4, bands)."""
        return torch.sqrt(_power(self._bands, self._gain_db(offset_db)) + POWER_FLOOR)

    def values(self, offset_db: Tensor) -> dict[str, Tensor]:
        """Every term of `TermWeights` for offsets in dB (steps, 4, bands); the smaller the better."""
        gain_db = self._gain_db(offset_db)
        bands = torch.sqrt(_power(self._bands, gain_db) + POWER_FLOOR)
        ear, view = self._ear, self._ear.view(bands, self._sounding, self._level)
        layers = ear.layers(view)
        bin_power = _power(self._bins, gain_db[::CHROMA_STRIDE] @ ear.to_bins)
        across, along = offset_db.diff(dim=2), offset_db.diff(dim=0)
        return {
            "layers": surprise(ear.layer_statistics.of(layers), self._style.layers.means, self._layer_variances),
            "filters": surprise(ear.filter_statistics.of(view), self._style.filters.means, self._filter_variances),
            "relu4_2": distance([layers[CONTENT_LAYER]], [self._relu4_2]),
            "chroma": self._chroma_distance(bin_power),
            "onsets": distance([onset_envelope(bands)], [self._onsets]),
            "smooth": (across.square().mean() + along.square().mean()) / 2,
            "near": offset_db.square().mean(),
        }

    def _gain_db(self, offset_db: Tensor) -> Tensor:
        n_steps, n_excitations, n_bands = offset_db.shape
        columns = offset_db.permute(1, 2, 0).reshape(1, n_excitations * n_bands, n_steps)
        frames = F.interpolate(columns, scale_factor=STEP_FRAMES, mode="linear", align_corners=False)
        return self._start_db + frames[0].reshape(n_excitations, n_bands, -1).permute(2, 0, 1)

    def _chroma_distance(self, bin_power: Tensor) -> Tensor:
        chroma, _ = self._ear.chroma(bin_power)
        cosine = F.cosine_similarity(chroma, self._chroma, dim=1, eps=1e-6)
        return 1 - (cosine * self._energy).sum() / (self._energy.sum() + 1e-12)


def _power(form: Tensor, gain_db: Tensor) -> Tensor:
    """The quadratic form (frames, 10, n) in linear gains given in dB (frames, 4, n): power (frames, n)."""
    gain = torch.exp(gain_db * _NEPER_PER_DB)
    return F.relu((form * gain[:, _FIRST] * gain[:, _SECOND]).sum(1))


def _doubt(style: Observed, own: Observed) -> list[Tensor]:
    """How far apart the statistics of two recordings of one sound may be."""
    return [DOUBT * (a + b) for a, b in zip(style.variances, own.variances, strict=True)]
