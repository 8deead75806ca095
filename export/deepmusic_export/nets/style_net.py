"""The style encoder: a recording's band magnitudes in, one style vector out."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepmusic_export.nets.levels import compress, frequency_ramp

#: Power of the mean that stands for the loud moments of a band.
PEAK_POWER = 8.0
#: A frame's activations are seen by the head of situations as means over this many strips of bands.
N_STRIPS = 3
#: Hidden units of the head of situations.
HEAD_SIZE = 64
#: The mean spectrum counts in every situation as much as this many steps.
PRIOR_STEPS = 0.5


def band_profile(features: Tensor) -> Tensor:
    """What each band does over time: mean, deviation and a soft maximum.

    Args:
        features: Compressed features (batch, frames, bands), about 0 to 1.

    Returns:
        (batch, 3, bands).
    """
    mean = features.mean(1)
    deviation = torch.sqrt((features - mean[:, None]).square().mean(1) + 1e-5)
    peak = (features.clamp(min=0) + 1e-3).pow(PEAK_POWER).mean(1).pow(1 / PEAK_POWER)
    return torch.stack([mean, deviation, peak], dim=1)


class SituationHead(nn.Module):
    """Shares of every step in the situations, from the activations of a layer.

    Args:
        n_channels: Channels of the layer.
        n_situations: Situations to tell apart.
    """

    def __init__(self, n_channels: int, n_situations: int) -> None:
        super().__init__()
        self.head = nn.Sequential(
            nn.Linear(N_STRIPS * n_channels, HEAD_SIZE), nn.ReLU(), nn.Linear(HEAD_SIZE, n_situations)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Shares (batch, frames, situations), which sum to 1, of `x` (batch, channels, frames, bands)."""
        batch, channels, frames, bands = x.shape
        strips = x.reshape(batch, channels, frames, N_STRIPS, bands // N_STRIPS).mean(-1)
        return torch.softmax(self.head(strips.permute(0, 2, 1, 3).flatten(2)), dim=-1)


def situation_spectra(features: Tensor, shares: Tensor) -> Tensor:
    """Mean spectrum of each situation over a recording.

    A situation that hardly occurs gets the recording's own mean: every vector is complete, and blends of styles are
    blends of spectra.

    Args:
        features: Compressed features (batch, frames, bands).
        shares: Shares (batch, frames / 4, situations).

    Returns:
        (batch, situations, bands).
    """
    batch, steps, _ = shares.shape
    # The bands are named, not left to be inferred: the exporter would take their number for a function of the frames.
    per_step = features[:, : 4 * steps].reshape(batch, steps, 4, features.shape[2]).mean(2)
    mean = per_step.mean(1, keepdim=True)
    total = shares.sum(1)[..., None]
    return (shares.transpose(1, 2) @ per_step + PRIOR_STEPS * mean) / (total + PRIOR_STEPS)


class StyleNet(nn.Module):
    """Statistics of a VGG19-like encoder over the whole recording, after Gatys et al. 2016 and Huang & Belongie 2017.

    The vector is the band profile (3 x bands, aligned to frequency, so that a blend of styles is a blend of spectra),
    then the mean spectrum of each *situation* (situations x bands), then an embedding of the layers' means and
    deviations. A situation is what the network makes of it: an attack in the treble, a note that has sounded for a
    while, a gap. A step belongs to situations by shares that a small head finds (NetVLAD, Arandjelovic et al. 2016).
    """

    def __init__(self, n_bands: int, width: int, n_embedding: int, n_situations: int) -> None:
        super().__init__()
        w = width
        self.n_bands, self.n_embedding, self.n_situations = n_bands, n_embedding, n_situations
        self.situations = SituationHead(4 * w, n_situations)
        plan = [(5, w), (w, w), (w, 2 * w), (2 * w, 2 * w), (2 * w, 4 * w), (4 * w, 4 * w), (4 * w, 8 * w)]
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in plan)
        self.norms = nn.ModuleList(nn.BatchNorm2d(b) for _, b in plan)
        n_statistics = 2 * (2 * w + 4 * w) + 2 * 8 * w * 3
        self.head = nn.Sequential(nn.Linear(n_statistics, 512), nn.ReLU(), nn.Linear(512, n_embedding))

    @property
    def size(self) -> int:
        """Length of the style vector."""
        return (3 + self.n_situations) * self.n_bands + self.n_embedding

    def forward(self, bands: Tensor) -> Tensor:
        """Encodes a recording.

        Args:
            bands: Content band magnitudes (batch, frames, bands); frames at least 8.

        Returns:
            The style vector (batch, size).
        """
        level = torch.sqrt(torch.clamp(bands.square().sum(-1).mean(1), min=1e-10))
        features = compress(bands / level[:, None, None])
        profile = band_profile(features)
        x = torch.cat(
            [
                features[:, None],
                frequency_ramp(features),
                profile[:, :, None].expand(-1, -1, features.shape[1], -1),
            ],
            dim=1,
        )
        statistics: list[Tensor] = []
        for index, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            x = F.relu(norm(conv(x)))
            if index in (2, 4):
                statistics += _moments(x)
            if index in (1, 3):
                x = F.max_pool2d(x, 2)
            if index == 5:
                spectra = situation_spectra(features, self.situations(x))
                x = F.max_pool2d(x, (1, 2))
        for strip in torch.chunk(x, 3, dim=3):
            statistics += _moments(strip)
        return torch.cat([profile.flatten(1), spectra.flatten(1), self.head(torch.cat(statistics, dim=1))], dim=1)


def _moments(x: Tensor) -> list[Tensor]:
    mean = x.mean((2, 3))
    deviation = torch.sqrt((x - mean[:, :, None, None]).square().mean((2, 3)) + 1e-5)
    return [mean, deviation]
