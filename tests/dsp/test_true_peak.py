"""The true-peak reading against other ways of looking between the samples."""

from __future__ import annotations

import numpy as np
import pytest

from deepmusic.dsp.true_peak import MAX_OVERSHOOT, N_TAPS, oversampling_factor, peak_readings, true_peak, true_peak_dbtp
from tests.support import laws


def faded_sine(frequency_hz: float, phase: float, rate_hz: int = 48000) -> np.ndarray:
    n_samples = rate_hz // 10
    sine = np.sin(2 * np.pi * frequency_hz * np.arange(n_samples) / rate_hz + phase)
    return (sine * np.hanning(n_samples))[np.newaxis].astype(np.float32)


def test_a_sine_that_peaks_between_the_samples_is_read_in_full() -> None:
    audio = faded_sine(12000.0, np.pi / 4)
    assert np.abs(audio).max() < 0.708
    assert true_peak_dbtp(audio, 48000) == pytest.approx(0.0, abs=0.1)


@pytest.mark.parametrize("rate_hz", [44100, 48000, 88200, 96000])
@pytest.mark.parametrize("frequency_hz", [100.0, 997.0, 5000.0, 15000.0])
def test_a_sine_of_any_phase_reads_within_the_standards_error(rate_hz: int, frequency_hz: float) -> None:
    for phase in np.linspace(0, np.pi, 7):
        assert true_peak_dbtp(faded_sine(frequency_hz, phase, rate_hz), rate_hz) == pytest.approx(0.0, abs=0.35)


def test_the_reading_is_never_below_the_sample_peak() -> None:
    for seed in range(20):
        audio = laws.music(2, 500, seed=seed)
        assert true_peak(audio, 48000) >= np.abs(audio).max()


def test_silence_reads_minus_infinity_and_no_samples_read_zero() -> None:
    assert true_peak_dbtp(np.zeros((2, 100), np.float32), 48000) == -np.inf
    assert true_peak(np.zeros((2, 0), np.float32), 48000) == 0.0


def test_the_worst_signal_overshoots_by_what_is_declared() -> None:
    audio = np.sign(np.random.default_rng(0).standard_normal((1, 100_000))).astype(np.float32)
    assert 1.8 < true_peak(audio, 48000) <= MAX_OVERSHOOT


def test_oversampling_falls_with_the_rate() -> None:
    assert [oversampling_factor(rate) for rate in (44100, 48000, 88200, 96000, 176400, 192000)] == [4, 4, 2, 2, 1, 1]


def test_without_oversampling_the_reading_is_the_sample() -> None:
    audio = laws.music(2, 300)
    assert true_peak(audio, 192000) == np.abs(audio).max()


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_a_reading_does_not_depend_on_how_many_are_made(factor: int) -> None:
    audio = laws.music(2, 5000)
    whole = peak_readings(audio, factor)
    for first, n_samples in ((0, 1), (17, 3), (100, 1024), (1000, 3000)):
        part = peak_readings(audio[:, first : first + n_samples + N_TAPS - 1], factor)
        np.testing.assert_array_equal(part, whole[first : first + n_samples])


def test_the_loudest_channel_counts() -> None:
    quiet, loud = laws.music(1, 500) * 0.1, laws.music(1, 500, seed=1)
    both = np.concatenate([quiet, loud])
    assert true_peak(both, 48000) == true_peak(loud, 48000)
