"""Ramps and crossfades, exact to the sample and the same for any blocks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepmusic.dsp.crossfade import MAX_PENDING, Crossfader, FadeLaw, Ramp, crossfade, fade_weights

ONE_ROUNDING = 1e-6

schedules = st.lists(
    st.tuples(st.floats(-2, 2, width=16), st.integers(0, 150), st.integers(0, 60)), min_size=0, max_size=6
)


def test_a_ramp_starts_at_its_sample_and_ends_exactly_on_its_target() -> None:
    ramp = Ramp(1.0)
    ramp.schedule(0.3, 10, 4)
    values = ramp.values(0, 20)
    assert (values[:11] == 1.0).all()
    np.testing.assert_allclose(values[11:14], [0.825, 0.65, 0.475], atol=ONE_ROUNDING)
    assert (values[14:] == np.float32(0.3)).all()


def test_a_ramp_of_no_length_is_a_jump_at_its_sample() -> None:
    ramp = Ramp(0.0)
    ramp.schedule(1.0, 3, 0)
    np.testing.assert_array_equal(ramp.values(0, 5), [0, 0, 0, 1, 1])


def test_a_new_ramp_goes_on_from_where_the_old_one_was() -> None:
    ramp = Ramp(0.0)
    ramp.schedule(1.0, 0, 10)
    ramp.schedule(0.0, 5, 5)
    np.testing.assert_allclose(
        ramp.values(0, 11), [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.4, 0.3, 0.2, 0.1, 0], atol=ONE_ROUNDING
    )
    assert ramp.values(11, 1)[0] == 0.0


@given(schedule=schedules, cuts=st.lists(st.integers(0, 40), min_size=1, max_size=12))
def test_the_size_of_the_blocks_makes_no_difference(schedule: list[tuple[float, int, int]], cuts: list[int]) -> None:
    whole, pieces = Ramp(0.5), Ramp(0.5)
    for target, start, length in schedule:
        whole.schedule(target, start, length)
        pieces.schedule(target, start, length)
    at, got = 0, [np.zeros(0, np.float32)]
    for n_samples in cuts:
        steady = pieces.steady_value(at, n_samples)
        values = pieces.values(at, n_samples) if steady is None else np.full(n_samples, steady, np.float32)
        got.append(values)
        at += n_samples
    np.testing.assert_array_equal(np.concatenate(got), whole.values(0, at))


def test_the_order_of_scheduling_makes_no_difference() -> None:
    forward, backward = Ramp(0.0), Ramp(0.0)
    forward.schedule(1.0, 5, 10)
    forward.schedule(-1.0, 30, 10)
    backward.schedule(-1.0, 30, 10)
    backward.schedule(1.0, 5, 10)
    np.testing.assert_array_equal(forward.values(0, 50), backward.values(0, 50))


def test_of_two_ramps_with_one_start_the_later_call_wins() -> None:
    ramp = Ramp(0.0)
    ramp.schedule(1.0, 4, 2)
    ramp.schedule(-1.0, 4, 2)
    assert ramp.target == -1.0
    np.testing.assert_array_equal(ramp.values(0, 8), [0, 0, 0, 0, 0, -0.5, -1, -1])


@pytest.mark.parametrize("asked_by", ["values", "steady_value"])
def test_a_start_that_has_passed_means_now_and_never_jumps(asked_by: str) -> None:
    ramp = Ramp(0.0)
    getattr(ramp, asked_by)(0, 100)
    ramp.schedule(1.0, 20, 10)
    values = ramp.values(100, 12)
    assert values[0] == 0.0
    assert np.diff(values).max() == pytest.approx(0.1, abs=ONE_ROUNDING)
    assert values[10] == 1.0


def test_a_steady_ramp_says_so_and_a_moving_one_does_not() -> None:
    ramp = Ramp(0.25)
    ramp.schedule(0.75, 100, 50)
    assert ramp.steady_value(0, 100) == 0.25
    assert ramp.steady_value(0, 101) is None
    ramp.values(100, 25)
    assert ramp.steady_value(125, 10) is None
    ramp.values(125, 25)
    assert ramp.steady_value(150, 10) == 0.75


def test_the_target_is_where_everything_scheduled_leads() -> None:
    ramp = Ramp(0.0)
    assert ramp.target == 0.0
    ramp.schedule(1.0, 100, 10)
    assert ramp.target == 1.0
    ramp.values(0, 200)
    assert ramp.target == 1.0


def test_pending_ramps_are_bounded_and_the_last_one_is_replaced() -> None:
    ramp = Ramp(0.0)
    for index in range(MAX_PENDING + 10):
        ramp.schedule(float(index), 1000 + index, 0)
    assert ramp.target == MAX_PENDING + 9
    assert ramp.values(1000, 1)[0] == 0.0
    assert ramp.values(1000 + MAX_PENDING - 2, 1)[0] == MAX_PENDING - 2


def test_a_ramp_is_asked_in_order() -> None:
    ramp = Ramp(0.0)
    ramp.values(0, 10)
    with pytest.raises(ValueError, match="expected sample 10"):
        ramp.values(9, 1)
    with pytest.raises(ValueError, match="0 samples or more"):
        ramp.schedule(1.0, 20, -1)


def test_reset_puts_a_ramp_back_to_its_first_value() -> None:
    ramp = Ramp(0.5)
    ramp.schedule(1.0, 0, 10)
    ramp.schedule(2.0, 100, 10)
    ramp.values(0, 20)
    ramp.reset()
    assert ramp.steady_value(0, 1000) == 0.5


@pytest.mark.parametrize("law", FadeLaw)
def test_weights_are_exact_at_both_ends(law: FadeLaw) -> None:
    old, new = fade_weights(np.array([0.0, 1.0], np.float32), law)
    np.testing.assert_array_equal(old, [1, 0])
    np.testing.assert_array_equal(new, [0, 1])


def test_linear_weights_add_up_and_equal_power_squares_do() -> None:
    progress = np.linspace(0, 1, 101, dtype=np.float32)
    old, new = fade_weights(progress, FadeLaw.LINEAR)
    np.testing.assert_allclose(old + new, 1.0, atol=ONE_ROUNDING)
    old, new = fade_weights(progress, FadeLaw.EQUAL_POWER)
    assert old.dtype == new.dtype == np.float32
    np.testing.assert_allclose(old**2 + new**2, 1.0, atol=ONE_ROUNDING)


@pytest.mark.parametrize("law", FadeLaw)
def test_outside_the_fade_each_signal_comes_through_bit_for_bit(law: FadeLaw) -> None:
    rng = np.random.default_rng(0)
    old, new = rng.standard_normal((2, 2, 100)).astype(np.float32) * 1e6
    old[:, 0] = -0.0
    progress = np.clip(np.linspace(-1, 2, 100), 0, 1).astype(np.float32)
    mixed = crossfade(old, new, progress, law)
    np.testing.assert_array_equal(mixed[:, :33].view(np.uint32), old[:, :33].view(np.uint32))
    np.testing.assert_array_equal(mixed[:, 67:].view(np.uint32), new[:, 67:].view(np.uint32))


def test_a_crossfader_goes_once_from_old_to_new() -> None:
    fader = Crossfader(FadeLaw.LINEAR)
    old, new = np.zeros((2, 30), np.float32), np.ones((2, 30), np.float32)
    assert not fader.done(1000)
    fader.start(110, 10)
    out = fader.process(old, new, 100)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out[0], np.clip((np.arange(30) - 10) / 10, 0, 1), atol=ONE_ROUNDING)
    assert not fader.done(119)
    assert fader.done(120)
    with pytest.raises(ValueError, match="one fade at a time"):
        fader.start(200, 10)
    fader.reset()
    assert not fader.done(1000)
    np.testing.assert_array_equal(fader.process(old, new, 0), old)
