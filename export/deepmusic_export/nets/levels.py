"""Levels: the compression of band magnitudes and the coordinate that tells a convolution where it is."""

from __future__ import annotations

import math

import torch
from torch import Tensor

#: Slope of the compression: magnitudes below 1/COMPRESSION of the running level are nearly linear (about -70 dB).
COMPRESSION = 3000.0
#: Decibels that a feature of 1 spans above the knee.
FEATURE_SPAN_DB = 20.0 * math.log10(COMPRESSION)


def compress(relative: Tensor) -> Tensor:
    """log(1 + c m) / log(1 + c): magnitudes relative to the running level to features of about 0 to 1.

    Log compression after Huzaifah & Wyse 2019, who found it better than decibels for statistics of layers.
    """
    return torch.log1p(COMPRESSION * relative) * (1.0 / math.log1p(COMPRESSION))


def frequency_ramp(features: Tensor) -> Tensor:
    """A channel that rises from -1 at the lowest band to 1 at the highest: (batch, 1, frames, bands)."""
    ramp = torch.linspace(-1.0, 1.0, features.shape[-1], device=features.device, dtype=features.dtype)
    return ramp.expand(features.shape[0], 1, features.shape[1], -1)
