"""Recordings at another rate: aligned, of exact length, there and back."""

from __future__ import annotations

import numpy as np
import pytest

from deepmusic.dsp.resample import resample, resampled_length

SINE_TOLERANCE = 1e-4
EDGE_SAMPLES = 1000  # the filter sees silence beyond the ends


def sine(rate_hz: int, n_samples: int) -> np.ndarray:
    phase = 2 * np.pi * 997.0 * np.arange(n_samples) / rate_hz
    return np.stack([np.sin(phase), np.cos(phase)]).astype(np.float32) * 0.5


@pytest.mark.parametrize(
    ("from_hz", "to_hz"), [(44100, 48000), (48000, 44100), (22050, 48000), (8000, 48000), (192000, 48000)]
)
def test_a_sine_stays_where_it_was_in_time(from_hz: int, to_hz: int) -> None:
    audio = sine(from_hz, from_hz)
    turned = resample(audio, from_hz, to_hz)
    assert turned.shape == (2, to_hz)
    assert turned.dtype == np.float32
    assert turned.flags.c_contiguous
    inner = slice(EDGE_SAMPLES, -EDGE_SAMPLES)
    np.testing.assert_allclose(turned[:, inner], sine(to_hz, to_hz)[:, inner], atol=SINE_TOLERANCE)


@pytest.mark.parametrize("n_samples", [0, 1, 7, 11025, 44101])
def test_there_and_back_keeps_the_exact_length(n_samples: int) -> None:
    audio = sine(44100, n_samples)
    there = resample(audio, 44100, 48000)
    assert there.shape[1] == resampled_length(n_samples, 44100, 48000)
    assert resample(there, 48000, 44100, n_samples=n_samples).shape == audio.shape


def test_the_same_rate_gives_the_same_samples_in_new_memory() -> None:
    audio = sine(48000, 100)
    same = resample(audio, 48000, 48000)
    np.testing.assert_array_equal(same, audio)
    assert not np.shares_memory(same, audio)


def test_a_rate_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="positive"):
        resample(sine(48000, 10), 0, 48000)
