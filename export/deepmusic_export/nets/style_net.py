"""The style encoder: a recording's band magnitudes in, one style vector out."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepmusic_export.nets.levels import compress, frequency_ramp

#: Power of the mean that stands for the loud moments of a band.
PEAK_POWER = 8.0
#: Frames this far below the mean power of a recording are its rests, dB.
REST_DB = 30.0
#: Share of a batch in the running moments of a style's numbers, once many have been heard.
LEAST_SHARE = 0.01


def activity(bands: Tensor) -> Tensor:
    """Which frames of a recording sound: 1 there, 0 in its rests, which say nothing of an instrument.

    Args:
        bands: Content band magnitudes (batch, frames, bands).

    Returns:
        (batch, frames); all 0 for digital silence.
    """
    power = bands.square().sum(-1)
    return (power > power.mean(1, keepdim=True) * 10 ** (-REST_DB / 10)).to(bands.dtype)


def band_profile(features: Tensor, active: Tensor) -> Tensor:
    """What each band does while the recording sounds: mean, deviation and a soft maximum.

    Args:
        features: Compressed features (batch, frames, bands), about 0 to 1.
        active: `activity` (batch, frames).

    Returns:
        (batch, 3, bands).
    """
    share = _shares(active, 1)[..., None]
    mean = (features * share).sum(1)
    deviation = torch.sqrt(((features - mean[:, None]).square() * share).sum(1) + 1e-5)
    peak = ((features.clamp(min=0) + 1e-3).pow(PEAK_POWER) * share).sum(1).clamp(min=1e-24).pow(1 / PEAK_POWER)
    return torch.stack([mean, deviation, peak], dim=1)


def _shares(active: Tensor, dim: int) -> Tensor:
    """Weights of a mean over the frames that sound, which lie along `dim`; all 0 where none does."""
    return active / torch.clamp(active.sum(dim, keepdim=True), min=1.0)


class RunningStandard(nn.Module):
    """Brings each of n numbers to mean 0 and deviation 1 over what training has heard.

    Unlike batch normalisation it takes the running moments in training too, and no gradient goes through them: eight
    examples say too little about a moment, and what no scale can change has a scale that drifts.
    """

    def __init__(self, n: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n))
        self.register_buffer("variance", torch.ones(n))
        self.register_buffer("n_batches", torch.zeros((), dtype=torch.long))

    def forward(self, x: Tensor) -> Tensor:
        """Standardises (batch, n); in training the moments move first."""
        x = x.float()
        if self.training:
            self._move(x.detach())
        return (x - self.mean) * torch.rsqrt(self.variance + 1e-4)

    def _move(self, x: Tensor) -> None:
        self.n_batches += 1
        share = torch.clamp(1.0 / self.n_batches, min=LEAST_SHARE)  # a tensor: an accelerator need not wait for it
        self.mean.lerp_(x.mean(0), share)
        self.variance.lerp_((x - self.mean).square().mean(0), share)


class StyleNet(nn.Module):
    """Statistics of a VGG19-like encoder over what sounds, after Gatys et al. 2016 and Huang & Belongie 2017.

    The vector is the band profile (3 x bands, aligned to frequency, so that a blend of styles is a blend of spectra),
    then an embedding of the layers' means and deviations.
    """

    def __init__(self, n_bands: int, width: int, n_embedding: int) -> None:
        super().__init__()
        w = width
        self.n_bands, self.n_embedding = n_bands, n_embedding
        plan = [(5, w), (w, w), (w, 2 * w), (2 * w, 2 * w), (2 * w, 4 * w), (4 * w, 4 * w), (4 * w, 8 * w)]
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in plan)
        self.norms = nn.ModuleList(nn.BatchNorm2d(b) for _, b in plan)
        n_statistics = 2 * (2 * w + 4 * w) + 2 * 8 * w * 3
        # No rectifier, and nothing whose scale could run away: decision 20.
        self.head = nn.Sequential(
            RunningStandard(n_statistics), nn.Linear(n_statistics, 512), nn.SiLU(), nn.Linear(512, n_embedding)
        )

    @property
    def size(self) -> int:
        """Length of the style vector."""
        return 3 * self.n_bands + self.n_embedding

    def forward(self, bands: Tensor) -> Tensor:
        """Encodes a recording.

        Args:
            bands: Content band magnitudes (batch, frames, bands); frames at least 8.

        Returns:
            The style vector (batch, size).
        """
        active = activity(bands)
        level = torch.sqrt(torch.clamp((bands.square().sum(-1) * _shares(active, 1)).sum(1), min=1e-10))
        features = compress(bands / level[:, None, None])
        profile = band_profile(features, active)
        x = torch.cat(
            [
                features[:, None],
                frequency_ramp(features),
                profile[:, :, None].expand(-1, -1, features.shape[1], -1),
            ],
            dim=1,
        )
        sounding = active[:, None, :, None]
        statistics: list[Tensor] = []
        for index, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            x = F.relu(norm(conv(x)))
            if index in (2, 4):
                statistics += _moments(x, sounding)
            if index in (1, 3):
                x = F.max_pool2d(x, 2)
                sounding = F.max_pool2d(sounding, (2, 1))
            if index == 5:
                x = F.max_pool2d(x, (1, 2))
        for strip in torch.chunk(x, 3, dim=3):
            statistics += _moments(strip, sounding)
        return torch.cat([profile.flatten(1), self.head(torch.cat(statistics, dim=1))], dim=1)


def _moments(x: Tensor, sounding: Tensor) -> list[Tensor]:
    """Mean and deviation of every channel of (batch, channels, frames, bands) over all bands of the frames that sound.

    `sounding` (batch, 1, frames, 1) is 1 there, else 0.
    """
    share = _shares(sounding, 2) / x.shape[3]
    mean = (x * share).sum((2, 3))
    deviation = torch.sqrt(((x - mean[:, :, None, None]).square() * share).sum((2, 3)) + 1e-5)
    return [mean, deviation]
