r"""What the recipe `gains` hears of the content: enough to know the output's bands for any gains, without synthesis.

With the spectra X_e of the excitations and gains g_e that change little within a band, the output's power in a band
is a quadratic form in four gains, exact in how the excitations add up or cancel:

    P_b = sum over e, f of g_e g_f C_ef,b     C_ef,b = sum over bins of W_b Re(X_e conj X_f), mean over channels

So a chunk is 10 numbers a frame and band, where its spectra are 8200, and a step of the optimiser needs no transform.
The same form in bins, for every eighth frame, serves the chroma.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deepmusic.audio import Audio, Spectra
from deepmusic.dsp.excitation import EXCITATIONS, NOISE, ExcitationBank
from deepmusic.dsp.gains import BandAnalysis, BandedMatrix, BandLayout, analysis_matrix
from deepmusic.dsp.stft import AnalysisStft
from deepmusic.dsp.windows import STEP_FRAMES, StftGeometry, analysis_window
from deepmusic.model.style_vector import StyleVector
from deepmusic_export.optimise.network import GainModel

#: The pairs of excitations of a quadratic form, in the order of its second axis.
PAIRS = tuple((e, f) for e in range(len(EXCITATIONS)) for f in range(e, len(EXCITATIONS)))
#: Frames from one that the chroma hears to the next: 43 ms at 48 kHz.
CHROMA_STRIDE = 8
#: The chroma hears bins up to here, Hz (metrics.Recording.chroma).
CHROMA_HIGH_HZ = 4000.0
#: Frames at the start of a recording whose window reaches into the silence before it.
WARM_UP_FRAMES = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A stretch of the content."""

    bands: np.ndarray
    """float32 (frames, 10, bands): the quadratic form of every band, off-diagonal entries doubled."""
    bins: np.ndarray
    """float32 (frames / 8, 10, bins up to 4 kHz): the same of bins."""
    start_db: np.ndarray
    """float32 (frames, 4, bands): the gains of the start."""

    @property
    def n_steps(self) -> int:
        """Model steps that it lasts."""
        return len(self.start_db) // STEP_FRAMES

    def followed_by(self, other: Heard) -> Heard:
        """Both, one after the other; each has an even number of steps."""
        return Heard(
            bands=np.concatenate([self.bands, other.bands]),
            bins=np.concatenate([self.bins, other.bins]),
            start_db=np.concatenate([self.start_db, other.start_db]),
        )

    def last_steps(self, n_steps: int) -> Heard:
        """Its end."""
        first = len(self.start_db) - n_steps * STEP_FRAMES
        return Heard(bands=self.bands[first:], bins=self.bins[first // CHROMA_STRIDE :], start_db=self.start_db[first:])


class ContentHearing:
    """Hears a recording from its start on, as the session will.

    Args:
        audio: (channels, samples) at a rate that a session has.
        sample_rate_hz: The rate.
        model: The start.
        style: Its style.
        layout: Its bands.
    """

    def __init__(
        self, audio: Audio, sample_rate_hz: int, model: GainModel, style: StyleVector, layout: BandLayout
    ) -> None:
        geometry = StftGeometry.for_rate(sample_rate_hz)
        self._audio, self._model, self._style = audio, model, style.values[np.newaxis]
        self._state = model.initial_state()[np.newaxis]
        self._step_samples, self._position = geometry.step_samples, 0
        self._bank = ExcitationBank(geometry, audio.shape[0])
        self._analysis = BandAnalysis(layout, geometry)
        self._product = BandedMatrix(np.ascontiguousarray(analysis_matrix(layout, geometry).T))
        self._scale = np.float32((2.0 / analysis_window(geometry).sum(dtype=np.float64)) ** 2)
        self._n_chroma_bins = n_chroma_bins(geometry)

    def next_steps(self, n_steps: int) -> Heard:
        """The next steps, an even number; silence follows the end of the recording."""
        parts = [self._step() for _ in range(n_steps)]
        bins = np.concatenate([form[:1, :, : self._n_chroma_bins] for form, _, _ in parts[::2]])
        return Heard(
            bands=np.concatenate([bands for _, bands, _ in parts]),
            bins=bins * self._scale,
            start_db=np.concatenate([gains for _, _, gains in parts]),
        )

    def _step(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        step = np.zeros((self._audio.shape[0], self._step_samples), np.float32)
        given = self._audio[:, self._position : self._position + self._step_samples]
        step[:, : given.shape[1]] = given
        self._position += self._step_samples
        spectra = self._bank.process(step)
        heard = np.ascontiguousarray(self._analysis.band_magnitudes(spectra[:NOISE]).transpose(1, 0, 2))
        gain_db, self._state = self._model.step(
            heard[np.newaxis], self._style, np.zeros((1, 1), np.float32), self._state
        )
        form = quadratic_form(spectra)
        bands = self._product.multiply(form.reshape(-1, form.shape[2])).reshape(len(form), len(PAIRS), -1)
        return form, bands * self._scale, gain_db[0]


def quadratic_form(spectra: Spectra) -> np.ndarray:
    """Products of every pair of excitations: complex64 (4, channels, frames, bins) -> float32 (frames, 10, bins)."""
    form = np.empty((spectra.shape[2], len(PAIRS), spectra.shape[3]), np.float32)
    for index, (e, f) in enumerate(PAIRS):
        product = (spectra[e].real * spectra[f].real + spectra[e].imag * spectra[f].imag).mean(0)
        form[:, index] = product if e == f else 2 * product
    return form


def n_chroma_bins(geometry: StftGeometry) -> int:
    """Bins that the chroma hears."""
    return round(CHROMA_HIGH_HZ / geometry.sample_rate_hz * geometry.n_fft)


def style_magnitudes(piece: Audio, sample_rate_hz: int, layout: BandLayout) -> np.ndarray:
    """Band magnitudes of a style's excerpt: (channels, samples) -> float32 (frames, bands)."""
    geometry = StftGeometry.for_rate(sample_rate_hz)
    n_frames = piece.shape[1] // geometry.hop
    stft, analysis = AnalysisStft(geometry, piece.shape[0]), BandAnalysis(layout, geometry)
    frames = np.ascontiguousarray(piece[:, : n_frames * geometry.hop])
    return analysis.band_magnitudes(stft.process(frames))[WARM_UP_FRAMES:]
