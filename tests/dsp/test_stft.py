"""The streaming transform against its definition, frame by frame."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepmusic.dsp.stft import AnalysisStft, SynthesisStft
from deepmusic.dsp.windows import StftGeometry, analysis_window, synthesis_window
from tests.support import laws

SMALL = StftGeometry(n_fft=128, n_synthesis=64, hop=16, sample_rate_hz=3000)

SPECTRUM_TOLERANCE = 1e-4
"""float32 transforms of 2048 samples against float64, for spectra of up to a few hundred."""

RECONSTRUCTION_DB = -120.0
"""-129 dB was measured in float32; float64 reaches -297."""


def test_a_frame_is_the_transform_of_the_windowed_past() -> None:
    geometry = StftGeometry.for_rate(48000)
    audio = laws.music(2, 12 * geometry.hop)
    spectra = AnalysisStft(geometry, 2).process(audio)
    assert spectra.dtype == np.complex64
    padded = np.concatenate([np.zeros((2, geometry.n_fft)), audio], axis=1)
    for frame in (0, 3, 11):
        end = geometry.n_fft + (frame + 1) * geometry.hop
        expected = np.fft.rfft(padded[:, end - geometry.n_fft : end] * analysis_window(geometry))
        np.testing.assert_allclose(spectra[:, frame], expected, atol=SPECTRUM_TOLERANCE)


def test_synthesis_adds_the_windowed_last_halves_up() -> None:
    rng = np.random.default_rng(0)
    shape = (2, 7, SMALL.n_bins)
    spectra = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)
    expected = np.zeros((2, 7 * SMALL.hop + SMALL.n_synthesis))
    for frame in range(7):
        part = np.fft.irfft(spectra[:, frame])[:, SMALL.n_synthesis :] * synthesis_window(SMALL)
        expected[:, frame * SMALL.hop : frame * SMALL.hop + SMALL.n_synthesis] += part
    np.testing.assert_allclose(SynthesisStft(SMALL, 2).process(spectra), expected[:, : 7 * SMALL.hop], atol=1e-6)


@pytest.mark.parametrize("rate_hz", laws.RATES_HZ)
def test_transform_and_inverse_reproduce_the_input(rate_hz: int) -> None:
    geometry = StftGeometry.for_rate(rate_hz)
    audio = laws.music(2, 40 * geometry.hop, rate_hz)
    synthesis = SynthesisStft(geometry, 2)
    out = synthesis.process(AnalysisStft(geometry, 2).process(audio))
    late = synthesis.latency_samples
    residual_db = 20 * np.log10(np.abs(out[:, late:] - audio[:, :-late]).max() / np.abs(audio).max())
    assert residual_db < RECONSTRUCTION_DB


@given(cuts=st.lists(st.integers(1, 9), min_size=1, max_size=8), n_channels=st.integers(1, 9))
def test_any_grouping_of_hops_gives_the_same_bits(cuts: list[int], n_channels: int) -> None:
    audio = laws.music(n_channels, sum(cuts) * SMALL.hop)
    whole = AnalysisStft(SMALL, n_channels).process(audio)
    analysis, synthesis = AnalysisStft(SMALL, n_channels), SynthesisStft(SMALL, n_channels)
    pieces = np.split(audio, np.cumsum(cuts)[:-1] * SMALL.hop, axis=1)
    spectra = [analysis.process(piece) for piece in pieces]
    np.testing.assert_array_equal(np.concatenate(spectra, axis=1), whole)
    samples = [synthesis.process(frames) for frames in spectra]
    np.testing.assert_array_equal(np.concatenate(samples, axis=1), SynthesisStft(SMALL, n_channels).process(whole))


def test_results_go_where_the_caller_wants_them() -> None:
    audio = laws.music(2, 4 * SMALL.hop)
    spectra = np.empty((2, 4, SMALL.n_bins), np.complex64)
    assert AnalysisStft(SMALL, 2).process(audio, out=spectra) is spectra
    np.testing.assert_array_equal(spectra, AnalysisStft(SMALL, 2).process(audio))
    samples = np.empty((2, 4 * SMALL.hop), np.float32)
    assert SynthesisStft(SMALL, 2).process(spectra, out=samples) is samples
    np.testing.assert_array_equal(samples, SynthesisStft(SMALL, 2).process(spectra))


def test_spectra_are_only_read_by_the_inverse() -> None:
    spectra = AnalysisStft(SMALL, 1).process(laws.music(1, 4 * SMALL.hop))
    spectra.flags.writeable = False
    SynthesisStft(SMALL, 1).process(spectra)


def test_flush_pushes_the_tail_out() -> None:
    audio = laws.music(1, 8 * SMALL.hop)
    synthesis = SynthesisStft(SMALL, 1)
    out = np.concatenate([synthesis.process(AnalysisStft(SMALL, 1).process(audio)), synthesis.flush()], axis=1)
    assert out.shape[1] == audio.shape[1] + synthesis.latency_samples
    assert not synthesis.flush().any()


def test_a_part_of_a_hop_is_refused() -> None:
    with pytest.raises(ValueError, match="k \\* 16"):
        AnalysisStft(SMALL, 1).process(np.zeros((1, 17), np.float32))


def test_channels_or_bins_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="expected"):
        AnalysisStft(SMALL, 2).process(np.zeros((1, 16), np.float32))
    with pytest.raises(ValueError, match="expected"):
        SynthesisStft(SMALL, 2).process(np.zeros((2, 1, 64), np.complex64))
