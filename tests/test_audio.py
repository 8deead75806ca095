"""Audio at the edge: what is let in, and how it is made sound."""

from __future__ import annotations

import numpy as np
import pytest

from deepmusic.audio import MAX_CHANNELS, SUPPORTED_RATES_HZ, AudioFormat, as_audio, check_block, replace_non_finite
from deepmusic.errors import BadBlockSize, BadConfig

STEREO = AudioFormat(sample_rate_hz=48000, n_channels=2)


@pytest.mark.parametrize("rate_hz", SUPPORTED_RATES_HZ)
@pytest.mark.parametrize("n_channels", [1, 2, MAX_CHANNELS])
def test_every_supported_format_is_let_in(rate_hz: int, n_channels: int) -> None:
    assert AudioFormat(sample_rate_hz=rate_hz, n_channels=n_channels).sample_rate_hz == rate_hz


@pytest.mark.parametrize("rate_hz", [0, -1, 1, 22050, 47999, 384000, 2**31 - 1])
def test_another_rate_is_refused_by_name_of_the_field(rate_hz: int) -> None:
    with pytest.raises(BadConfig, match=f"got {rate_hz}") as caught:
        AudioFormat(sample_rate_hz=rate_hz, n_channels=2)
    assert caught.value.field == "sample_rate_hz"


@pytest.mark.parametrize("n_channels", [0, -2, 9, 1024, 2**31 - 1])
def test_another_channel_count_is_refused_by_name_of_the_field(n_channels: int) -> None:
    with pytest.raises(BadConfig, match=f"got {n_channels}") as caught:
        AudioFormat(sample_rate_hz=48000, n_channels=n_channels)
    assert caught.value.field == "n_channels"


@pytest.mark.parametrize(
    ("block", "said"),
    [
        (np.zeros((2, 0), np.float32), "got 0"),
        (np.zeros((2, 1025), np.float32), "got 1025"),
        (np.zeros((1, 64), np.float32), r"got \(1, 64\)"),
        (np.zeros(64, np.float32), r"got \(64,\)"),
        (np.zeros((2, 64), np.float64), "got float64"),
    ],
)
def test_a_block_of_the_wrong_size_or_type_is_refused(block: np.ndarray, said: str) -> None:
    with pytest.raises(BadBlockSize, match=said):
        check_block(block, STEREO, 1024)


@pytest.mark.parametrize("n_samples", [1, 65, 1024])
def test_a_block_within_the_limit_is_let_in(n_samples: int) -> None:
    check_block(np.zeros((2, n_samples), np.float32), STEREO, 1024)


def test_audio_that_is_right_already_is_not_copied() -> None:
    audio = np.zeros((2, 8), np.float32)
    assert as_audio(audio) is audio


def test_interleaved_doubles_become_contiguous_floats() -> None:
    turned = as_audio(np.arange(8.0).reshape(4, 2).T)
    assert turned.dtype == np.float32
    assert turned.flags.c_contiguous
    np.testing.assert_array_equal(turned, [[0, 2, 4, 6], [1, 3, 5, 7]])


def test_a_finite_block_is_given_back_itself() -> None:
    block = np.full((2, 4), 1e30, np.float32)
    same, n_replaced = replace_non_finite(block)
    assert same is block
    assert n_replaced == 0


def test_samples_that_are_not_finite_become_zero_and_are_counted() -> None:
    block = np.array([[1.0, np.nan, 2.0], [np.inf, -np.inf, 3.0]], np.float32)
    given = block.copy()
    clean, n_replaced = replace_non_finite(block)
    np.testing.assert_array_equal(clean, np.array([[1.0, 0.0, 2.0], [0.0, 0.0, 3.0]], np.float32))
    assert clean.dtype == np.float32
    assert n_replaced == 3
    np.testing.assert_array_equal(block, given)
