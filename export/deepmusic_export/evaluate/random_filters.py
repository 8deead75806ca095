"""Ulyanov & Lebedev 2016: audio texture synthesis and style transfer by one wide random convolution.

Log magnitudes of the spectrogram are optimised until the Gram matrix of random features over time is the style's, while
the features stay near the content's. Slow (minutes for a few seconds of sound), so it is a row that must be asked for.
"""

from __future__ import annotations

import librosa
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from deepmusic.dsp.resample import resample

#: Rate, transform and hop of the authors' code.
RATE_HZ, N_FFT, HOP = 22050, 2048, 512
#: Random filters, as long as the authors'; they take 4096, which costs four times as much.
N_FILTERS, FILTER_FRAMES = 1024, 11
#: Weight of the content's features against the Gram matrix (the authors' ALPHA).
CONTENT_WEIGHT = 1e-2
#: Iterations of L-BFGS and of Griffin-Lim.
N_ITERATIONS, N_PHASE_ITERATIONS = 100, 64


def random_filters(
    content: np.ndarray, style: np.ndarray, sample_rate_hz: int, n_iterations: int = N_ITERATIONS
) -> np.ndarray:
    """Transfers the style's texture; seeded, so equal input gives equal output.

    Args:
        content: float32 (samples,).
        style: float32 (samples,), of any length.
        sample_rate_hz: The rate of both.
        n_iterations: Of L-BFGS.

    Returns:
        float32, as long as the content; nothing above 11 kHz.
    """
    generator = torch.Generator().manual_seed(0)
    content_level, style_level = (_log_magnitude(audio, sample_rate_hz) for audio in (content, style))
    n_bins = content_level.shape[0]
    deviation = (2.0 * 2.0 / ((n_bins + N_FILTERS) * FILTER_FRAMES)) ** 0.5
    filters = torch.randn(N_FILTERS, n_bins, FILTER_FRAMES, generator=generator) * deviation

    def features(level: Tensor) -> Tensor:
        return F.relu(F.conv1d(level[None], filters))[0]

    with torch.no_grad():
        wanted_content, wanted_gram = features(content_level), _gram(features(style_level))
    level = (1e-3 * torch.randn(content_level.shape, generator=generator)).requires_grad_()
    optimiser = torch.optim.LBFGS([level], max_iter=n_iterations, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        seen = features(level)
        total = CONTENT_WEIGHT * (seen - wanted_content).square().sum() + (_gram(seen) - wanted_gram).square().sum()
        total.backward()
        return total

    optimiser.step(loss)
    magnitude = torch.expm1(level.detach().clamp(min=0)).numpy()
    audio = librosa.griffinlim(
        magnitude, n_iter=N_PHASE_ITERATIONS, hop_length=HOP, n_fft=N_FFT, random_state=np.random.RandomState(0)
    )
    return resample(audio.astype(np.float32)[None], RATE_HZ, sample_rate_hz, n_samples=len(content))[0]


def _log_magnitude(audio: np.ndarray, sample_rate_hz: int) -> Tensor:
    """(bins, frames): log1p of the magnitude, as the authors take it."""
    at_rate = resample(audio[None], sample_rate_hz, RATE_HZ)[0]
    return torch.from_numpy(np.log1p(np.abs(librosa.stft(at_rate, n_fft=N_FFT, hop_length=HOP))))


def _gram(features: Tensor) -> Tensor:
    return features @ features.T / features.shape[1]
