"""The styled band: beyond its edges the delayed input, within them the style at the content's loudness, no clicks."""

from __future__ import annotations

import numpy as np
import pytest

from deepmusic.audio import Audio
from deepmusic.session.events import Control
from tests.session import streams
from tests.session.streams import LATENCY, RATE_HZ, STEP, model, play_through, session
from tests.support import bundles, laws

LOUD = 0.1
"""Peak above the gate of the loudness match, and far below the ceiling."""

MATCHED = 0.02
"""How near in amplitude a tone is to the content once the match has settled: 0.2 dB."""

SEAM_LIMIT = 1.15
"""Largest second difference within 4 samples of a join, over the same half a period away; untouched audio has 1.11."""

LOW_HZ, HIGH_HZ = 200.0, 4000.0


def tone(hz: float, seconds: float = 3.0, peak: float = LOUD) -> Audio:
    at = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return (peak * np.sin(2 * np.pi * hz * at))[np.newaxis].astype(np.float32)


def amplitude(audio: Audio, hz: float) -> float:
    """Of a tone in the last second."""
    part = audio[0, -RATE_HZ:]
    at = np.arange(RATE_HZ) / RATE_HZ
    return float(2 * np.abs(np.mean(part * np.exp(-2j * np.pi * hz * at))))


@pytest.mark.parametrize(
    ("edges", "styled_hz", "dry_hz"),
    [({"low_hz": 1000.0}, HIGH_HZ, LOW_HZ), ({"high_hz": 1000.0}, LOW_HZ, HIGH_HZ)],
)
def test_the_loudness_match_leaves_what_is_outside_the_band_as_it_is(
    edges: dict[str, float], styled_hz: float, dry_hz: float
):
    of = model(bundles.style_gain_bundle)
    content = tone(styled_hz) + tone(dry_hz)
    audio = play_through(session(of, gain_db=12.0, **edges), content).audio[:, LATENCY:]
    assert amplitude(audio, dry_hz) == pytest.approx(LOUD, rel=1e-4)
    # The model turns the band up by 12 dB; the match brings it back to the loudness that the band had.
    assert amplitude(audio, styled_hz) == pytest.approx(LOUD, rel=MATCHED)


def test_a_band_without_a_frequency_in_it_is_the_delayed_input():
    of = model(bundles.style_gain_bundle)
    content = streams.noise(RATE_HZ, peak=LOUD)
    audio = play_through(session(of, gain_db=-12.0, low_hz=4000.0, high_hz=200.0), content).audio
    np.testing.assert_allclose(audio, streams.delayed(content), atol=streams.RECONSTRUCTION)


def test_the_noise_and_the_overtones_stay_inside_the_band():
    of = model(bundles.noise_bundle)  # all four excitations at 0 dB
    content = tone(220.0)
    audio = play_through(session(of, low_hz=2000.0), content).audio[:, LATENCY:]
    spectrum = np.abs(np.fft.rfft(audio[0, -RATE_HZ:] * np.hanning(RATE_HZ))) ** 2
    hz = np.fft.rfftfreq(RATE_HZ, 1 / RATE_HZ)
    beside = spectrum[(hz > 300.0) & (hz < 1500.0)].max()
    inside = spectrum[hz > 2500.0].max()
    assert 10 * np.log10(beside / spectrum.max()) < -80.0
    assert 10 * np.log10(inside / spectrum.max()) > -60.0


@pytest.mark.parametrize("name", ["low_hz", "high_hz"])
@pytest.mark.parametrize("at", [20000, 20480])
def test_an_edge_begins_to_move_with_the_frame_that_holds_its_sample(name: str, at: int):
    of = model(bundles.style_gain_bundle)
    content = streams.noise(30000, peak=streams.QUIET)
    plain = play_through(session(of, gain_db=-12.0), content).audio
    moved = play_through(
        session(of, gain_db=-12.0), content, Control(name=name, value=1000.0, at_sample=at), block_samples=65
    ).audio
    first = int(np.flatnonzero(moved[0] != plain[0])[0])
    # A gain of a bin sounds over the synthesis window, half of which lies before the middle of its frame.
    assert at + LATENCY - 512 <= first <= at + LATENCY + 512


@pytest.mark.parametrize(("name", "value"), [("low_hz", 20.5), ("high_hz", 19900.0)])
def test_an_edge_sets_out_from_its_end_without_a_step(name: str, value: float):
    of = model(bundles.style_gain_bundle)
    content = np.full((1, RATE_HZ // 2), streams.QUIET, np.float32)  # 0 Hz: below the lowest edge
    content += (streams.QUIET * np.cos(np.pi * np.arange(RATE_HZ // 2))).astype(np.float32)  # and half the rate
    audio = play_through(session(of, gain_db=-12.0, **{name: value}), content).audio[:, LATENCY:]
    plain = play_through(session(of, gain_db=-12.0), content).audio[:, LATENCY:]
    np.testing.assert_allclose(audio, plain, atol=0.03 * streams.QUIET)


def test_a_sweep_of_the_band_is_the_same_for_every_block_size():
    of = model(bundles.style_gain_bundle)
    content = streams.noise(20000, peak=LOUD, n_channels=2)
    sweep = (
        Control(name="low_hz", value=3000.0, at_sample=3001, ramp_samples=9000),
        Control(name="high_hz", value=900.0, at_sample=7777, ramp_samples=4000),
    )
    whole, *split = (
        play_through(session(of, n_channels=2, gain_db=-12.0), content, *sweep, block_samples=size).audio
        for size in (20000, 1, 300, laws.RANDOM)
    )
    for audio in split:
        np.testing.assert_array_equal(audio, whole)


@pytest.mark.parametrize("name", ["low_hz", "high_hz"])
@pytest.mark.parametrize("hz", [220.0, 1000.0])
def test_a_sweep_of_an_edge_over_a_tone_is_free_of_clicks(name: str, hz: float):
    of = model(bundles.style_gain_bundle)
    start, value = (20.0, 5000.0) if name == "low_hz" else (20000.0, 60.0)
    stream = session(of, gain_db=-18.0, **{name: start})
    sweep = Control(name=name, value=value, at_sample=12000, ramp_samples=24000)
    audio = play_through(stream, tone(hz, 1.0, streams.QUIET), sweep).audio[0]
    bend = np.abs(np.diff(audio, 2))
    half_period = round(RATE_HZ / hz / 2)
    joins = range(12000 + LATENCY, 36000 + LATENCY, STEP // 4)

    def largest(middle: int) -> float:
        return float(bend[middle - 5 : middle + 4].max())

    # The level moves by 18 dB on the way, so every join is held against both sides.
    ratios = [2 * largest(join) / (largest(join - half_period) + largest(join + half_period)) for join in joins]
    assert np.mean(ratios) <= SEAM_LIMIT
    assert bend[LATENCY + 4096 : -4096].max() <= SEAM_LIMIT * streams.QUIET * (2 * np.pi * hz / RATE_HZ) ** 2
