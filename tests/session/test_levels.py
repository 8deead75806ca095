"""Levels of the styled sound: a quiet pad, then drums, then silence, then the pad, without breathing."""

from __future__ import annotations

import numpy as np

from deepmusic.audio import Audio
from deepmusic.session.events import ChangeStyle
from tests.session import streams
from tests.session.streams import LATENCY, RATE_HZ, model, play_through, session, style
from tests.support import bundles

WINDOW = RATE_HZ // 10
"""100 ms."""

SETTLED_DB = 0.5
"""The model's gain is constant here, so that the loudness match has one right answer all the time."""


def pad(seconds: float, peak: float = 0.02) -> Audio:
    at = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    chord = sum(np.sin(2 * np.pi * hz * at) for hz in (220.0, 277.2, 329.6))
    return (peak / 3 * chord)[np.newaxis].astype(np.float32)


def drums(seconds: float) -> Audio:
    hits = streams.noise(round(seconds * RATE_HZ), peak=0.5)
    period = RATE_HZ // 4
    return hits * np.exp(-(np.arange(hits.shape[1]) % period) / (0.03 * RATE_HZ)).astype(np.float32)


def level_db(audio: Audio) -> np.ndarray:
    """RMS of every window, dB over full scale."""
    windows = audio[0, : audio.shape[1] // WINDOW * WINDOW].reshape(-1, WINDOW)
    return 10 * np.log10((windows.astype(np.float64) ** 2).mean(axis=1) + 1e-14)


def test_a_step_change_of_the_content_does_not_make_the_level_breathe():
    of = model(bundles.style_gain_bundle)
    content = np.concatenate([pad(2.0), drums(2.0), np.zeros((1, RATE_HZ), np.float32), pad(2.0)], axis=1)
    output = play_through(session(of, gain_db=12.0), content).audio[:, LATENCY:]
    before, after = level_db(content), level_db(output)
    sounding = before > -60.0
    assert np.abs(after - before)[sounding].max() <= SETTLED_DB
    assert (after[~sounding][1:] < -60.0).all()


def test_a_new_style_is_as_loud_as_the_content_within_a_window_of_its_fade():
    of = model(bundles.style_gain_bundle)
    content = streams.noise(4 * RATE_HZ, peak=0.3)
    change = ChangeStyle(vector=style(of, 20.0), at_sample=2 * RATE_HZ)
    output = play_through(session(of, gain_db=9.0), content, change).audio[:, LATENCY:]
    difference = np.abs(level_db(output) - level_db(content))
    assert difference[:20].max() <= SETTLED_DB
    assert difference[21:].max() <= SETTLED_DB


def test_a_style_that_was_brought_up_gives_its_level_to_the_next_one():
    of = model(bundles.style_gain_bundle)
    content = streams.noise(6 * RATE_HZ, peak=0.1)
    change = ChangeStyle(vector=style(of, -12.0), at_sample=5 * RATE_HZ)
    output = play_through(session(of, gain_db=-12.0), content, change).audio[:, LATENCY:]
    rises = np.diff(level_db(output) - level_db(content))
    assert rises[40:].min() > -0.05
    assert rises[:40].sum() > 3.0  # there was a level to hand on


def test_strength_scales_the_loudness_match_in_db():
    of = model(bundles.style_gain_bundle)
    content = streams.noise(2 * RATE_HZ, peak=0.1)
    output = play_through(session(of, gain_db=12.0, strength=0.5), content).audio[:, LATENCY:]
    # Half of 12 dB is heard by the match as 6 dB, of which it takes half off.
    np.testing.assert_allclose(level_db(output) - level_db(content), 3.0, atol=0.1)
