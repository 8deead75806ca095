"""Loudness match and true-peak ceiling of the wet."""

from __future__ import annotations

import numpy as np
import pytest

from deepmusic.audio import SUPPORTED_RATES_HZ
from deepmusic.dsp.levels import HEADROOM_DB, MOMENTARY_S, SETTLING_S, LoudnessMatch, TruePeakCeiling, true_peak_dbtp
from deepmusic.dsp.windows import StftGeometry
from tests.support import laws

GEOMETRY = StftGeometry.for_rate(48000)
FRAMES_A_SECOND = 188

METER_TOLERANCE_DB = 0.02
"""The gain moves while the meter's filter looks at twelve samples."""


def powers(level_db: float, n_frames: int = FRAMES_A_SECOND) -> np.ndarray:
    return np.full(n_frames, 10 ** (level_db / 10), np.float32)


def in_db(gains: np.ndarray) -> np.ndarray:
    return 20 * np.log10(gains.astype(np.float64))


def test_a_wet_that_is_too_loud_is_turned_down_from_the_first_frame_on() -> None:
    gains = LoudnessMatch(GEOMETRY).process(powers(-20), powers(-11))
    assert gains.dtype == np.float32
    np.testing.assert_allclose(in_db(gains), -9.0, atol=1e-3)


def test_a_wet_that_is_too_quiet_is_raised_a_little_at_once_and_the_rest_of_it_slowly() -> None:
    gains = in_db(LoudnessMatch(GEOMETRY).process(powers(-20, 40 * FRAMES_A_SECOND), powers(-29, 40 * FRAMES_A_SECOND)))
    after_a_constant = gains[round(SETTLING_S * GEOMETRY.frames_per_s) - 1]
    assert gains[0] == pytest.approx(HEADROOM_DB, abs=0.01)
    assert after_a_constant == pytest.approx(9 * (1 - np.exp(-1)) + HEADROOM_DB, abs=0.01)
    assert gains[-1] == pytest.approx(9.0, abs=1e-3)
    assert np.diff(gains).min() >= -1e-6


def test_what_was_turned_down_comes_back_to_0_db_without_delay() -> None:
    match = LoudnessMatch(GEOMETRY)
    match.process(powers(-20, 20 * FRAMES_A_SECOND), powers(-8, 20 * FRAMES_A_SECOND))
    after = in_db(match.process(powers(-20, 3 * FRAMES_A_SECOND), powers(-20, 3 * FRAMES_A_SECOND)))
    # The running mean of the wet, which the time constant of 0.4 s brings down from 12 dB above.
    np.testing.assert_allclose(after[round(2.8 * FRAMES_A_SECOND) :], 0.0, atol=0.1)


def test_what_is_far_too_quiet_is_raised_faster() -> None:
    gains = in_db(LoudnessMatch(GEOMETRY).process(powers(-20, 3 * FRAMES_A_SECOND), powers(-44, 3 * FRAMES_A_SECOND)))
    # Its settled value comes near with a quarter of the time constant: 24 dB less 24 e^(-4 t / SETTLING_S).
    assert gains[FRAMES_A_SECOND - 1] == pytest.approx(24 * (1 - np.exp(-4 / SETTLING_S)) + HEADROOM_DB, abs=0.1)


def test_notes_that_die_away_sooner_than_the_content_are_not_pulled_up() -> None:
    seconds = np.arange(8 * FRAMES_A_SECOND) / FRAMES_A_SECOND % 1.0
    wet = (10 ** ((-14 - 40 * seconds) / 10)).astype(np.float32)
    gains = in_db(LoudnessMatch(GEOMETRY).process(powers(-20, len(wet)), wet)).reshape(8, -1)
    assert np.ptp(gains[-3:], axis=1).max() < 4.0  # the running means alone ask for 7.5 dB between attack and tail
    assert gains[-1].max() < 5.0  # and for 8.7 dB at the end of a note


def test_a_change_of_loudness_is_followed_with_the_time_constant() -> None:
    match = LoudnessMatch(GEOMETRY, time_constant_s=1.5)
    match.process(powers(-20, 10 * FRAMES_A_SECOND), powers(-20, 10 * FRAMES_A_SECOND))
    after = in_db(match.process(powers(-20, 6 * FRAMES_A_SECOND), powers(-10, 6 * FRAMES_A_SECOND)))
    n_constant = round(1.5 * GEOMETRY.frames_per_s)
    left = 10 - 10 ** (after[n_constant - 1] / -10)  # of the 9 that the wet's mean power has to rise by
    assert left == pytest.approx(9 * np.exp(-1), rel=0.01)


def test_a_quiet_passage_after_a_loud_one_does_not_wait_for_the_loud_one_to_be_forgotten() -> None:
    match = LoudnessMatch(GEOMETRY)
    match.process(powers(-10, 10 * FRAMES_A_SECOND), powers(-13, 10 * FRAMES_A_SECOND))
    after = in_db(match.process(powers(-40, 3 * FRAMES_A_SECOND), powers(-34, 3 * FRAMES_A_SECOND)))
    settled = after[round((MOMENTARY_S + 1.6) * GEOMETRY.frames_per_s) :]  # four time constants
    np.testing.assert_allclose(settled, -6.0, atol=0.7)


def test_after_a_rest_what_was_loud_before_it_weighs_no_more_than_what_comes() -> None:
    match = LoudnessMatch(GEOMETRY)
    match.process(powers(-10, 10 * FRAMES_A_SECOND), powers(-34, 10 * FRAMES_A_SECOND))
    match.process(powers(-100, FRAMES_A_SECOND // 2), powers(-100, FRAMES_A_SECOND // 2))
    after = in_db(match.process(powers(-40), powers(-40)))
    # The drums wanted 24 dB more, the pad wants none: of two powers the larger one is soon all of the mean.
    assert after[0] < 22.0
    assert after[20] < 7.0


def test_rests_between_notes_move_the_gain_less_than_the_notes_do() -> None:
    match = LoudnessMatch(GEOMETRY)
    note = in_db(match.process(powers(-20), powers(-14)))[-1]
    rest = in_db(match.process(powers(-40, 40), powers(-60, 40)))
    assert np.abs(rest - note).max() < 0.1


def test_a_quiet_first_frame_is_outweighed_by_the_attack_that_follows() -> None:
    match = LoudnessMatch(GEOMETRY)
    match.process(powers(-45, 4), powers(-69, 4))
    after = in_db(match.process(powers(-10, 20), powers(-10, 20)))
    assert np.abs(after).max() < 0.1


def test_nothing_moves_while_the_content_is_below_the_gate() -> None:
    match = LoudnessMatch(GEOMETRY)
    before = match.process(powers(-20), powers(-26))[-1]
    silent = match.process(powers(-60, 20 * FRAMES_A_SECOND), powers(-90, 20 * FRAMES_A_SECOND))
    assert (silent == before).all()


def test_nothing_moves_while_it_is_held() -> None:
    match = LoudnessMatch(GEOMETRY)
    before = match.process(powers(-20), powers(-26))[-1]
    assert (match.process(powers(-10), powers(-40), hold=True) == before).all()


def test_the_gain_is_one_before_anything_was_heard() -> None:
    assert (LoudnessMatch(GEOMETRY).process(powers(-80), powers(-20)) == 1.0).all()


@pytest.mark.parametrize(("wet_db", "gain_db"), [(-90.0, 24.0), (40.0, -24.0)])
def test_the_gain_is_limited_both_ways(wet_db: float, gain_db: float) -> None:
    n_frames = 100 * FRAMES_A_SECOND
    gains = in_db(LoudnessMatch(GEOMETRY).process(powers(-20, n_frames), powers(wet_db, n_frames)))
    assert gains[-1] == pytest.approx(gain_db, abs=1e-3)
    assert np.abs(gains).max() < 24.0 + 1e-3


def test_a_silent_wet_gets_a_finite_gain() -> None:
    gains = in_db(LoudnessMatch(GEOMETRY).process(powers(-20), np.zeros(FRAMES_A_SECOND, np.float32)))
    assert np.isfinite(gains).all()
    assert HEADROOM_DB <= gains.min() <= gains.max() <= 24.0


def test_strength_scales_the_gain_in_decibels() -> None:
    strength = np.linspace(0, 1, 5).astype(np.float32)
    gains = LoudnessMatch(GEOMETRY).process(powers(-20, 5), powers(-8, 5), strength)
    np.testing.assert_allclose(in_db(gains), -12.0 * strength, atol=1e-3)
    assert gains[0] == 1.0


def test_any_grouping_of_frames_gives_the_same_gains() -> None:
    rng = np.random.default_rng(0)
    content, wet = rng.random((2, 40)).astype(np.float32)
    whole = LoudnessMatch(GEOMETRY).process(content, wet)
    match = LoudnessMatch(GEOMETRY)
    pieces = [match.process(content[a:b], wet[a:b]) for a, b in ((0, 1), (1, 4), (4, 4), (4, 40))]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


def test_what_is_handed_out_brings_the_gain_of_now_to_another_match() -> None:
    match = LoudnessMatch(GEOMETRY)
    gains = match.process(powers(-20), powers(-29))
    other = LoudnessMatch(GEOMETRY)
    other.resume(*match.means)
    np.testing.assert_allclose(other.process(powers(-20, 1), powers(-29, 1), hold=True), gains[-1], rtol=1e-6)


@pytest.mark.parametrize(("wet_db", "start_db"), [(-29.0, 9.0), (-11.0, 0.0)])
def test_the_next_style_begins_where_the_last_was_brought_up_to_and_not_where_it_was_turned_down_to(
    wet_db: float, start_db: float
) -> None:
    match, following = LoudnessMatch(GEOMETRY), LoudnessMatch(GEOMETRY)
    match.process(powers(-20, 60 * FRAMES_A_SECOND), powers(wet_db, 60 * FRAMES_A_SECOND))
    following.follow(match)
    assert in_db(following.process(powers(-20, 1), powers(-29, 1)))[0] == pytest.approx(start_db, abs=0.05)


def test_reset_forgets() -> None:
    match = LoudnessMatch(GEOMETRY)
    match.process(powers(-20), powers(-26))
    match.reset()
    assert (match.process(powers(-80, 1), powers(-20, 1)) == 1.0).all()
    np.testing.assert_array_equal(
        match.process(powers(-20), powers(-29)), LoudnessMatch(GEOMETRY).process(powers(-20), powers(-29))
    )


def limited(audio: np.ndarray, rate_hz: int = 48000, **options: float) -> np.ndarray:
    ceiling = TruePeakCeiling(StftGeometry.for_rate(rate_hz), audio.shape[0], **options)
    return np.concatenate([ceiling.process(audio), ceiling.flush()], axis=1)


@pytest.mark.parametrize(
    ("rate_hz", "lookahead"), [(44100, 64), (48000, 64), (88200, 128), (96000, 128), (176400, 256), (192000, 256)]
)
def test_the_look_ahead_is_the_declared_latency(rate_hz: int, lookahead: int) -> None:
    assert TruePeakCeiling(StftGeometry.for_rate(rate_hz), 2).latency_samples == lookahead


@pytest.mark.parametrize("rate_hz", SUPPORTED_RATES_HZ)
@pytest.mark.parametrize("gain", [1.0, 4.0, 1000.0])
def test_no_true_peak_passes_the_ceiling(rate_hz: int, gain: float) -> None:
    audio = laws.music(2, rate_hz // 4, rate_hz) * np.float32(gain)
    assert true_peak_dbtp(limited(audio, rate_hz), rate_hz) <= -1.0 + METER_TOLERANCE_DB


@pytest.mark.parametrize("frequency_hz", [60.0, 997.0, 12000.0, 21600.0])
def test_a_sine_above_the_ceiling_ends_up_under_it(frequency_hz: float) -> None:
    sine = 3 * np.sin(2 * np.pi * frequency_hz * np.arange(24000) / 48000 + 0.7)
    out = limited(np.stack([sine, 0.5 * sine]).astype(np.float32))
    assert true_peak_dbtp(out, 48000) == pytest.approx(-1.0, abs=METER_TOLERANCE_DB)
    quiet = np.abs(out[0]) > 0.1
    np.testing.assert_allclose(out[1, quiet] / out[0, quiet], 0.5, rtol=1e-5)  # one gain for all keeps the image


@pytest.mark.parametrize("ceiling_dbtp", [-1.0, -3.0])
def test_what_stays_under_the_ceiling_comes_through_bit_for_bit(ceiling_dbtp: float) -> None:
    audio = laws.music(2, 24000)
    audio *= np.float32(10 ** ((ceiling_dbtp - 0.01 - true_peak_dbtp(audio, 48000)) / 20))
    out = limited(audio, ceiling_dbtp=ceiling_dbtp)
    np.testing.assert_array_equal(out[:, 64:].view(np.uint32), audio.view(np.uint32))


def test_after_a_peak_the_gain_comes_back_to_exactly_one_at_the_declared_rate() -> None:
    audio = np.full((1, 48000), 0.25, np.float32)
    audio[:, 1000] = 10.0
    out = limited(audio, release_db_per_s=60.0)[0, 64:]
    assert (out[:900] == 0.25).all()
    reduction_db = -20 * np.log10(out[2000:12000] / 0.25)
    np.testing.assert_allclose(np.diff(reduction_db), -60.0 / 48000, atol=1e-4)
    assert (out[1000 + 20000 :] == 0.25).all()  # 21 dB fall back in 0.35 s


def test_the_gain_has_no_corners() -> None:
    audio = np.full((1, 4000), 0.5, np.float32)
    audio[:, 2000] = 4.0
    gain_db = 20 * np.log10(np.delete(limited(audio)[0, 64:4064], 2000) / 0.5)
    assert np.abs(np.diff(gain_db)).max() < 0.6
    assert np.abs(np.diff(gain_db, 2)[:1990]).max() < 0.05


def test_the_reduction_is_told_for_meters() -> None:
    ceiling = TruePeakCeiling(GEOMETRY, 1)
    ceiling.process(np.full((1, 512), 0.5, np.float32))
    assert ceiling.reduction_db == 0.0
    ceiling.process(np.full((1, 512), 2.0, np.float32))
    assert ceiling.reduction_db == pytest.approx(7.02, abs=1.5)
    ceiling.reset()
    assert ceiling.reduction_db == 0.0
