"""Bands in Hz and gain fields, against their definitions written out."""

from __future__ import annotations

import numpy as np
import pytest

from deepmusic.audio import SUPPORTED_RATES_HZ
from deepmusic.dsp.gains import (
    MIN_HALF_WIDTH_HZ,
    BandAnalysis,
    BandedMatrix,
    BandLayout,
    GainField,
    GainMixer,
    analysis_matrix,
    interpolation_matrix,
)
from deepmusic.dsp.stft import AnalysisStft
from deepmusic.dsp.windows import StftGeometry, analysis_window, bin_frequencies_hz

LAYOUT = BandLayout()
GEOMETRY = StftGeometry.for_rate(48000)

RELATIVE = 2e-6
"""Sums of a few hundred float32 products against float64."""


def random_spectra(*shape: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


def test_centres_are_equally_spaced_in_mel() -> None:
    mel = 2595 * np.log10(1 + LAYOUT.centres_hz / 700)
    np.testing.assert_allclose(np.diff(mel), np.diff(mel)[0])
    assert LAYOUT.centres_hz[0] == pytest.approx(30.0)
    assert LAYOUT.centres_hz[-1] == pytest.approx(18000.0)


@pytest.mark.parametrize("rate_hz", SUPPORTED_RATES_HZ)
def test_every_band_is_a_triangle_around_its_centre(rate_hz: int) -> None:
    geometry = StftGeometry.for_rate(rate_hz)
    matrix = analysis_matrix(LAYOUT, geometry)
    frequencies = bin_frequencies_hz(geometry).astype(np.float64)
    centres = LAYOUT.centres_hz
    assert matrix.shape == (96, geometry.n_bins)
    for band in (0, 1, 40, 94, 95):
        below = centres[band] - centres[band - 1] if band else centres[1] - centres[0]
        above = centres[band + 1] - centres[band] if band < 95 else centres[95] - centres[94]
        left = centres[band] - max(below, MIN_HALF_WIDTH_HZ)
        right = centres[band] + max(above, MIN_HALF_WIDTH_HZ)
        expected = np.interp(frequencies, [left, centres[band], right], [0.0, 1.0, 0.0])
        np.testing.assert_allclose(matrix[band], expected, atol=1e-6)
        assert matrix[band].any(), "a band that no bin reaches hears nothing"


@pytest.mark.parametrize("rate_hz", SUPPORTED_RATES_HZ)
def test_interpolation_is_linear_in_mel_and_constant_outside(rate_hz: int) -> None:
    geometry = StftGeometry.for_rate(rate_hz)
    matrix = interpolation_matrix(LAYOUT, geometry)
    np.testing.assert_allclose(matrix.sum(axis=0), 1.0, atol=1e-6)
    mel = 2595 * np.log10(1 + bin_frequencies_hz(geometry).astype(np.float64) / 700)
    centres = 2595 * np.log10(1 + LAYOUT.centres_hz / 700)
    gains = np.random.default_rng(0).standard_normal(96)
    np.testing.assert_allclose(gains @ matrix, np.interp(mel, centres, gains), atol=1e-5)


@pytest.mark.parametrize("matrix", [analysis_matrix(LAYOUT, GEOMETRY).T, interpolation_matrix(LAYOUT, GEOMETRY)])
def test_the_banded_product_is_the_whole_product(matrix: np.ndarray) -> None:
    rows = np.random.default_rng(0).random((7, matrix.shape[0]), np.float32)
    np.testing.assert_allclose(
        BandedMatrix(matrix).multiply(rows), rows @ matrix.astype(np.float64), rtol=1e-5, atol=1e-5
    )


def test_a_banded_matrix_may_have_empty_columns() -> None:
    matrix = np.zeros((40, 40), np.float32)
    matrix[3, 2] = 2.0
    product = BandedMatrix(matrix).multiply(np.ones((1, 40), np.float32))
    assert product.sum() == product[0, 2] == 2.0


def test_band_magnitudes_are_the_root_of_the_mean_channel_power() -> None:
    spectra = random_spectra(2, 3, GEOMETRY.n_bins)
    power = (np.abs(spectra.astype(np.complex128)) ** 2).mean(axis=0) * (2 / analysis_window(GEOMETRY).sum()) ** 2
    expected = np.sqrt(power @ analysis_matrix(LAYOUT, GEOMETRY).astype(np.float64).T)
    magnitudes = BandAnalysis(LAYOUT, GEOMETRY).band_magnitudes(spectra)
    assert magnitudes.dtype == np.float32
    np.testing.assert_allclose(magnitudes, expected, rtol=RELATIVE)


def test_band_magnitudes_keep_further_axes_in_front() -> None:
    spectra = random_spectra(3, 2, 4, GEOMETRY.n_bins)
    analysis = BandAnalysis(LAYOUT, GEOMETRY)
    stacked = analysis.band_magnitudes(spectra)
    assert stacked.shape == (3, 4, 96)
    for index in range(3):
        np.testing.assert_allclose(stacked[index], analysis.band_magnitudes(spectra[index]), rtol=RELATIVE)


def test_opposite_channels_do_not_cancel() -> None:
    one = random_spectra(1, 2, GEOMETRY.n_bins)
    analysis = BandAnalysis(LAYOUT, GEOMETRY)
    both = analysis.band_magnitudes(np.concatenate([one, -one]))
    np.testing.assert_allclose(both, analysis.band_magnitudes(one), rtol=RELATIVE)


@pytest.mark.parametrize("rate_hz", [44100, 48000, 96000])
def test_a_sine_reads_the_same_in_its_band_at_every_rate(rate_hz: int) -> None:
    geometry = StftGeometry.for_rate(rate_hz)
    frequency_hz = LAYOUT.centres_hz[60]
    sine = 0.5 * np.sin(2 * np.pi * frequency_hz * np.arange(16 * geometry.hop) / rate_hz)
    spectra = AnalysisStft(geometry, 1).process(sine.astype(np.float32)[np.newaxis])
    reading = BandAnalysis(LAYOUT, geometry).band_magnitudes(spectra)[-1]
    assert reading.argmax() == 60
    assert reading[60] == pytest.approx(0.54, rel=0.02)  # 0.5, and what the window spreads over the band's other bins


def test_gains_are_interpolated_in_decibels() -> None:
    gain_db = np.random.default_rng(0).uniform(-40, 40, (4, 3, 96)).astype(np.float32)
    expected = 10 ** ((gain_db.astype(np.float64) @ interpolation_matrix(LAYOUT, GEOMETRY)) / 20)
    gains = GainField(LAYOUT, GEOMETRY).bin_gains(gain_db)
    assert gains.shape == (4, 3, GEOMETRY.n_bins)
    np.testing.assert_allclose(gains, expected, rtol=1e-5)


def test_gains_of_zero_decibels_are_exactly_one() -> None:
    assert (GainField(LAYOUT, GEOMETRY).bin_gains(np.zeros((4, 96), np.float32)) == 1.0).all()


def test_gains_go_where_the_caller_wants_them() -> None:
    out = np.empty((2, GEOMETRY.n_bins), np.float32)
    assert GainField(LAYOUT, GEOMETRY).bin_gains(np.full((2, 96), -20.0, np.float32), out=out) is out
    np.testing.assert_allclose(out, 0.1, rtol=1e-6)


@pytest.mark.parametrize("n_frames", [1, 4])
def test_the_mixer_adds_the_weighted_excitations_up(n_frames: int) -> None:
    spectra = random_spectra(4, 2, n_frames, 33)
    gains = np.random.default_rng(1).random((4, n_frames, 33), np.float32)
    mixed = GainMixer(4, 2, 4, 33).mix(spectra, gains)
    assert mixed.dtype == np.complex64
    np.testing.assert_allclose(mixed, (spectra * gains[:, np.newaxis]).sum(axis=0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "fields", [{"n_bands": 1}, {"n_bands": 1000}, {"low_hz": -1.0}, {"low_hz": 500.0, "high_hz": 400.0}]
)
def test_a_layout_that_cannot_be_is_refused(fields: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        BandLayout(**fields)  # type: ignore[arg-type]
