"""The delay of the dry signal keeps every bit of every float."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepmusic.dsp.delay import DelayLine


@given(sizes=st.lists(st.integers(0, 40), min_size=1, max_size=20), delay=st.integers(0, 50))
def test_samples_come_out_late_and_unchanged(sizes: list[int], delay: int) -> None:
    audio = np.arange(1.0, sum(sizes) + 1.0, dtype=np.float32)[np.newaxis] * np.array([[1.0], [-1.0]], np.float32)
    line = DelayLine(2, delay)
    pieces = np.split(audio, np.cumsum(sizes)[:-1], axis=1)
    out = np.concatenate([*(line.process(piece) for piece in pieces), line.flush()], axis=1)
    np.testing.assert_array_equal(out, np.concatenate([np.zeros((2, delay)), audio], axis=1))


def test_every_float_comes_through_bit_for_bit() -> None:
    patterns = np.random.default_rng(0).integers(0, 2**32, (2, 5000), np.uint32)
    line = DelayLine(2, 1855)
    out = np.concatenate([line.process(patterns.view(np.float32)), line.flush()], axis=1)
    np.testing.assert_array_equal(out[:, 1855:].view(np.uint32), patterns)


def test_a_negative_delay_is_refused() -> None:
    with pytest.raises(ValueError, match="0 samples or more"):
        DelayLine(1, -1)
