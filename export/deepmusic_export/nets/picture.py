"""The picture of a recording that the audio VGG19 looks at, in its training and wherever its layers measure."""

from __future__ import annotations

import torch
from torch import Tensor

from deepmusic_export.nets.levels import compress, frequency_ramp

#: STFT frames whose mean power is one column of the picture: 1024 samples, 21 ms at 48 kHz.
FRAMES_PER_COLUMN = 4


def picture(bands: Tensor) -> Tensor:
    """What VGG19 sees: band magnitudes (batch, frames, bands) -> (batch, 2, columns, bands), level and ramp.

    Levels are relative to the clip's own, so that the loudness of a recording says nothing.
    """
    columns = bands.shape[1] // FRAMES_PER_COLUMN
    power = bands[:, : columns * FRAMES_PER_COLUMN].square()
    power = power.reshape(bands.shape[0], columns, FRAMES_PER_COLUMN, -1).mean(2)
    level = torch.sqrt(power.sum(-1).mean(1) + 1e-10)
    features = compress(torch.sqrt(power) / level[:, None, None])
    return torch.cat([features[:, None], frequency_ramp(features)], dim=1)
