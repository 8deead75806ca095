"""Losses against the oracle: distances between log-mel spectrograms at several resolutions.

The first is the log-spectral distance of Cifka et al. 2021 itself (power-normalised audio, 128 Slaney mel bands up
to 8 kHz, 128 ms windows), with 80 and with 50 dB of range. The others hold what it does not hear: the octaves above
8 kHz and the attacks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import librosa
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepmusic.dsp.gains import MIN_HALF_WIDTH_HZ, BandLayout
from deepmusic.dsp.loudness import k_weighting

#: Weight in the loss of a decibel between the loudness of output and content, which the runtime would have to take off.
LOUDNESS_WEIGHT = 0.15
#: Excitations of a student and of its teacher are not compared this far below the loudest band of an example, dB.
AUDIBLE_DB = 70.0
#: Bands above the paper's range count this much.
HIGH_BAND_WEIGHT = 0.4
#: Highest frequency that the paper's distance hears, Hz.
PAPER_HIGH_HZ = 8000.0
#: Frames of 256 samples in the paper's window of 128 ms.
SMOOTH_FRAMES = 24


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
        self.paper = MelDistance(sample_rate_hz, 6144, 1536, 128, PAPER_HIGH_HZ, (80.0, 50.0), rms=True)
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


@dataclass(frozen=True, slots=True)
class BandDistances:
    """Parts of the distance between band powers, each a mean over the batch in dB."""

    lsd80: Tensor
    lsd50: Tensor
    short: Tensor
    loudness: Tensor

    def total(self) -> Tensor:
        """The training loss."""
        return self.lsd80 + 1.5 * self.lsd50 + 0.6 * self.short + LOUDNESS_WEIGHT * self.loudness


class BandLoss(nn.Module):
    """The distances of `OracleLoss` as band powers show them: no synthesis, no transform.

    Power in 128 ms windows (24 hops of 256 samples) stands for the paper's spectrogram, power in single frames for the
    short one. As there, the power of a band is divided by its width, and the whole by the power up to 8 kHz.

    Args:
        layout: The bands.
    """

    def __init__(self, layout: BandLayout) -> None:
        super().__init__()
        is_heard = layout.centres_hz <= PAPER_HIGH_HZ
        weight = np.where(is_heard, 1.0, HIGH_BAND_WEIGHT)
        width_hz = np.maximum(np.gradient(layout.centres_hz), MIN_HALF_WIDTH_HZ)
        self.register_buffer("is_heard", torch.tensor(is_heard, dtype=torch.float32))
        self.register_buffer("weight", torch.tensor(weight / weight.sum(), dtype=torch.float32))
        self.register_buffer("per_width", torch.tensor(width_hz.min() / width_hz, dtype=torch.float32))
        window = torch.hann_window(SMOOTH_FRAMES + 2, periodic=False)[1:-1]
        self.register_buffer("window", (window / window.sum()).view(1, 1, -1, 1))
        self.loudness = LoudnessDistance(layout)

    def forward(self, output: Tensor, oracle: Tensor, content: Tensor) -> BandDistances:
        """Distances of band powers (batch, frames, bands)."""
        loudness = self.loudness(output, content)
        output, oracle = (
            power * self.per_width / ((power * self.is_heard).sum(-1).mean(1)[:, None, None] + 1e-12)
            for power in (output, oracle)
        )
        smooth = [
            F.conv2d(power[:, None], self.window, stride=(SMOOTH_FRAMES // 4, 1))[:, 0] for power in (output, oracle)
        ]
        lsd80, lsd50 = (self._rms(*smooth, 10 ** (-range_db / 10)) for range_db in (80.0, 50.0))
        floor = 10**-6.0
        short = (_decibels(output, floor) - _decibels(oracle, floor)).abs()
        return BandDistances(lsd80, lsd50, (short * self.weight).sum(-1).mean(), loudness)

    def _rms(self, output: Tensor, oracle: Tensor, floor: float) -> Tensor:
        difference = _decibels(output, floor) - _decibels(oracle, floor)
        return (torch.sqrt(difference.square().mean(1) + 1e-3) * self.weight).sum(-1).mean()


class LoudnessDistance(nn.Module):
    """How far the loudness of the output is from the content's, after BS.1770-4, in dB, from band powers.

    Args:
        layout: The bands.
    """

    def __init__(self, layout: BandLayout) -> None:
        super().__init__()
        weight = np.abs(k_weighting(layout.centres_hz, 48000)) ** 2
        self.register_buffer("weight", torch.tensor(weight, dtype=torch.float32))

    def forward(self, output: Tensor, content: Tensor) -> Tensor:
        """Mean over the batch; powers are (batch, frames, bands)."""
        out, ref = ((power * self.weight).sum(-1).mean(1) for power in (output, content))
        return (10.0 / math.log(10.0) * (torch.log(out + 1e-12) - torch.log(ref + 1e-12))).abs().mean()


def teacher_distance(levels_db: Tensor, gains_db: Tensor, taught_gains_db: Tensor) -> Tensor:
    """Mean distance in dB of a student's excitations from its teacher's, where either is audible.

    After Hinton et al. 2015, with the teacher's output as a second target beside the oracle: the oracle says what is
    right, the teacher says what a network of this kind can know.

    Args:
        levels_db: Levels of the excitations in dB (batch, frames, 4, bands).
        gains_db: The student's gains, of the same shape.
        taught_gains_db: The teacher's.
    """
    given, taught = levels_db + gains_db, levels_db + taught_gains_db
    floor = taught.amax((1, 2, 3), keepdim=True) - AUDIBLE_DB
    difference = torch.maximum(given, floor) - torch.maximum(taught, floor)
    return difference.abs().sum() / ((taught > floor) | (given > floor)).sum()
