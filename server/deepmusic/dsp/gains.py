"""Bands that are defined in Hz, and gain fields from bands back to bins.

The network sees magnitudes in ``n_bands`` bands and answers with gains in dB in the same bands. Both directions are a
matrix made for the host's rate, so one network serves every rate. Both matrices are banded: a bin touches a few
neighbouring bands only, and ``BandedMatrix`` multiplies no more than that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deepmusic.audio import Spectra
from deepmusic.dsp.windows import StftGeometry, analysis_window, bin_frequencies_hz

MIN_HALF_WIDTH_HZ = 35.0
"""Smallest half width of a band: one and a half bins of 23.4 Hz, so that no band falls between two bins."""

_ENTRIES_A_BLOCK = 4096
_ROWS_A_PRODUCT = 16
# A product of 16 rows with a block of 4096 entries stays well under the 2**18 multiplications from which on OpenBLAS
# wakes its other threads; on a busy machine waiting for them took up to 20 ms (measured).

_NEPER_PER_DB = np.log(10.0) / 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BandLayout:
    """Where the bands lie: centres equally spaced on the HTK mel scale."""

    n_bands: int = 96
    """2 to 512."""

    low_hz: float = 30.0
    """Centre of the lowest band, in Hz."""

    high_hz: float = 18000.0
    """Centre of the highest band, in Hz; below half of every supported rate."""

    def __post_init__(self) -> None:
        if not 2 <= self.n_bands <= 512:
            raise ValueError(f"expected 2 to 512 bands, got {self.n_bands}")
        if not 0.0 <= self.low_hz < self.high_hz:
            raise ValueError(f"expected 0 <= low_hz < high_hz, got {self.low_hz} and {self.high_hz}")

    @property
    def centres_hz(self) -> npt.NDArray[np.float64]:
        """Centre of every band in Hz, float64 ``(n_bands,)``."""
        mel = np.linspace(_mel(self.low_hz), _mel(self.high_hz), self.n_bands)
        return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)


def analysis_matrix(layout: BandLayout, geometry: StftGeometry) -> npt.NDArray[np.float32]:
    """Weights of bins in bands: a triangle in Hz for each band, one at its centre.

    It reaches zero at the neighbours' centres, or ``MIN_HALF_WIDTH_HZ`` away where they are nearer. The outermost bands
    are symmetric, with the one spacing that they have.

    Returns:
        float32 ``(n_bands, n_bins)``.
    """
    centres = layout.centres_hz
    spacing = np.diff(centres)
    below = np.maximum(np.concatenate([spacing[:1], spacing]), MIN_HALF_WIDTH_HZ)
    above = np.maximum(np.concatenate([spacing, spacing[-1:]]), MIN_HALF_WIDTH_HZ)
    offset = _bins_hz(geometry)[np.newaxis, :] - centres[:, np.newaxis]
    width = np.where(offset < 0.0, below[:, np.newaxis], above[:, np.newaxis])
    return np.maximum(0.0, 1.0 - np.abs(offset) / width).astype(np.float32)


def interpolation_matrix(layout: BandLayout, geometry: StftGeometry) -> npt.NDArray[np.float32]:
    """Weights of bands in bins: linear in mel between adjacent centres, constant beyond the outermost.

    Returns:
        float32 ``(n_bands, n_bins)``; every column sums to one.
    """
    spacing = (_mel(layout.high_hz) - _mel(layout.low_hz)) / (layout.n_bands - 1)
    mel = 2595.0 * np.log10(1.0 + _bins_hz(geometry) / 700.0)
    place = np.clip((mel - _mel(layout.low_hz)) / spacing, 0.0, layout.n_bands - 1.0)
    band = np.arange(layout.n_bands)[:, np.newaxis]
    return np.maximum(0.0, 1.0 - np.abs(place[np.newaxis, :] - band)).astype(np.float32)


class BandedMatrix:
    """``rows @ matrix`` where every column of the matrix has only a few neighbouring entries.

    Args:
        matrix: float32 ``(n_in, n_out)``.
    """

    def __init__(self, matrix: npt.NDArray[np.float32]) -> None:
        self._n_out = matrix.shape[1]
        self._blocks: list[tuple[slice, slice, npt.NDArray[np.float32]]] = []
        first = 0
        while first < self._n_out:
            rows, columns = _block(matrix, first)
            self._blocks.append((rows, columns, np.ascontiguousarray(matrix[rows, columns])))
            first = columns.stop

    def multiply(
        self, rows: npt.NDArray[np.float32], out: npt.NDArray[np.float32] | None = None
    ) -> npt.NDArray[np.float32]:
        """float32 ``(n, n_in)`` to ``(n, n_out)``; into ``out`` where it is given."""
        if out is None:
            out = np.empty((rows.shape[0], self._n_out), np.float32)
        for first in range(0, rows.shape[0], _ROWS_A_PRODUCT):
            some, result = rows[first : first + _ROWS_A_PRODUCT], out[first : first + _ROWS_A_PRODUCT]
            for used, columns, block in self._blocks:
                np.matmul(some[:, used], block, out=result[:, columns])
        return out


class BandAnalysis:
    """Spectra to band magnitudes: what the network hears.

    Args:
        layout: The bands.
        geometry: Sizes and rate of the spectra.
    """

    def __init__(self, layout: BandLayout, geometry: StftGeometry) -> None:
        self._layout = layout
        self._product = BandedMatrix(np.ascontiguousarray(analysis_matrix(layout, geometry).T))
        self._scale = np.float32((2.0 / analysis_window(geometry).sum(dtype=np.float64)) ** 2)

    def band_magnitudes(self, spectra: Spectra) -> npt.NDArray[np.float32]:
        """Root of the bands' power, averaged over channels (not of the mid, which cancels).

        A sine of amplitude a at a band's centre gives a, up to 10 % more.

        Args:
            spectra: complex64 ``(..., channels, frames, bins)``, contiguous in its last axis; further axes are kept
                in front.

        Returns:
            ``sqrt(M @ (mean over channels of |X|^2 * (2 / sum(w))^2))``, float32 ``(..., frames, n_bands)``.
        """
        return self.magnitudes_of_power(channel_power(spectra), spectra.shape[-3])

    def magnitudes_of_power(self, power: npt.NDArray[np.float32], n_channels: int) -> npt.NDArray[np.float32]:
        """``band_magnitudes`` where the power of the bins is known.

        Args:
            power: ``channel_power`` of the spectra, float32 ``(..., frames, bins)``.
            n_channels: Channels that it is the sum over.
        """
        bands = self._product.multiply(power.reshape(-1, power.shape[-1]))
        bands *= self._scale / np.float32(n_channels)
        np.sqrt(bands, out=bands)
        return bands.reshape(*power.shape[:-1], self._layout.n_bands)


class GainField:
    """Gains in bands to gains in bins, and their use.

    Args:
        layout: The bands.
        geometry: Sizes and rate of the spectra.
    """

    def __init__(self, layout: BandLayout, geometry: StftGeometry) -> None:
        self._n_bands = layout.n_bands
        self._n_bins = geometry.n_bins
        nepers = interpolation_matrix(layout, geometry).astype(np.float64) * _NEPER_PER_DB
        self._product = BandedMatrix(nepers.astype(np.float32))

    def bin_gains(
        self, gain_db: npt.NDArray[np.float32], out: npt.NDArray[np.float32] | None = None
    ) -> npt.NDArray[np.float32]:
        """Linear gain of every bin, interpolated in dB.

        Args:
            gain_db: float32 ``(..., n_bands)``, dB.
            out: float32 ``(..., bins)``, C-contiguous.

        Returns:
            ``10 ** ((gain_db @ interpolation) / 20)``, float32 ``(..., bins)``.
        """
        if out is None:
            out = np.empty((*gain_db.shape[:-1], self._n_bins), np.float32)
        rows = out.reshape(-1, self._n_bins)
        self._product.multiply(gain_db.reshape(-1, self._n_bands), out=rows)
        np.exp(rows, out=rows)
        return out


class GainMixer:
    """Weights the excitations' spectra by their gains and adds them up, without fresh memory a step.

    Args:
        n_excitations: Spectra that are added up.
        n_channels: Channels that share the gains.
        n_frames: Largest number of frames a call.
        n_bins: Frequency rows.
    """

    def __init__(self, n_excitations: int, n_channels: int, n_frames: int, n_bins: int) -> None:
        self._n_excitations = n_excitations
        self._product = np.empty((n_channels, n_frames, n_bins), np.complex64)

    def mix(self, spectra: Spectra, bin_gains: npt.NDArray[np.float32], out: Spectra | None = None) -> Spectra:
        """``sum over e of gains[e] * spectra[e]``.

        Args:
            spectra: complex64 ``(excitations, channels, frames, bins)``.
            bin_gains: float32 ``(excitations, frames, bins)``, linear; one field for all channels.
            out: Where to write the result, complex64 ``(channels, frames, bins)``.

        Returns:
            complex64 ``(channels, frames, bins)``: ``out`` where it was given.
        """
        if out is None:
            out = np.empty(spectra.shape[1:], np.complex64)
        product = self._product[:, : spectra.shape[2]]
        np.multiply(spectra[0], bin_gains[0], out=out)
        for index in range(1, self._n_excitations):
            np.multiply(spectra[index], bin_gains[index], out=product)
            out += product
        return out


def channel_power(spectra: Spectra) -> npt.NDArray[np.float32]:
    """Sum over channels of ``|X|^2``.

    Args:
        spectra: complex64 ``(..., channels, frames, bins)``, contiguous in its last axis.

    Returns:
        float32 ``(..., frames, bins)``, unscaled.
    """
    parts = spectra.view(np.float32)  # the real and the imaginary part of every bin, squared and summed in one pass
    squares = np.einsum("...cfp,...cfp->...fp", parts, parts, optimize=False)
    return squares[..., 0::2] + squares[..., 1::2]


def _block(matrix: npt.NDArray[np.float32], first: int) -> tuple[slice, slice]:
    """Rows and columns of the largest block from column ``first`` on that has at most ``_ENTRIES_A_BLOCK`` entries."""
    low, high = matrix.shape[0], 1
    last = first
    while last < matrix.shape[1]:
        used = np.flatnonzero(matrix[:, last])
        if used.size:
            wider = min(low, int(used[0])), max(high, int(used[-1]) + 1)
            if last > first and (wider[1] - wider[0]) * (last + 1 - first) > _ENTRIES_A_BLOCK:
                break
            low, high = wider
        last += 1
    return slice(min(low, high - 1), high), slice(first, last)


def _mel(frequency_hz: float) -> float:
    return 2595.0 * float(np.log10(1.0 + frequency_hz / 700.0))


def _bins_hz(geometry: StftGeometry) -> npt.NDArray[np.float64]:
    return bin_frequencies_hz(geometry).astype(np.float64)
