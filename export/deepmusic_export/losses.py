"""Losses against the oracle: distances between log-mel spectrograms at several resolutions.

The first is the log-spectral distance of Cifka et al. 2021 itself (power-normalised audio, 128 Slaney mel bands up
to 8 kHz, 128 ms windows), with 80 and with 50 dB of range. The others hold what it does not hear: the octaves above
8 kHz and the attacks.
"""

from __future__ import annotations

from dataclasses import dataclass

import librosa
import numpy as np
import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class OracleDistance:
    """Parts of the distance, each a mean over the batch in dB."""

    lsd80: Tensor
    lsd50: Tensor
    wide: Tensor
    short: Tensor

    def total(self) -> Tensor:
        """The training loss."""
        return self.lsd80 + 1.5 * self.lsd50 + 0.6 * self.wide + 0.3 * self.short


class MelDistance(nn.Module):
    """Distance of log-mel spectrograms at one resolution."""

    def __init__(
        self,
        sample_rate_hz: int,
        n_fft: int,
        hop: int,
        n_mels: int,
        high_hz: float,
        ranges_db: tuple[float, ...],
        rms: bool,
    ) -> None:
        super().__init__()
        self.n_fft, self.hop, self.ranges_db, self.rms = n_fft, hop, ranges_db, rms
        mel = librosa.filters.mel(sr=sample_rate_hz, n_fft=n_fft, n_mels=n_mels, fmax=high_hz).astype(np.float32)
        self.register_buffer("mel", torch.from_numpy(mel).T)
        self.register_buffer("window", torch.hann_window(n_fft))

    def power(self, audio: Tensor) -> Tensor:
        """Mel power (batch, frames, mels)."""
        frames = audio.unfold(-1, self.n_fft, self.hop) * self.window
        spectra = torch.fft.rfft(frames)
        return (spectra.real.square() + spectra.imag.square()) @ self.mel

    def forward(self, output: Tensor, oracle: Tensor) -> list[Tensor]:
        """Distances in dB, one for each range; audio (batch, samples)."""
        out, ref = self.power(output), self.power(oracle)
        return [self._distance(out, ref, range_db) for range_db in self.ranges_db]

    def _distance(self, out: Tensor, ref: Tensor, range_db: float) -> Tensor:
        floor = 10 ** (-range_db / 10)
        difference = _decibels(out, floor) - _decibels(ref, floor)
        if self.rms:
            return torch.sqrt(difference.square().mean(1) + 1e-3).mean()
        return difference.abs().mean()


class OracleLoss(nn.Module):
    """All distances at one sample rate, on power-normalised audio."""

    def __init__(self, sample_rate_hz: int) -> None:
        super().__init__()
        self.paper = MelDistance(sample_rate_hz, 6144, 1536, 128, 8000.0, (80.0, 50.0), rms=True)
        self.wide = MelDistance(sample_rate_hz, 2048, 512, 96, 20000.0, (60.0,), rms=False)
        self.short = MelDistance(sample_rate_hz, 512, 128, 32, 20000.0, (50.0,), rms=False)

    def forward(self, output: Tensor, oracle: Tensor) -> OracleDistance:
        """Distance between outputs and oracles, both (batch, samples)."""
        output = output / torch.sqrt(output.square().mean(-1, keepdim=True) + 1e-10)
        oracle = oracle / torch.sqrt(oracle.square().mean(-1, keepdim=True) + 1e-10)
        lsd80, lsd50 = self.paper(output, oracle)
        (wide,), (short,) = self.wide(output, oracle), self.short(output, oracle)
        return OracleDistance(lsd80, lsd50, wide, short)


def _decibels(power: Tensor, floor: float) -> Tensor:
    peak = power.detach().amax((1, 2), keepdim=True)
    return 10.0 * torch.log10(torch.maximum(power, peak * floor) + 1e-10)
