"""A symmetric STFT on a truncated Gaussian window, with its canonical dual: its phase follows from its magnitude.

Frame n looks at the N samples that end with sample (n+1)*hop - 1, so every sample is seen N/hop times; its phase is
measured from its middle. The window is as long as the transform, so the frame operator is diagonal and the dual window
is the window over it (Gröchenig 2001, the "painless" case).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

#: Height of the window where it is cut off, over its middle.
EDGE_HEIGHT = 0.01
#: Frames of one batch of transforms.
_BATCH_FRAMES = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class GaussianStft:
    """Sizes of the transform."""

    n_fft: int = 2048
    """Window and transform, even, a multiple of the hop."""
    hop: int = 256
    """Samples from frame to frame."""

    def __post_init__(self) -> None:
        if self.n_fft < 8 or self.n_fft % 2 or self.hop < 1 or self.n_fft % self.hop:
            raise ValueError(f"expected an even n_fft that is a multiple of hop, got {self.n_fft} and {self.hop}")

    @property
    def n_bins(self) -> int:
        """Frequency rows."""
        return self.n_fft // 2 + 1

    @property
    def spread(self) -> float:
        """Gamma of the window exp(-pi t^2 / gamma), samples squared."""
        return math.pi * self.n_fft**2 / (-4.0 * math.log(EDGE_HEIGHT))

    def n_frames(self, n_samples: int) -> int:
        """Frames that look at any of so many samples."""
        return -(-n_samples // self.hop) + self.n_fft // self.hop - 1

    def analyse(self, audio: np.ndarray) -> np.ndarray:
        """Spectra [t, f] of mono audio: (samples,) -> complex64 (frames, bins)."""
        half = self.n_fft // 2
        n_frames = self.n_frames(len(audio))
        padded = np.zeros((n_frames - 1) * self.hop + self.n_fft, np.float32)
        padded[self.n_fft - self.hop :][: len(audio)] = audio
        frames = np.lib.stride_tricks.sliding_window_view(padded, self.n_fft)[:: self.hop]
        window = self._window().astype(np.float32)
        spectra = np.empty((n_frames, self.n_bins), np.complex64)
        for first in range(0, n_frames, _BATCH_FRAMES):
            batch = frames[first : first + _BATCH_FRAMES] * window
            # The middle of the window goes to sample 0 of the transform: the phase's point of reference.
            spectra[first : first + len(batch)] = np.fft.rfft(np.roll(batch, half, axis=1))
        return spectra

    def synthesise(self, spectra: np.ndarray, n_samples: int) -> np.ndarray:
        """The signal whose spectra are nearest: complex (frames, bins) -> float32 (samples,)."""
        half = self.n_fft // 2
        dual = self._dual().astype(np.float32)
        total = np.zeros((len(spectra) - 1) * self.hop + self.n_fft, np.float32)
        for first in range(0, len(spectra), _BATCH_FRAMES):
            frames = np.roll(np.fft.irfft(spectra[first : first + _BATCH_FRAMES], self.n_fft), half, axis=1)
            frames = (frames * dual).astype(np.float32)
            for part in range(self.n_fft // self.hop):  # frames a part further on do not overlap within themselves
                start = first * self.hop + part * self.hop
                stretch = total[start : start + len(frames) * self.hop].reshape(len(frames), self.hop)
                stretch += frames[:, part * self.hop : (part + 1) * self.hop]
        return total[self.n_fft - self.hop :][:n_samples]

    def _window(self) -> np.ndarray:
        offset = np.arange(self.n_fft) - self.n_fft // 2
        return np.exp(-math.pi * offset**2 / self.spread)

    def _dual(self) -> np.ndarray:
        window = self._window()
        overlap = np.square(window).reshape(-1, self.hop).sum(0)
        return window / np.tile(overlap, self.n_fft // self.hop)
