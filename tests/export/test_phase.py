"""Phase from magnitude: the transform inverts, integration beats guessing, and iterations make it consistent."""

from __future__ import annotations

import numpy as np
import pytest

from deepmusic_export.optimise import phase
from deepmusic_export.optimise.gaussian_stft import GaussianStft
from deepmusic_export.optimise.phase import consistent_spectra, phase_from_magnitude, spectral_convergence_db

RATE_HZ = 24000
STFT = GaussianStft(n_fft=1024, hop=128)
N_SAMPLES = 18001
INTEGRATED_DB = {"tone": -36.0, "chord": -23.0, "noise": -18.0}
"""Expected of integration alone; measured -39.6, -26.6 and -21.1."""
CONSISTENT_DB = {"tone": -44.0, "chord": -35.0, "noise": -26.0}
"""Expected after 32 steps of fast Griffin-Lim; measured -48.5, -40.2 and -29.3."""


def sound(kind: str) -> np.ndarray:
    seconds = np.arange(N_SAMPLES) / RATE_HZ
    if kind == "tone":
        return (0.5 * np.sin(2 * np.pi * 440 * seconds)).astype(np.float32)
    if kind == "noise":
        return 0.1 * np.random.default_rng(0).standard_normal(N_SAMPLES).astype(np.float32)
    partials = [np.sin(2 * np.pi * f * h * seconds) / h for f in (220, 277, 330) for h in range(1, 7)]
    return (0.1 * np.exp(-4 * (seconds % 0.375)) * sum(partials)).astype(np.float32)


def magnitude_of(kind: str) -> np.ndarray:
    return np.abs(STFT.analyse(sound(kind)))


def convergence_db(magnitude: np.ndarray, angle: np.ndarray) -> float:
    return spectral_convergence_db(STFT.synthesise(magnitude * np.exp(1j * angle), N_SAMPLES), magnitude, STFT)


@pytest.mark.parametrize("n_samples", [1, 127, 128, N_SAMPLES])
def test_the_dual_window_gives_the_signal_back_up_to_its_ends(n_samples: int) -> None:
    audio = sound("noise")[:n_samples]
    spectra = STFT.analyse(audio)
    assert spectra.shape == (STFT.n_frames(n_samples), STFT.n_bins)
    np.testing.assert_allclose(STFT.synthesise(spectra, n_samples), audio, atol=1e-6)


def test_the_phase_of_a_tone_is_measured_from_the_middle_of_each_frame() -> None:
    seconds = np.arange(N_SAMPLES) / RATE_HZ
    spectra = STFT.analyse(np.cos(2 * np.pi * 1500 * seconds).astype(np.float32))
    frame, bin_of_tone = 60, 1500 * STFT.n_fft // RATE_HZ
    middle = (frame + 1) * STFT.hop - STFT.n_fft // 2
    expected = 2 * np.pi * 1500 * middle / RATE_HZ
    assert np.cos(np.angle(spectra[frame, bin_of_tone]) - expected) > 0.9999


@pytest.mark.parametrize("kind", ["tone", "chord", "noise"])
def test_integration_beats_zero_and_random_phase_and_iterations_beat_integration(kind: str) -> None:
    magnitude = magnitude_of(kind)
    angle = phase_from_magnitude(magnitude, STFT)
    guesses = [np.zeros_like(angle), np.random.default_rng(1).uniform(-np.pi, np.pi, angle.shape)]
    integrated_db = convergence_db(magnitude, angle)
    assert integrated_db < INTEGRATED_DB[kind]
    assert integrated_db < min(convergence_db(magnitude, guess) for guess in guesses) - 10
    made = consistent_spectra(magnitude, angle, STFT, N_SAMPLES)
    np.testing.assert_allclose(np.abs(made), magnitude, rtol=1e-3, atol=1e-4)
    assert convergence_db(magnitude, np.angle(made)) < min(CONSISTENT_DB[kind], integrated_db)


def test_blocks_continue_the_phase_of_the_block_before(monkeypatch: pytest.MonkeyPatch) -> None:
    magnitude = magnitude_of("chord")
    monkeypatch.setattr(phase, "BLOCK_FRAMES", 17)
    assert convergence_db(magnitude, phase_from_magnitude(magnitude, STFT)) < INTEGRATED_DB["chord"]


def test_the_phase_depends_on_magnitude_and_seed_alone() -> None:
    magnitude = magnitude_of("chord")[:30]
    before = magnitude.copy()
    first, second = (phase_from_magnitude(magnitude, STFT, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(magnitude, before)


def test_a_single_frame_gets_a_finite_phase() -> None:
    assert np.isfinite(phase_from_magnitude(np.eye(1, STFT.n_bins), STFT)).all()


def test_silence_stays_silent() -> None:
    magnitude = np.zeros((STFT.n_frames(300), STFT.n_bins))
    angle = phase_from_magnitude(magnitude, STFT)
    assert np.isfinite(angle).all()
    assert not consistent_spectra(magnitude, angle, STFT, 300, steps=2).any()


def test_a_transform_that_cannot_be_inverted_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of hop, got 1000 and 128"):
        GaussianStft(n_fft=1000, hop=128)
