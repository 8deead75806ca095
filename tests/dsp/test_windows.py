"""The window pair and the sizes that follow from the rate."""

from __future__ import annotations

import numpy as np
import pytest

from deepmusic.audio import SUPPORTED_RATES_HZ
from deepmusic.dsp.windows import (
    STEP_FRAMES,
    StftGeometry,
    analysis_window,
    bin_frequencies_hz,
    stream_latency_samples,
    synthesis_window,
)

FLOAT32_SUM_TOLERANCE = 1e-6


@pytest.mark.parametrize(
    ("rate_hz", "n_fft"), [(44100, 2048), (48000, 2048), (88200, 4096), (96000, 4096), (176400, 8192), (192000, 8192)]
)
def test_the_transform_grows_with_the_rate(rate_hz: int, n_fft: int) -> None:
    geometry = StftGeometry.for_rate(rate_hz)
    assert (geometry.n_fft, geometry.n_synthesis, geometry.hop) == (n_fft, n_fft // 2, n_fft // 8)
    assert geometry.n_bins == n_fft // 2 + 1
    assert geometry.step_samples == STEP_FRAMES * n_fft // 8


def test_bins_are_as_far_apart_at_every_rate_within_nine_percent() -> None:
    spacing = [
        StftGeometry.for_rate(rate).sample_rate_hz / StftGeometry.for_rate(rate).n_fft for rate in SUPPORTED_RATES_HZ
    ]
    assert max(spacing) / min(spacing) < 1.09


def test_the_stream_latency_is_that_of_the_design() -> None:
    assert stream_latency_samples(StftGeometry.for_rate(48000)) == 1791
    assert stream_latency_samples(StftGeometry.for_rate(48000), step_frames=1) == 1023
    assert all(stream_latency_samples(StftGeometry.for_rate(rate)) / rate < 0.0407 for rate in SUPPORTED_RATES_HZ)


@pytest.mark.parametrize("rate_hz", SUPPORTED_RATES_HZ)
def test_the_product_of_the_windows_overlap_adds_to_one(rate_hz: int) -> None:
    geometry = StftGeometry.for_rate(rate_hz)
    product = analysis_window(geometry)[geometry.n_synthesis :] * synthesis_window(geometry)
    sums = product.reshape(-1, geometry.hop).sum(axis=0)
    np.testing.assert_allclose(sums, 1.0, atol=FLOAT32_SUM_TOLERANCE)


def test_the_analysis_window_rises_over_three_quarters_and_falls_over_one() -> None:
    window = analysis_window(StftGeometry.for_rate(48000))
    assert window.dtype == np.float32
    assert window.argmax() in (1535, 1536)
    assert (np.diff(window[:1536]) > 0).all()
    assert (np.diff(window[1536:]) < 0).all()
    assert window[0] == pytest.approx(np.sin(np.pi / 2 * 0.5 / 1536))
    assert window[-1] == pytest.approx(np.cos(np.pi / 2 * 511.5 / 512))


def test_the_synthesis_window_is_bounded() -> None:
    window = synthesis_window(StftGeometry.for_rate(48000))
    assert window.shape == (1024,)
    assert window.min() >= 0.0
    assert window.max() < 0.6


def test_bins_stand_from_zero_to_half_the_rate() -> None:
    frequencies = bin_frequencies_hz(StftGeometry.for_rate(48000))
    assert frequencies[0] == 0.0
    assert frequencies[-1] == 24000.0


@pytest.mark.parametrize(
    "sizes",
    [
        {"n_fft": 2000, "n_synthesis": 1000, "hop": 250, "sample_rate_hz": 48000},
        {"n_fft": 2048, "n_synthesis": 512, "hop": 256, "sample_rate_hz": 48000},
        {"n_fft": 2048, "n_synthesis": 1024, "hop": 128, "sample_rate_hz": 48000},
        {"n_fft": 2048, "n_synthesis": 1024, "hop": 256, "sample_rate_hz": 0},
    ],
)
def test_sizes_that_do_not_fit_together_are_refused(sizes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="expected"):
        StftGeometry(**sizes)
