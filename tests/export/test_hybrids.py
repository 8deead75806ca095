"""Hybrids: what lies between two instruments, the same for every score."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deepmusic.dsp.gains import BandLayout
from deepmusic_export.data import Corpus
from deepmusic_export.features import signal_path
from deepmusic_export.hybrids import EQ_POINTS, WEIGHT_LIMITS, WEIGHT_POINTS, Hybrid, random_eq, random_hybrid

RATE_HZ = 48000
N_SAMPLES = 32768

F0_HZ = RATE_HZ * 225 / N_SAMPLES
"""On a bin of the transform that levels are read from."""


def tone(*levels_db: float) -> np.ndarray:
    """Harmonics of a note at these levels, float32."""
    t = np.arange(N_SAMPLES) / RATE_HZ
    harmonics = [10 ** (db / 20) * np.sin(2 * np.pi * F0_HZ * h * t) for h, db in enumerate(levels_db, 1)]
    return np.sum(harmonics, axis=0).astype(np.float32)


def level_db(audio: np.ndarray, hz: float) -> float:
    """Level of the partial nearest to a frequency in dB re full scale."""
    window = np.hanning(len(audio))
    spectrum = np.abs(np.fft.rfft(audio * window)) * 2 / window.sum()
    at = round(hz * len(audio) / RATE_HZ)
    return float(20 * np.log10(spectrum[at - 2 : at + 3].max()))


def even(weight: float, eq_db: np.ndarray | None = None) -> Hybrid:
    """A hybrid with one weight at all frequencies."""
    return Hybrid(1, np.full(WEIGHT_POINTS, weight), eq_db)


@pytest.mark.parametrize("weight", [0.25, 0.5, 0.75])
def test_a_hybrid_has_its_partials_between_those_of_both(weight: float) -> None:
    one, two = tone(-20, -30, -60), tone(-20, -50, -30)
    mixed = even(weight).of_audio(one, two, RATE_HZ)
    for h, (first, second) in enumerate(((-20, -20), (-30, -50), (-60, -30)), 1):
        assert level_db(mixed, F0_HZ * h) == pytest.approx((1 - weight) * first + weight * second, abs=1.0)


def test_without_weight_an_instrument_stays_what_it_is() -> None:
    one, two = tone(-20, -30, -60), tone(-20, -50, -30)
    np.testing.assert_allclose(even(0.0).of_audio(one, two, RATE_HZ), one, atol=1e-6)
    levels = np.random.default_rng(0).uniform(-90, -20, (8, 24)).astype(np.float32)
    assert np.array_equal(even(0.0).of_levels(levels, levels[::-1]), levels)


def test_an_equaliser_shapes_audio_and_levels_alike() -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, 65536).astype(np.float32)
    hybrid = Hybrid(None, np.zeros(WEIGHT_POINTS), np.linspace(-12, 12, EQ_POINTS))
    layout = BandLayout()
    path = signal_path(RATE_HZ, layout)

    def levels(audio: np.ndarray) -> np.ndarray:
        spectra = path.spectra(torch.from_numpy(audio)[None])[0]
        return (20 * torch.log10(path.band_magnitudes(spectra)))[16:].numpy()

    shaped = levels(hybrid.of_audio(noise, None, RATE_HZ)).mean(0)
    told = hybrid.of_levels(levels(noise), None).mean(0)
    assert np.abs(shaped - told).max() < 1.0


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32 - 1))
def test_what_is_drawn_is_within_its_limits(seed: int) -> None:
    rng = np.random.default_rng(seed)
    others = np.array([2, 4])
    hybrid = random_hybrid(rng, others, 1.0, 1.0)
    assert hybrid is not None
    assert hybrid.other in others
    assert (hybrid.weight >= WEIGHT_LIMITS[0]).all()
    assert (hybrid.weight <= WEIGHT_LIMITS[1]).all()
    assert hybrid.eq_db is not None
    assert abs(hybrid.eq_db.mean()) < 1e-9
    assert random_hybrid(rng, others, 0.0, 0.0) is None
    assert random_hybrid(rng, others[:0], 1.0, 0.0) is None
    assert random_eq(rng, 24).shape == (24,)


def test_varied_examples_are_other_ones_and_repeat(synth_corpus: Path) -> None:
    corpus = Corpus(synth_corpus)
    plain, varied, again = (
        corpus.batch(np.random.default_rng(3), 6, N_SAMPLES, is_varied=is_varied) for is_varied in (False, True, True)
    )
    assert not torch.equal(plain.oracle, varied.oracle)
    for ours, theirs in ((varied.content, again.content), (varied.style, again.style), (varied.oracle, again.oracle)):
        assert torch.isfinite(ours).all()
        assert torch.equal(ours, theirs)
