"""The excitation bank against its definition, hop by hop."""

from __future__ import annotations

import numpy as np
import pytest

from deepmusic.dsp.excitation import (
    EVEN,
    EXCITATIONS,
    LOUDEST_SAMPLE,
    NOISE,
    ODD,
    ExcitationBank,
    ExcitationSource,
    condition,
)
from deepmusic.dsp.noise import gaussian_noise
from deepmusic.dsp.stft import AnalysisStft
from deepmusic.dsp.windows import StftGeometry
from tests.support import laws

GEOMETRY = StftGeometry.for_rate(48000)

SIGNAL_TOLERANCE = 2e-5
"""float32 against float64, where the envelope divides and multiplies again."""


def by_definition(audio: np.ndarray, hop: int, seed: int) -> np.ndarray:
    n_channels, n_samples = audio.shape
    x = audio.astype(np.float64)
    padded = np.concatenate([np.zeros((n_channels, hop)), x], axis=1)
    last = 1e-13**0.5
    envelope = np.empty(n_samples)
    for h in range(n_samples // hop):
        power = (padded[:, h * hop : (h + 2) * hop] ** 2).mean()
        level = np.sqrt(power + 1e-13)
        envelope[h * hop : (h + 1) * hop] = last + (level - last) * (np.arange(hop) + 1) / hop
        last = level
    u = x / envelope
    noise = np.stack([gaussian_noise(seed, channel, 0, n_samples) for channel in range(n_channels)])
    return np.stack([x, envelope * np.tanh(3 * u), envelope * (np.abs(np.tanh(2 * u)) - 0.6), envelope * noise])


@pytest.mark.parametrize("n_channels", [1, 2])
def test_the_signals_are_those_of_the_definition(n_channels: int) -> None:
    audio = laws.music(n_channels, 24 * GEOMETRY.hop)
    signals = ExcitationSource(GEOMETRY, n_channels, seed=9).process(audio)
    assert signals.dtype == np.float32
    np.testing.assert_allclose(signals, by_definition(audio, GEOMETRY.hop, 9), atol=SIGNAL_TOLERANCE)


def test_the_spectra_are_those_of_the_signals_without_dc_in_the_shaped_ones() -> None:
    audio = laws.music(2, 8 * GEOMETRY.hop)
    spectra = ExcitationBank(GEOMETRY, 2, seed=1).process(audio)
    signals = ExcitationSource(GEOMETRY, 2, seed=1).process(audio)
    assert spectra.shape == (len(EXCITATIONS), 2, 8, GEOMETRY.n_bins)
    for index in range(len(EXCITATIONS)):
        expected = AnalysisStft(GEOMETRY, 2).process(signals[index])
        if index in (ODD, EVEN):
            assert expected[..., 0].any()
            expected[..., 0] = 0.0
        np.testing.assert_array_equal(spectra[index], expected)


def test_any_grouping_of_hops_gives_the_same_bits() -> None:
    audio = laws.music(2, 24 * GEOMETRY.hop)
    whole = ExcitationBank(GEOMETRY, 2).process(audio)
    bank = ExcitationBank(GEOMETRY, 2)
    pieces = [bank.process(piece) for piece in np.split(audio, np.array([1, 5, 9, 11, 12, 20]) * GEOMETRY.hop, axis=1)]
    np.testing.assert_array_equal(np.concatenate(pieces, axis=2), whole)


def test_the_spectra_go_where_the_caller_wants_them() -> None:
    audio = laws.music(1, GEOMETRY.step_samples)
    out = np.empty((4, 1, 4, GEOMETRY.n_bins), np.complex64)
    assert ExcitationBank(GEOMETRY, 1).process(audio, out=out) is out
    np.testing.assert_array_equal(out, ExcitationBank(GEOMETRY, 1).process(audio))


def test_odd_shaping_gives_odd_harmonics_and_even_shaping_even_ones() -> None:
    sine = np.sin(2 * np.pi * 750.0 * np.arange(40 * GEOMETRY.hop) / 48000)[np.newaxis].astype(np.float32)
    magnitude = np.abs(ExcitationBank(GEOMETRY, 1).process(sine)[:, 0, -1])
    at = [round(750 * k * GEOMETRY.n_fft / 48000) for k in range(5)]
    assert magnitude[ODD, at[3]] > 100 * max(magnitude[ODD, at[2]], magnitude[ODD, at[4]])
    assert magnitude[EVEN, at[2]] > 100 * max(magnitude[EVEN, at[1]], magnitude[EVEN, at[3]])


def test_the_noise_follows_the_level_of_the_content() -> None:
    quiet, loud = laws.music(2, 3 * GEOMETRY.hop) * 0.01, laws.music(2, 3 * GEOMETRY.hop)
    ratio = np.abs(ExcitationSource(GEOMETRY, 2).process(loud)[NOISE]).mean()
    ratio /= np.abs(ExcitationSource(GEOMETRY, 2).process(quiet)[NOISE]).mean()
    assert ratio == pytest.approx(100.0, rel=0.01)


def test_the_noise_is_independent_between_channels() -> None:
    signals = ExcitationSource(GEOMETRY, 2).process(np.full((2, 64 * GEOMETRY.hop), 0.5, np.float32))
    assert abs(np.corrcoef(signals[NOISE])[0, 1]) < 0.04


def test_silence_after_a_loud_hop_gives_finite_companions() -> None:
    audio = np.zeros((1, 4 * GEOMETRY.hop), np.float32)
    audio[:, : GEOMETRY.hop] = 1e3
    assert np.isfinite(ExcitationSource(GEOMETRY, 1).process(audio)).all()


def test_conditioning_touches_only_what_spectra_cannot_hold() -> None:
    block = np.array([[0.0, 1e-40, -1e-12, 1e-9, -1.0, 900.0, 1e30, -1e38]], np.float32)
    limit = LOUDEST_SAMPLE
    expected = np.array([[0.0, 0.0, 0.0, 1e-9, -1.0, 900.0, limit, -limit]], np.float32)
    np.testing.assert_array_equal(condition(block), expected)


def test_a_part_of_a_hop_is_refused() -> None:
    with pytest.raises(ValueError, match="k \\* 256"):
        ExcitationSource(GEOMETRY, 1).process(np.zeros((1, 255), np.float32))


def test_no_hop_at_all_changes_nothing() -> None:
    bank = ExcitationBank(GEOMETRY, 2)
    assert bank.process(np.zeros((2, 0), np.float32)).shape == (4, 2, 0, GEOMETRY.n_bins)
    audio = laws.music(2, GEOMETRY.step_samples)
    np.testing.assert_array_equal(bank.process(audio), ExcitationBank(GEOMETRY, 2).process(audio))
