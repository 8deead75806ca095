"""Loudness against the figures of BS.1770-4 and EBU Tech 3341."""

from __future__ import annotations

import numpy as np
import pytest

from deepmusic.audio import SUPPORTED_RATES_HZ
from deepmusic.dsp.loudness import KWeighting, integrated_loudness_lufs, k_weighting
from deepmusic.dsp.stft import AnalysisStft
from deepmusic.dsp.windows import StftGeometry
from tests.support import laws

GEOMETRY = StftGeometry.for_rate(48000)

# The coefficients of the standard, for 48 kHz.
SHELF_B, SHELF_A = (1.53512485958697, -2.69169618940638, 1.19839281085285), (1.0, -1.69065929318241, 0.73248077421585)
HIGH_B, HIGH_A = (1.0, -2.0, 1.0), (1.0, -1.99004745483398, 0.99007225036621)

METER_TOLERANCE_LU = 0.1
"""EBU Tech 3341 allows a meter this much."""


def power_response(frequencies_hz: np.ndarray, rate_hz: int) -> np.ndarray:
    return np.abs(k_weighting(frequencies_hz, rate_hz)) ** 2


def sine(level_db: float, seconds: float, rate_hz: int = 48000, n_channels: int = 2) -> np.ndarray:
    wave = 10 ** (level_db / 20) * np.sin(2 * np.pi * 1000.0 * np.arange(int(seconds * rate_hz)) / rate_hz)
    return np.tile(wave, (n_channels, 1)).astype(np.float32)


def response(b: tuple[float, ...], a: tuple[float, ...], frequencies_hz: np.ndarray) -> np.ndarray:
    unit_delay = np.exp(-2j * np.pi * frequencies_hz / 48000)
    return np.abs(np.polyval(b[::-1], unit_delay) / np.polyval(a[::-1], unit_delay)) ** 2


def test_k_weighting_at_48_khz_is_that_of_the_standard() -> None:
    frequencies = np.array([20.0, 38.0, 100.0, 997.0, 1682.0, 5000.0, 15000.0])
    standard = response(SHELF_B, SHELF_A, frequencies) * response(HIGH_B, HIGH_A, frequencies)
    np.testing.assert_allclose(power_response(frequencies, 48000), standard, rtol=1e-6)


@pytest.mark.parametrize("rate_hz", SUPPORTED_RATES_HZ)
def test_k_weighting_is_the_same_curve_at_every_rate(rate_hz: int) -> None:
    frequencies = np.array([50.0, 200.0, 997.0, 3000.0, 8000.0])
    difference_db = 10 * np.log10(power_response(frequencies, rate_hz) / power_response(frequencies, 48000))
    assert np.abs(difference_db).max() < 0.15


@pytest.mark.parametrize("rate_hz", [44100, 48000, 96000])
def test_a_full_scale_sine_in_one_channel_has_the_loudness_of_the_standard(rate_hz: int) -> None:
    geometry = StftGeometry.for_rate(rate_hz)
    sine = np.sin(2 * np.pi * 997.0 * np.arange(32 * geometry.hop) / rate_hz)[np.newaxis].astype(np.float32)
    power = KWeighting(geometry).frame_loudness_power(AnalysisStft(geometry, 1).process(sine))[-1]
    assert -0.691 + 10 * np.log10(power) == pytest.approx(-3.01, abs=0.05)  # BS.1770-4: a sine at 997 Hz is -3.01 LKFS


def test_loudness_adds_up_over_channels() -> None:
    spectra = AnalysisStft(GEOMETRY, 1).process(laws.music(1, 8 * GEOMETRY.hop))
    weighting = KWeighting(GEOMETRY)
    both = weighting.frame_loudness_power(np.concatenate([spectra, -spectra]))
    np.testing.assert_allclose(both, 2 * weighting.frame_loudness_power(spectra), rtol=1e-5)


@pytest.mark.parametrize("rate_hz", [22050, 44100, 48000, 96000])
@pytest.mark.parametrize("level_db", [-23.0, -33.0])
def test_a_stereo_sine_has_the_loudness_of_its_level(rate_hz: int, level_db: float) -> None:
    """EBU Tech 3341, cases 1 and 2."""
    loudness = integrated_loudness_lufs(sine(level_db, 5.0, rate_hz), rate_hz)
    assert loudness == pytest.approx(level_db, abs=METER_TOLERANCE_LU)


def test_quiet_passages_are_left_out_by_the_relative_gate() -> None:
    """EBU Tech 3341, case 3, shortened."""
    audio = np.concatenate([sine(-36.0, 3.0), sine(-23.0, 15.0), sine(-36.0, 3.0)], axis=1)
    assert integrated_loudness_lufs(audio, 48000) == pytest.approx(-23.0, abs=METER_TOLERANCE_LU)


def test_silence_is_left_out_by_the_absolute_gate() -> None:
    """EBU Tech 3341, case 4, shortened."""
    parts = [sine(-72.0, 3.0), sine(-36.0, 3.0), sine(-23.0, 15.0), sine(-36.0, 3.0), sine(-72.0, 3.0)]
    assert integrated_loudness_lufs(np.concatenate(parts, axis=1), 48000) == pytest.approx(
        -23.0, abs=METER_TOLERANCE_LU
    )


@pytest.mark.parametrize("n_samples", [0, 1, 48000])
def test_silence_of_any_length_is_minus_infinity(n_samples: int) -> None:
    assert integrated_loudness_lufs(np.zeros((2, n_samples), np.float32), 48000) == -np.inf


def test_less_than_a_gating_block_is_taken_as_a_whole() -> None:
    assert integrated_loudness_lufs(sine(-20.0, 0.3), 48000) == pytest.approx(-20.0, abs=METER_TOLERANCE_LU)


def filtered(audio: np.ndarray, b: tuple[float, ...], a: tuple[float, ...]) -> np.ndarray:
    out, x1, x2, y1, y2 = [], 0.0, 0.0, 0.0, 0.0
    for x in audio.tolist():
        y = b[0] * x + b[1] * x1 + b[2] * x2 - a[1] * y1 - a[2] * y2
        x1, x2, y1, y2 = x, x1, y, y1
        out.append(y)
    return np.array(out)


def test_the_pieces_of_a_recording_give_what_the_standards_recursive_filters_give() -> None:
    """Two seconds of steady noise, three pieces, no block under a gate."""
    audio = np.random.default_rng(0).standard_normal((1, 130_000)).astype(np.float32) * np.float32(0.1)
    squares = np.square(filtered(filtered(audio[0], SHELF_B, SHELF_A), HIGH_B, HIGH_A))
    blocks = [squares[first : first + 19200].mean() for first in range(0, 130_000 - 19200 + 1, 4800)]
    expected = -0.691 + 10 * np.log10(np.mean(blocks))
    assert integrated_loudness_lufs(audio, 48000) == pytest.approx(expected, abs=1e-5)


def test_twice_the_amplitude_is_six_decibels_louder() -> None:
    audio = laws.music(1, 96000)
    louder = integrated_loudness_lufs(audio * np.float32(2.0), 48000) - integrated_loudness_lufs(audio, 48000)
    assert louder == pytest.approx(6.02, abs=0.001)
