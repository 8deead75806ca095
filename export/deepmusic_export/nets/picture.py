"""The picture of a recording that the audio VGG19 looks at, in its training and wherever its layers measure."""

from __future__ import annotations

import torch
from torch import Tensor

from deepmusic_export.nets.levels import compress, frequency_ramp

#: STFT frames whose mean power is one column of the picture: 1024 samples, 21 ms at 48 kHz.
FRAMES_PER_COLUMN = 4


def picture(bands: Tensor, level: Tensor | None = None) -> Tensor:
    """What VGG19 sees: band magnitudes (batch, frames, bands) -> (batch, 2, columns, bands), level and ramp.

    Levels are relative to the clip's own, so that the loudness of a recording says nothing.

    Args:
        bands: Band magnitudes.
        level: What they are relative to, (batch,); `picture_level` of the bands by default. One that is held lets an
            optimiser change the picture where the bands change, and not all over by way of the level.
    """
    power = _column_power(bands)
    if level is None:
        level = picture_level(bands)
    features = compress(torch.sqrt(power) / level[:, None, None])
    return torch.cat([features[:, None], frequency_ramp(features)], dim=1)


def picture_level(bands: Tensor) -> Tensor:
    """Root of the mean power over all bands of band magnitudes (batch, frames, bands): (batch,)."""
    return torch.sqrt(_column_power(bands).sum(-1).mean(1) + 1e-10)


def _column_power(bands: Tensor) -> Tensor:
    columns = bands.shape[1] // FRAMES_PER_COLUMN
    power = bands[:, : columns * FRAMES_PER_COLUMN].square()
    return power.reshape(bands.shape[0], columns, FRAMES_PER_COLUMN, -1).mean(2)
