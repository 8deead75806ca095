"""Beats as samples: exact over hours, at any tempo, and a change of tempo takes the running beat along."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepmusic.errors import BadConfig
from deepmusic.stage.tempo import Quantise, Tempo, TempoMap

BPM = st.floats(20.0, 999.0)
RATES_HZ = st.sampled_from([44100, 48000, 96000, 192000])
POSITIONS = st.integers(0, 2**40)


def grid(bpm: float = 120.0, beats_per_bar: int = 4, origin: int = 0, rate_hz: int = 48000) -> TempoMap:
    return TempoMap(tempo=Tempo(bpm=bpm, beats_per_bar=beats_per_bar), rate_hz=rate_hz, origin=Fraction(origin))


def test_a_beat_at_120_is_half_a_second_and_a_bar_two():
    beats = grid(origin=1000)
    assert beats.next_boundary(Quantise.BEAT, 1001) == 25000
    assert beats.next_boundary(Quantise.BAR, 1001) == 97000
    assert beats.next_boundary(Quantise.OFF, 1001) == 1001


def test_a_change_that_is_asked_for_on_the_beat_is_on_it():
    assert grid().next_boundary(Quantise.BEAT, 24000) == 24000
    assert grid().next_boundary(Quantise.BAR, 24000) == 96000


def test_there_are_beats_before_the_first():
    assert grid(origin=100_000).next_boundary(Quantise.BEAT, 1) == 4000


def test_beats_do_not_drift_in_ten_hours():
    beats = grid(bpm=133.0)
    ten_hours = 10 * 60 * 133
    assert beats.position_of(ten_hours) == 10 * 3600 * 48000


@given(BPM, st.integers(1, 32), RATES_HZ, POSITIONS, POSITIONS, st.sampled_from([Quantise.BEAT, Quantise.BAR]))
def test_a_boundary_is_the_first_one_that_is_not_past(
    bpm: float, beats_per_bar: int, rate_hz: int, origin: int, position: int, quantise: Quantise
):
    beats = grid(bpm, beats_per_bar, origin, rate_hz)
    boundary = beats.next_boundary(quantise, position)
    beat = round(beats.beat_at(boundary))
    stride = beats_per_bar if quantise is Quantise.BAR else 1
    assert beat % stride == 0
    assert boundary == beats.position_of(beat) >= position > beats.position_of(beat - stride)
    assert beats.next_boundary(quantise, boundary) == boundary


@given(BPM, BPM, RATES_HZ, st.integers(0, 2**30))
def test_a_change_of_tempo_takes_the_running_beat_along(old: float, new: float, rate_hz: int, position: int):
    before = grid(old, rate_hz=rate_hz)
    after = before.changed(Tempo(bpm=new, beats_per_bar=4), position)
    assert after.tempo.bpm == new
    lost = (before.beat_at(position) - after.beat_at(position)) % 4
    on_a_beat = Fraction(1, 2) / min(before.beat_length, after.beat_length)  # half a position, in beats
    assert min(lost, 4 - lost) <= on_a_beat


def test_a_change_of_tempo_on_a_bar_begins_a_bar():
    bar = grid(bpm=133.0).next_boundary(Quantise.BAR, 1)
    after = grid(bpm=133.0).changed(Tempo(bpm=90.0), bar)
    assert after.next_boundary(Quantise.BAR, bar) == bar
    assert after.next_boundary(Quantise.BEAT, bar + 1) == bar + 32000


def test_up_to_a_change_that_is_to_come_the_beats_are_the_old_ones():
    after = grid().changed(Tempo(bpm=60.0), 96_000)
    asked = [1, 24_001, 80_000, 96_000, 96_001]
    assert [after.next_boundary(Quantise.BEAT, position) for position in asked] == [24000, 48000, 96000, 96000, 144000]
    assert after.next_boundary(Quantise.BAR, 1) == 96_000


def test_a_change_gives_up_one_that_was_to_come_behind_it():
    after = grid().changed(Tempo(bpm=60.0), 96_000).changed(Tempo(bpm=240.0), 24_000)
    asked = [1, 24_001, 96_001]
    assert [after.next_boundary(Quantise.BEAT, position) for position in asked] == [24000, 36000, 108_000]


@given(st.lists(st.tuples(BPM, st.integers(0, 10**6)), max_size=6), POSITIONS)
def test_beats_go_on_however_often_the_tempo_changes(changes: list[tuple[float, int]], position: int):
    beats = grid()
    for bpm, at in changes:
        beats = beats.changed(Tempo(bpm=bpm), at)
    boundary = beats.next_boundary(Quantise.BEAT, position)
    assert position <= boundary <= position + 2 * max(grid(bpm).beat_length for bpm, _ in [*changes, (120.0, 0)])
    assert beats.next_boundary(Quantise.BEAT, boundary) == boundary


def test_a_grid_that_is_moved_to_another_clock_keeps_the_change_that_is_to_come():
    moved = grid().changed(Tempo(bpm=60.0), 96_000).on_clock(96_000, 500, 0)
    asked = [501, 100_000, 192_501]
    assert [moved.next_boundary(Quantise.BEAT, position) for position in asked] == [48_500, 144_500, 288_500]


def test_a_grid_is_aligned_with_a_beat_that_was_heard():
    aligned = grid().aligned(Tempo(bpm=120.0), 6, 500_000)
    assert aligned.next_boundary(Quantise.BEAT, 500_000) == 500_000
    assert aligned.next_boundary(Quantise.BAR, 500_000) == 548_000


@pytest.mark.parametrize("fields", [{"bpm": 19.0}, {"bpm": float("nan")}, {"bpm": 1000.0}, {"beats_per_bar": 0}])
def test_a_tempo_that_nobody_can_play_is_refused(fields: dict[str, float]):
    with pytest.raises(BadConfig, match="expected"):
        Tempo(**fields)  # type: ignore[arg-type]
