"""Streaming short-time Fourier transform and its inverse, hop by hop.

Frame t covers samples ``(t+1)*hop - n_fft .. (t+1)*hop - 1``: it is known as soon as its last sample is. The stream is
silent before sample 0. Both classes take any whole number of hops at a time and give the same values, bit for bit,
however the hops are grouped.
"""

from __future__ import annotations

from typing import Any, cast  # numpy's stubs know only float64 transforms; float32 in gives complex64 out

import numpy as np
import scipy.fft
from numpy.lib.stride_tricks import as_strided

from deepmusic.audio import Audio, Spectra
from deepmusic.dsp.windows import StftGeometry, analysis_window, synthesis_window

_FRAMES_A_TURN = 4
_ROWS_A_BATCH = 16
# Transforms a call. Measured, n_fft 2048 float32, 16 rows: 2.1 us a row by the rfft of scipy, which turns some at once,
# 3.6 by numpy's; 2.3 by either's irfft, and numpy's has an `out`. Beyond 32 rows the working set leaves the cache.
_fft: Any = scipy.fft
_FAINT = np.float32(1e-25)
# Added to samples and taken away again: those below 1e-32 (-640 dBFS) become 0, those above 2e-18 stay as they are.
# Transforms of denormal numbers take up to twice the time.


class AnalysisStft:
    """Samples in, spectra out.

    Args:
        geometry: Sizes and rate.
        n_channels: Rows that are transformed side by side.
    """

    def __init__(self, geometry: StftGeometry, n_channels: int) -> None:
        self._geometry = geometry
        self._n_channels = n_channels
        self._window = analysis_window(geometry)
        self._n_past = geometry.n_fft - geometry.hop
        self._history = np.zeros((n_channels, self._n_past + _FRAMES_A_TURN * geometry.hop), np.float32)
        self._rows = min(n_channels, _ROWS_A_BATCH // _FRAMES_A_TURN)
        self._windowed = np.empty((self._rows, _FRAMES_A_TURN, geometry.n_fft), np.float32)

    def process(self, step: Audio, out: Spectra | None = None) -> Spectra:
        """Spectra of the next ``k`` frames.

        Args:
            step: ``(channels, k * hop)``; not changed.
            out: Where to write the result, complex64 ``(channels, k, bins)``. A caller in the audio path hands the
                same array in every time: fresh pages cost more than the transforms.

        Returns:
            ``rfft(window * frame)``, unscaled, complex64 ``(channels, k, bins)``: ``out`` where it was given.
        """
        hop = self._geometry.hop
        n_frames, rest = divmod(step.shape[1], hop)
        if rest or step.shape[0] != self._n_channels:
            raise ValueError(f"expected ({self._n_channels}, k * {hop}) samples, got {step.shape}")
        if out is None:
            out = np.empty((self._n_channels, n_frames, self._geometry.n_bins), np.complex64)
        for first in range(0, n_frames, _FRAMES_A_TURN):
            last = min(first + _FRAMES_A_TURN, n_frames)
            self._turn(step[:, first * hop : last * hop], out[:, first:last])
        return out

    def reset(self) -> None:
        """Forgets all samples: silence before the next one."""
        self._history.fill(0.0)

    def _turn(self, samples: Audio, out: Spectra) -> None:
        hop, n_fft = self._geometry.hop, self._geometry.n_fft
        n_new = samples.shape[1]
        k = n_new // hop
        history = self._history
        fresh = history[:, self._n_past : self._n_past + n_new]
        np.add(samples, _FAINT, out=fresh)
        fresh -= _FAINT
        stride_channel, stride_sample = history.strides
        frames = as_strided(
            history,
            (self._n_channels, k, n_fft),
            (stride_channel, hop * stride_sample, stride_sample),
            writeable=False,
        )
        for low in range(0, self._n_channels, self._rows):
            high = min(low + self._rows, self._n_channels)
            windowed = self._windowed[: high - low, :k]
            np.multiply(frames[low:high], self._window, out=windowed)
            out[low:high] = _fft.rfft(windowed, overwrite_x=True)
        history[:, : self._n_past] = history[:, n_new : n_new + self._n_past]


class SynthesisStft:
    """Spectra in, samples out, by overlap-add of the last half of every frame.

    ``process`` returns as many hops as it got frames. With an ``AnalysisStft`` before it, the chain delays by
    ``latency_samples`` and reproduces its input.

    Args:
        geometry: Sizes and rate.
        n_channels: Rows that are transformed side by side.
    """

    def __init__(self, geometry: StftGeometry, n_channels: int) -> None:
        self._geometry = geometry
        self._n_channels = n_channels
        self._window = synthesis_window(geometry)
        self._n_parts = geometry.n_synthesis // geometry.hop
        # Hop j of a turn is [frame j-3 part 3] + [j-2 part 2] + [j-1 part 1] + [j part 0], always added in this order.
        self._sums = np.zeros((n_channels, _FRAMES_A_TURN + self._n_parts - 1, geometry.hop), np.float32)
        self._frames = np.empty((n_channels, _FRAMES_A_TURN, geometry.n_fft), np.float32)
        self._rows = min(n_channels, _ROWS_A_BATCH // _FRAMES_A_TURN)

    @property
    def latency_samples(self) -> int:
        """Delay from a frame's last hop to its place in the output, in samples."""
        return self._geometry.n_synthesis - self._geometry.hop

    def process(self, spectra: Spectra, out: Audio | None = None) -> Audio:
        """Samples that the next ``k`` frames complete.

        Args:
            spectra: complex64 ``(channels, k, bins)``; not changed.
            out: Where to write the result, ``(channels, k * hop)``.

        Returns:
            ``(channels, k * hop)``: ``out`` where it was given.
        """
        hop = self._geometry.hop
        if spectra.shape[0] != self._n_channels or spectra.shape[2] != self._geometry.n_bins:
            raise ValueError(f"expected ({self._n_channels}, k, {self._geometry.n_bins}) spectra, got {spectra.shape}")
        n_frames = spectra.shape[1]
        if out is None:
            out = np.empty((self._n_channels, n_frames * hop), np.float32)
        for first in range(0, n_frames, _FRAMES_A_TURN):
            last = min(first + _FRAMES_A_TURN, n_frames)
            self._turn(spectra[:, first:last], out[:, first * hop : last * hop])
        return out

    def flush(self) -> Audio:
        """The last ``latency_samples`` samples, as silent frames would push them out."""
        n_frames = self._n_parts - 1
        return self.process(np.zeros((self._n_channels, n_frames, self._geometry.n_bins), np.complex64))

    def reset(self) -> None:
        """Forgets all frames."""
        self._sums.fill(0.0)

    def _turn(self, spectra: Spectra, out: Audio) -> None:
        k, n_parts, hop = spectra.shape[1], self._n_parts, self._geometry.hop
        sums = self._sums
        frames = self._frames[:, :k]
        for low in range(0, self._n_channels, self._rows):
            high = min(low + self._rows, self._n_channels)
            np.fft.irfft(spectra[low:high], n=self._geometry.n_fft, out=cast(Any, frames[low:high]))
        wanted = frames[:, :, self._geometry.n_synthesis :]
        wanted *= self._window
        parts = wanted.reshape(self._n_channels, k, n_parts, hop)
        for part in range(n_parts - 1, -1, -1):
            sums[:, part : part + k] += parts[:, :, part]
        out.reshape(self._n_channels, k, hop)[...] = sums[:, :k]
        sums[:, : n_parts - 1] = sums[:, k : k + n_parts - 1]
        sums[:, n_parts - 1 :] = 0.0
