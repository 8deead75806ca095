r"""The geometry of the asymmetric STFT and its pair of windows.

::

    analysis  w   ____________/‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾\     rises over 3N/4, falls over N/4
    synthesis s                     __/‾\__         Hann(N/2) / w, over the last half of the frame
                  |<------- N ----------->|
                                  |<-N/2->|         only this part is overlap-added: hop N/8, latency N/2 - hop

A long rise gives the frequency resolution of N samples; the short synthesis window gives the latency of N/2. Product of
both is a Hann window, which overlap-adds to one. Pairs of this form: Mauler and Martin, "A low delay, variable
resolution, perfect reconstruction spectral analysis-synthesis system for speech enhancement", EUSIPCO 2007.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deepmusic.audio import Audio

STEP_FRAMES = 4
"""Frames of one model step: two pools by two over time ask for four."""

_RATE_TO_N_FFT = ((50_000, 2048), (100_000, 4096))
_LARGEST_N_FFT = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class StftGeometry:
    """Sizes of the streaming STFT, in samples at the host's rate."""

    n_fft: int
    """Analysis window and transform, a multiple of 8."""

    n_synthesis: int
    """Synthesis window: the last half of the frame."""

    hop: int
    """Samples from frame to frame: an eighth of ``n_fft``."""

    sample_rate_hz: int
    """Rate of the samples, in Hz."""

    def __post_init__(self) -> None:
        if self.n_fft < 64 or self.n_fft % 64:
            raise ValueError(f"expected n_fft to be a multiple of 64, got {self.n_fft}")
        if self.n_synthesis * 2 != self.n_fft or self.hop * 8 != self.n_fft:
            raise ValueError(f"expected n_synthesis n_fft/2 and hop n_fft/8, got {self.n_synthesis} and {self.hop}")
        if self.sample_rate_hz <= 0:
            raise ValueError(f"expected a positive sample rate, got {self.sample_rate_hz}")

    @classmethod
    def for_rate(cls, sample_rate_hz: int) -> StftGeometry:
        """The geometry whose bin spacing is that of the training, within 9 %, at the host's rate."""
        n_fft = next((n for limit, n in _RATE_TO_N_FFT if sample_rate_hz <= limit), _LARGEST_N_FFT)
        return cls(n_fft=n_fft, n_synthesis=n_fft // 2, hop=n_fft // 8, sample_rate_hz=sample_rate_hz)

    @property
    def n_bins(self) -> int:
        """Frequency rows of a spectrum, 0 Hz and half the rate included."""
        return self.n_fft // 2 + 1

    @property
    def step_samples(self) -> int:
        """Samples of one model step."""
        return STEP_FRAMES * self.hop

    @property
    def frames_per_s(self) -> float:
        """Frame rate in Hz."""
        return self.sample_rate_hz / self.hop


def stream_latency_samples(geometry: StftGeometry, step_frames: int = STEP_FRAMES) -> int:
    """Algorithmic delay of framing, analysis and synthesis, in samples, for blocks of any size.

    A sample may wait for ``step_frames * hop - 1`` more until its step is whole, and is complete in the output
    ``n_synthesis - hop`` samples after the step's end.
    """
    return (step_frames * geometry.hop - 1) + (geometry.n_synthesis - geometry.hop)


def bin_frequencies_hz(geometry: StftGeometry) -> Audio:
    """Centre of every bin in Hz, float32 ``(n_bins,)``."""
    return (np.arange(geometry.n_bins) * (geometry.sample_rate_hz / geometry.n_fft)).astype(np.float32)


def analysis_window(geometry: StftGeometry) -> Audio:
    """w, float32 ``(n_fft,)``: a quarter sine over 3N/4, then a quarter cosine over N/4."""
    return _analysis_window(geometry.n_fft).astype(np.float32)


def synthesis_window(geometry: StftGeometry) -> Audio:
    """s, float32 ``(n_synthesis,)``, for the last half of the inverse transform.

    ``w[N/2 + m] * s[m] = sin(pi * (m + 0.5) / (N/2))**2 / 2``, a Hann window that sums to one at hop N/8.
    """
    half = geometry.n_synthesis
    hann = 0.5 * np.sin(np.pi * (np.arange(half) + 0.5) / half) ** 2
    return (hann / _analysis_window(geometry.n_fft)[half:]).astype(np.float32)


def _analysis_window(n_fft: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    rise, fall = 3 * n_fft // 4, n_fft // 4
    return np.concatenate(
        [
            np.sin(np.pi / 2 * (np.arange(rise) + 0.5) / rise),
            np.cos(np.pi / 2 * (np.arange(fall) + 0.5) / fall),
        ]
    )
