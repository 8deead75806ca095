"""Concealment: what repeats goes on exactly, everything fades, and nothing clicks."""

from __future__ import annotations

import numpy as np
import pytest

from deepmusic.audio import SUPPORTED_RATES_HZ, Audio
from deepmusic.dsp.concealment import FULL_MS, HISTORY_MS, REJOIN_MS, SILENT_MS, continuation, rejoined

RATE_HZ = 48000


def samples(milliseconds: float, rate_hz: int = RATE_HZ) -> int:
    return round(milliseconds * rate_hz / 1000.0)


def tone(n_samples: int, period: int, n_channels: int = 2) -> Audio:
    phase = 2.0 * np.pi * np.arange(n_samples) / period
    wave = np.sin(phase) + 0.5 * np.sin(2.0 * phase + 1.0)
    return np.stack([(0.3 * (channel + 1) * wave).astype(np.float32) for channel in range(n_channels)])


@pytest.mark.parametrize("rate_hz", SUPPORTED_RATES_HZ)
@pytest.mark.parametrize("period_ms", [1.0, 3.0, 10.0, 30.0])
def test_a_tone_goes_on_as_it_would_have_until_it_begins_to_fade(rate_hz: int, period_ms: float):
    n_history, n_full = samples(HISTORY_MS, rate_hz), samples(FULL_MS, rate_hz)
    whole = tone(n_history + n_full, round(period_ms * rate_hz / 1000.0))
    gone_on = continuation(whole[:, :n_history], n_full, rate_hz)
    np.testing.assert_allclose(gone_on, whole[:, n_history:], atol=1e-3)


def test_it_fades_to_silence_and_keeps_the_image():
    history = tone(samples(HISTORY_MS), 110)
    gone_on = continuation(history, samples(100.0), RATE_HZ)
    assert np.abs(gone_on[:, samples(SILENT_MS) :]).max() == 0.0
    assert np.abs(gone_on[:, samples(SILENT_MS) - 100 : samples(SILENT_MS)]).max() < 0.05
    np.testing.assert_allclose(gone_on[1], 2.0 * gone_on[0], rtol=1e-5)
    assert np.abs(np.diff(gone_on)).max() <= 1.1 * np.abs(np.diff(history)).max()


@pytest.mark.parametrize(
    "history",
    [
        np.zeros((1, samples(HISTORY_MS)), np.float32),
        np.full((2, samples(HISTORY_MS)), 0.5, np.float32),
        np.random.default_rng(1).standard_normal((2, samples(HISTORY_MS))).astype(np.float32),
        np.full((1, samples(HISTORY_MS)), 1e18, np.float32),
        np.zeros((2, 3), np.float32),
    ],
    ids=["silence", "a constant", "noise", "huge", "too little"],
)
def test_any_past_gives_something_finite_that_is_no_louder(history: Audio):
    kept = history.copy()
    gone_on = continuation(history, samples(80.0), RATE_HZ)
    assert gone_on.shape == (history.shape[0], samples(80.0))
    assert np.isfinite(gone_on).all()
    assert np.abs(gone_on).max() <= np.abs(history).max()
    np.testing.assert_array_equal(history, kept)
    assert continuation(history, 0, RATE_HZ).shape == (history.shape[0], 0)


@pytest.mark.parametrize("n_block", [1, 100, samples(REJOIN_MS), 1000])
def test_the_way_back_is_a_crossfade_that_ends_in_the_block_itself(n_block: int):
    block, going_on = np.ones((2, n_block), np.float32), np.zeros((2, samples(REJOIN_MS)), np.float32)
    back = rejoined(block, going_on)
    n_faded = min(n_block, samples(REJOIN_MS))
    assert back.shape == block.shape
    assert (np.diff(back[0, :n_faded]) > 0.0).all()
    np.testing.assert_array_equal(back[:, n_faded:], block[:, n_faded:])
    np.testing.assert_array_equal(rejoined(block, going_on[:, :0]), block)
    assert block.min() == 1.0
