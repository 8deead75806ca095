"""Noise is Gaussian, and a function of seed, channel and position alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepmusic.dsp.noise import SAMPLES_A_COUNT, GaussianNoise, gaussian_noise

N_SAMPLES = 1 << 17
FOUR_SIGMA = 4.0 / np.sqrt(N_SAMPLES)


def test_noise_is_white_unit_gaussian_and_independent_between_channels() -> None:
    noise = GaussianNoise(0, 2).process(N_SAMPLES)
    assert noise.dtype == np.float32
    assert np.isfinite(noise).all()
    assert np.abs(noise.mean(axis=1)).max() < FOUR_SIGMA
    assert np.abs(noise.var(axis=1) - 1.0).max() < FOUR_SIGMA * np.sqrt(2.0)
    assert np.abs((noise**4).mean(axis=1) - 3.0).max() < FOUR_SIGMA * np.sqrt(96.0)
    assert abs((noise[0] * noise[1]).mean()) < FOUR_SIGMA
    for lag in (1, 2, 3, 8):
        assert abs((noise[0, lag:] * noise[0, :-lag]).mean()) < FOUR_SIGMA


@given(first=st.integers(0, 1 << 40), n_samples=st.integers(1, 70))
def test_any_stretch_can_be_asked_for_by_position(first: int, n_samples: int) -> None:
    start = first - first % SAMPLES_A_COUNT
    whole = gaussian_noise(7, 1, start, n_samples + SAMPLES_A_COUNT)
    np.testing.assert_array_equal(gaussian_noise(7, 1, first, n_samples), whole[first - start :][:n_samples])


def test_the_stream_gives_what_the_position_says() -> None:
    noise = GaussianNoise(5, 3)
    streamed = np.concatenate([noise.process(n) for n in (256, 1024, 8, 2048)], axis=1)
    for channel in range(3):
        np.testing.assert_array_equal(streamed[channel], gaussian_noise(5, channel, 0, streamed.shape[1]))


def test_a_channel_does_not_depend_on_how_many_there_are() -> None:
    np.testing.assert_array_equal(GaussianNoise(1, 1).process(512)[0], GaussianNoise(1, 8).process(512)[0])


def test_another_seed_gives_other_noise() -> None:
    one, other = GaussianNoise(1, 1).process(N_SAMPLES)[0], GaussianNoise(2, 1).process(N_SAMPLES)[0]
    assert abs((one * other).mean()) < FOUR_SIGMA


def test_reset_begins_again() -> None:
    noise = GaussianNoise(1, 2)
    first = noise.process(1024)
    noise.reset()
    np.testing.assert_array_equal(noise.process(1024), first)


def test_the_noise_of_seed_zero_stays_what_it_was() -> None:
    """Bundles are trained on statistics, but replays compare samples: a change here breaks recorded streams."""
    np.testing.assert_allclose(gaussian_noise(0, 0, 0, 4), [2.347903, -1.846632, -0.9097567, -1.419051], rtol=1e-5)


def test_a_part_of_a_count_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 8"):
        GaussianNoise(0, 1).process(12)
