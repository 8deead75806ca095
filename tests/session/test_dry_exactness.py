"""Strength 0, mix 0, bypass and panic: the delayed input, bit for bit, once the ramp is over."""

from __future__ import annotations

import numpy as np
import pytest

from deepmusic.audio import Audio
from deepmusic.session.events import Control, Miss
from tests.session import streams
from tests.session.streams import LATENCY, model, play_missing, play_through, session
from tests.support import bundles

RAMP_AND_FRAMES = 2400 + 10
"""The longest ramp (strength, 50 ms), and a few samples."""

WAYS_TO_BE_DRY = [("strength", 0.0), ("mix", 0.0), ("bypass", 1.0), ("panic", 1.0)]


def loud(n_samples: int, n_channels: int = 2) -> Audio:
    """Content with everything that arithmetic could lose: over full scale, tiny, negative zero."""
    content = streams.noise(n_samples, peak=4.0, n_channels=n_channels)
    content[:, 100:200] = -0.0
    content[:, 300:400] = 1e-40
    content[:, 500:520] = 3e38
    return content


def assert_same_bits(got: Audio, expected: Audio) -> None:
    np.testing.assert_array_equal(got.view(np.uint32), expected.view(np.uint32))


@pytest.mark.parametrize(("name", "value"), WAYS_TO_BE_DRY)
def test_a_stream_that_starts_dry_is_the_delayed_input_bit_for_bit(name: str, value: float):
    content = loud(6000)
    stream = session(model(bundles.noise_bundle), n_channels=2, **{name: value})
    assert_same_bits(play_through(stream, content).audio, streams.delayed(content))


@pytest.mark.parametrize(("name", "value"), WAYS_TO_BE_DRY)
@pytest.mark.parametrize("block_samples", [64, 1024, 4999])
def test_a_stream_that_turns_dry_is_the_delayed_input_once_the_ramp_is_over(
    name: str, value: float, block_samples: int
):
    content = loud(20000)
    stream = session(model(bundles.noise_bundle), n_channels=2, output_gain_db=6.0)
    heard = play_through(stream, content, Control(name=name, value=value, at_sample=9000), block_samples=block_samples)
    quiet_from = 9000 + RAMP_AND_FRAMES + LATENCY
    assert_same_bits(heard.audio[:, quiet_from:], streams.delayed(content)[:, quiet_from:])
    assert not np.array_equal(heard.audio[:, :9000], streams.delayed(content)[:, :9000])


@pytest.mark.parametrize(("name", "value"), WAYS_TO_BE_DRY)
def test_a_missed_step_does_not_touch_a_dry_stream(name: str, value: float):
    content = loud(12000, n_channels=1)
    stream = session(model(bundles.noise_bundle), **{name: value})
    heard = play_missing(stream, content, {3: Miss.LATE, 6: Miss.FAILED})
    assert_same_bits(heard.audio, streams.delayed(content))


def test_a_bypass_that_is_released_brings_the_style_back():
    of = model(bundles.style_gain_bundle)
    content = streams.noise(24000, peak=streams.QUIET)
    stream = session(of, gain_db=-6.0, bypass=1.0)
    audio = play_through(stream, content, Control(name="bypass", value=0.0, at_sample=8000)).audio
    late = slice(10000 + LATENCY, None)
    expected = streams.delayed(content) * np.float32(10 ** (-6 / 20))
    np.testing.assert_allclose(audio[:, late], expected[:, late], atol=1e-7)


def test_the_gains_act_on_the_styled_sound_alone():
    content = streams.noise(8000, peak=streams.QUIET)
    for name in ("input_gain_db", "output_gain_db"):
        wet = play_through(session(**{name: 6.0}), content).audio
        np.testing.assert_allclose(wet, streams.delayed(content) * np.float32(10 ** (6 / 20)), atol=1e-7)
        dry = play_through(session(mix=0.0, **{name: 6.0}), content).audio
        assert_same_bits(dry, streams.delayed(content))


def test_half_a_mix_is_half_of_each():
    of = model(bundles.style_gain_bundle)
    content = streams.noise(8000, peak=streams.QUIET)
    audio = play_through(session(of, gain_db=-20.0, mix=0.5), content).audio
    np.testing.assert_allclose(audio, streams.delayed(content) * np.float32(0.55), atol=1e-7)


def test_strength_scales_the_gain_in_db():
    of = model(bundles.style_gain_bundle)
    content = streams.noise(8000, peak=streams.QUIET)
    audio = play_through(session(of, gain_db=-12.0, strength=0.5), content).audio
    np.testing.assert_allclose(audio, streams.delayed(content) * np.float32(10 ** (-6 / 20)), atol=1e-7)


def test_outside_the_styled_band_the_content_passes():
    of = model(bundles.style_gain_bundle)
    seconds = np.arange(48000) / streams.RATE_HZ
    low, high = (streams.QUIET * np.sin(2 * np.pi * hz * seconds)[np.newaxis] for hz in (200.0, 4000.0))
    stream = session(of, gain_db=-40.0, low_hz=1000.0)
    audio = play_through(stream, (low + high).astype(np.float32)).audio[:, LATENCY:]
    settled = slice(8000, 40000)
    np.testing.assert_allclose(audio[:, settled], (low + high * 0.01)[:, settled], atol=0.02 * streams.QUIET)
    stream = session(of, gain_db=-40.0, high_hz=1000.0)
    audio = play_through(stream, (low + high).astype(np.float32)).audio[:, LATENCY:]
    np.testing.assert_allclose(audio[:, settled], (low * 0.01 + high)[:, settled], atol=0.02 * streams.QUIET)


def test_the_wet_stays_under_the_ceiling_and_says_so():
    content = streams.noise(20000, peak=8.0)
    heard = play_through(session(), content)
    assert float(np.abs(heard.audio).max()) <= 10 ** (-1 / 20) + 1e-6
    assert streams.AudioFlag.CEILING in heard.flags
    assert heard.of(streams.Summary)[0].stats.ceiling_blocks > 0
    assert streams.AudioFlag.CEILING not in play_through(session(), content * np.float32(0.05)).flags
