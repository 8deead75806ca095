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
        level: What they are relative to, (batch,); the root of the mean power over all bands by default. One that is
            held lets an optimiser change the picture where the bands change, and not all over by way of the level.
    """
    power = column_power(bands)
    if level is None:
        level = torch.sqrt(power.sum(-1).mean(1) + 1e-10)
    features = compress(torch.sqrt(power) / level[:, None, None])
    return torch.cat([features[:, None], frequency_ramp(features)], dim=1)


def column_power(bands: Tensor) -> Tensor:
    """Mean power of the columns of band magnitudes (batch, frames, bands): (batch, columns, bands)."""
    columns = bands.shape[1] // FRAMES_PER_COLUMN
    power = bands[:, : columns * FRAMES_PER_COLUMN].square()
    return power.reshape(bands.shape[0], columns, FRAMES_PER_COLUMN, -1).mean(2)
