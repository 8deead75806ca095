"""The runtime's signal path in torch, batched and differentiable: excitations, spectra, bands, gains, synthesis.

It mirrors `deepmusic.dsp` to the letter (a test holds both together) and takes its windows and matrices from there.
Everything is mono: the runtime's gain field comes from the mean channel power, and training needs one channel only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepmusic.dsp.excitation import POWER_FLOOR
from deepmusic.dsp.gains import BandLayout, analysis_matrix, interpolation_matrix
from deepmusic.dsp.windows import StftGeometry, analysis_window, synthesis_window


@dataclass(frozen=True, slots=True)
class Excitations:
    """Spectra of the excitation bank and the band magnitudes that the network sees."""

    spectra: Tensor
    """complex64 (batch, 4, frames, bins): content, odd, even, noise."""
    bands: Tensor
    """float32 (batch, frames, 3, bands): content, odd, even."""


@lru_cache
def signal_path(sample_rate_hz: int, layout: BandLayout | None = None) -> SignalPath:
    """The path of a rate and a layout, made once: its matrices hold no state and are shared. It stays on the CPU."""
    return SignalPath(sample_rate_hz, layout)


class SignalPath(nn.Module):
    """Analysis and synthesis at one sample rate."""

    def __init__(self, sample_rate_hz: int, layout: BandLayout | None = None) -> None:
        super().__init__()
        self.geometry = StftGeometry.for_rate(sample_rate_hz)
        self.layout = layout or BandLayout()
        analysis = analysis_window(self.geometry)
        self.register_buffer("window", torch.from_numpy(np.array(analysis)))
        self.register_buffer("synthesis", torch.from_numpy(np.array(synthesis_window(self.geometry))))
        self.register_buffer("to_bands", torch.from_numpy(np.array(analysis_matrix(self.layout, self.geometry))).T)
        self.register_buffer("to_bins", torch.from_numpy(np.array(interpolation_matrix(self.layout, self.geometry))))
        self.power_scale = float((2.0 / analysis.sum()) ** 2)

    def spectra(self, audio: Tensor) -> Tensor:
        """Spectra of the stream: (..., samples) -> complex64 (..., frames, bins); samples a multiple of the hop."""
        history = self.geometry.n_fft - self.geometry.hop
        frames = F.pad(audio, (history, 0)).unfold(-1, self.geometry.n_fft, self.geometry.hop)
        return torch.fft.rfft(frames * self.window)

    def band_magnitudes(self, spectra: Tensor) -> Tensor:
        """Band magnitudes (..., frames, bands) of spectra (..., frames, bins)."""
        power = spectra.real.square() + spectra.imag.square()
        return torch.sqrt(power @ self.to_bands * self.power_scale + 1e-20)

    def excite(
        self, audio: Tensor, generator: torch.Generator | None = None, noise: Tensor | None = None
    ) -> Excitations:
        """The excitation bank of mono audio.

        Args:
            audio: (batch, samples), samples a multiple of four hops.
            generator: Source of the noise; torch's own by default.
            noise: Unit Gaussian noise (batch, samples) to take instead: the runtime's gives the runtime's spectra.
        """
        if noise is None:
            noise = torch.randn(audio.shape, generator=generator, device=audio.device)
        envelope = self._envelope(audio)
        unit = audio / envelope
        odd = envelope * torch.tanh(3.0 * unit)
        even = envelope * (torch.abs(torch.tanh(2.0 * unit)) - 0.6)
        spectra = self.spectra(torch.stack([audio, odd, even, envelope * noise], dim=1))
        spectra[:, 1:3, :, 0] = 0
        bands = self.band_magnitudes(spectra[:, :3]).transpose(1, 2)
        return Excitations(spectra, bands)

    def shape(self, excitations: Tensor, gain_db: Tensor) -> Tensor:
        """Weighs the excitations by their gains.

        Args:
            excitations: Spectra (batch, 4, frames, bins).
            gain_db: Gains (batch, frames, 4, bands) in dB.

        Returns:
            The sum, complex64 (batch, frames, bins).
        """
        gain = torch.exp((gain_db.transpose(1, 2) @ self.to_bins) * (math.log(10.0) / 20))
        # Real and imaginary parts apart: complex times real would first copy the gains into complex numbers.
        return torch.complex((excitations.real * gain).sum(1), (excitations.imag * gain).sum(1))

    def resynthesise(self, spectra: Tensor) -> Tensor:
        """Inverse of `spectra`: (batch, frames, bins) -> (batch, samples).

        The first sample is the first of the input; the last n_synthesis - hop are incomplete.
        """
        geometry = self.geometry
        frames = torch.fft.irfft(spectra, geometry.n_fft)[..., geometry.n_fft // 2 :] * self.synthesis
        _, n_frames, length = frames.shape
        total = n_frames * geometry.hop + length - geometry.hop
        folded = F.fold(
            frames.transpose(1, 2), output_size=(1, total), kernel_size=(1, length), stride=(1, geometry.hop)
        )
        return folded[:, 0, 0, length - geometry.hop :]

    def _envelope(self, audio: Tensor) -> Tensor:
        hop = self.geometry.hop
        per_hop = audio.reshape(audio.shape[0], -1, hop).square().mean(-1)
        before = F.pad(per_hop, (1, 0))[:, :-1]
        level = torch.sqrt((per_hop + before) / 2 + POWER_FLOOR)
        last = F.pad(level, (1, 0), value=POWER_FLOOR**0.5)[:, :-1]
        rise = torch.arange(1, hop + 1, dtype=audio.dtype, device=audio.device) / hop
        return (last[..., None] * (1 - rise) + level[..., None] * rise).reshape(audio.shape)
