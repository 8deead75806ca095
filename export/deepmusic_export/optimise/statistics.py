"""What a style is to the optimiser: statistics of layers and of random filters, and how surprising a difference is.

A statistic of a recording says something about its sound and something about the notes that were played. How much of
the latter can be read off the recording itself: a statistic that changes from second to second is about notes. So a
difference counts in units of that change, and a large one, which other notes explain better than another sound, counts
less than its square. What that is worth was measured and stands in decision 11: little from the live network, more from
the content.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from deepmusic_export.nets.vgg19 import SMALLEST_SIDE, STYLE_LAYERS, Vgg19

#: The layer that stands for the content (Gatys et al. 2016).
CONTENT_LAYER = "relu4_2"
#: Random filters of the Gram term, and their length in columns: 0.23 s (Ulyanov & Lebedev 2016 take 4096 of 11).
N_FILTERS, FILTER_COLUMNS = 256, 11
#: Columns of the segments whose statistics are compared with each other: 1 s.
SEGMENT_COLUMNS = 48
#: Variance that is always there, in parts of the mean square of a statistic.
VARIANCE_FLOOR = 1e-3

_EPSILON = 1e-6


@dataclass(frozen=True, slots=True)
class Observed:
    """Statistics of a recording."""

    means: list[Tensor]
    """Mean over the segments, one tensor a layer."""
    variances: list[Tensor]
    """Variance of that mean, as the segments differ; same shapes."""


class LayerStatistics:
    """Mean and deviation of every channel of VGG19's style layers, in every strip of frequency.

    A Gaussian with independent channels. Strips, since a spectrogram is not shift-invariant along frequency: a strip is
    one column of relu5_1, the coarsest layer, and so 16 bands.
    """

    def of(self, layers: dict[str, Tensor]) -> list[Tensor]:
        """One tensor (2, channels, strips) a style layer, means and deviations, of activations (1, ...)."""
        return [_moments(strips) for strips in _strips(layers)]

    def segments(self, layers: dict[str, Tensor]) -> list[Tensor]:
        """The same for every segment: (segments, 2, channels, strips) a style layer."""
        n_segments = segments_of(layers[STYLE_LAYERS[0]].shape[2])
        return [
            torch.stack(
                [_moments(part) for part in torch.tensor_split(strips, min(n_segments, strips.shape[1]), dim=1)]
            )
            for strips in _strips(layers)
        ]


class FilterStatistics:
    """Gram matrix of random filters over time, all bands at once (Ulyanov & Lebedev 2016): what sounds together.

    Args:
        n_bands: Bands of the picture.
        seed: Of the filters.
    """

    def __init__(self, n_bands: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        scale = (2.0 / (n_bands * FILTER_COLUMNS)) ** 0.5
        self._filters = torch.randn(N_FILTERS, n_bands, FILTER_COLUMNS, generator=generator) * scale

    def of(self, picture: Tensor) -> list[Tensor]:
        """The Gram matrix (filters, filters), a mean over columns, of a picture (1, 2, columns, bands)."""
        return [_gram(self._activation(picture))]

    def segments(self, picture: Tensor) -> list[Tensor]:
        """The same for every segment: (segments, filters, filters)."""
        activation = self._activation(picture)
        parts = torch.tensor_split(activation, segments_of(activation.shape[1]), dim=1)
        return [torch.stack([_gram(part) for part in parts])]

    def _activation(self, picture: Tensor) -> Tensor:
        return F.relu(F.conv1d(picture[:, 0].transpose(1, 2), self._filters))[0]


def gram_matrices(vgg: Vgg19, picture: Tensor) -> tuple[list[Tensor], Tensor]:
    """Gram matrices of the style layers, means over positions, and the content layer (Gatys et al. 2016)."""
    layers = vgg(picture, last=STYLE_LAYERS[-1])
    return [_gram(layers[name].flatten(2)[0]) for name in STYLE_LAYERS], layers[CONTENT_LAYER]


def observe(excerpts: Sequence[list[Tensor]]) -> Observed:
    """What the segments of all excerpts of one recording say together."""
    layers = [torch.cat(parts) for parts in zip(*excerpts, strict=True)]
    return Observed([part.mean(0) for part in layers], [part.var(0) / len(part) for part in layers])


def surprise(found: list[Tensor], wanted: list[Tensor], variances: list[Tensor]) -> Tensor:
    """Mean over layers and statistics of log(1 + d^2 / v): how unlikely the differences d are, as Cauchy's law has it.

    Args:
        found: Statistics.
        wanted: What they should be.
        variances: How far apart they are for other reasons than the sound.
    """
    parts = []
    for a, b, variance in zip(found, wanted, variances, strict=True):
        parts.append(torch.log1p((a - b).square() / (variance + VARIANCE_FLOOR * b.square().mean() + _EPSILON)).mean())
    return torch.stack(parts).mean()


def distance(found: list[Tensor], wanted: list[Tensor]) -> Tensor:
    """Mean over layers of the squared difference, relative to what is wanted: 0 where all are met."""
    parts = [(a - b).square().sum() / (b.square().sum() + _EPSILON) for a, b in zip(found, wanted, strict=True)]
    return torch.stack(parts).mean()


def mean_statistics(statistics: Sequence[list[Tensor]]) -> list[Tensor]:
    """The mean over excerpts of one recording."""
    return [torch.stack(parts).mean(0) for parts in zip(*statistics, strict=True)]


def segments_of(n_columns: int) -> int:
    """Segments that so many columns are cut into, at least the two that a variance needs."""
    return max(2, n_columns // SEGMENT_COLUMNS)


def long_enough(picture: Tensor) -> Tensor:
    """A picture of at least as many columns as five pools need; a shorter one is repeated."""
    n_columns = picture.shape[2]
    if n_columns >= SMALLEST_SIDE:
        return picture
    return picture.repeat(1, 1, -(-SMALLEST_SIDE // n_columns), 1)


def _strips(layers: dict[str, Tensor]) -> list[Tensor]:
    """Activations of the style layers as (channels, columns, strips, bands of a strip)."""
    n_strips = layers[STYLE_LAYERS[-1]].shape[-1]
    return [layers[name][0].unflatten(2, (n_strips, -1)) for name in STYLE_LAYERS]


def _moments(strips: Tensor) -> Tensor:
    mean = strips.mean((1, 3))
    deviation = torch.sqrt((strips - mean[:, None, :, None]).square().mean((1, 3)) + _EPSILON)
    return torch.stack([mean, deviation])


def _gram(activation: Tensor) -> Tensor:
    return activation @ activation.T / activation.shape[1]
