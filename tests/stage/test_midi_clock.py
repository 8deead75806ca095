"""A MIDI clock is followed: its tempo, its beats, however its ticks come."""

from __future__ import annotations

import numpy as np
import pytest

from deepmusic.stage.midi_clock import ClockBeat, MidiClock

JITTER_S = 0.001
"""What ticks over USB are late by."""


def beats_of(
    clock: MidiClock, n_ticks: int, bpm: float, begins_s: float = 5.0, jitter_s: float = 0.0
) -> list[ClockBeat]:
    late_s = np.random.default_rng(3).uniform(0.0, 2.0 * jitter_s, n_ticks) - jitter_s
    beats = [clock.tick(begins_s + n * 60.0 / bpm / 24 + late_s[n]) for n in range(n_ticks)]
    return [beat for beat in beats if beat is not None]


def test_a_steady_clock_gives_its_beats_and_its_tempo():
    clock = MidiClock()
    clock.start()
    beats = beats_of(clock, 97, 120.0)
    assert [beat.beat for beat in beats] == [1, 2, 3, 4]  # of the first no tempo is known yet
    assert [beat.bpm for beat in beats] == pytest.approx([120.0] * 4)
    assert [beat.at_s for beat in beats] == pytest.approx([5.5, 6.0, 6.5, 7.0])


def test_ticks_that_jitter_by_a_millisecond_move_no_beat_by_half_of_one():
    beats = beats_of(MidiClock(), 24 * 64, 133.0, jitter_s=JITTER_S)[4:]
    assert max(abs(beat.bpm - 133.0) for beat in beats) < 0.5
    assert max(abs(beat.at_s - 5.0 - beat.beat * 60.0 / 133.0) for beat in beats) < JITTER_S / 2


def test_a_new_tempo_is_followed_within_five_beats():
    clock = MidiClock()
    beats_of(clock, 24 * 8, 120.0)
    beats = beats_of(clock, 24 * 6, 90.0, begins_s=5.0 + 8 * 0.5)
    assert beats[-1].bpm == pytest.approx(90.0)


def test_a_song_that_is_started_or_moved_counts_from_there():
    clock = MidiClock()
    beats_of(clock, 30, 120.0)
    clock.start()
    assert beats_of(clock, 25, 120.0, begins_s=20.0)[0].beat == 1
    clock.position(32)  # sixteenths: the ninth beat
    assert beats_of(clock, 25, 120.0, begins_s=30.0)[0].beat == 9


def test_a_song_that_is_started_while_the_clock_runs_has_its_first_beat_at_once():
    clock = MidiClock()
    beats_of(clock, 30, 120.0)
    clock.start()
    first = beats_of(clock, 25, 120.0, begins_s=5.0 + 30 / 48)
    assert [beat.beat for beat in first] == [0, 1]
    assert first[0].at_s == pytest.approx(5.0 + 30 / 48)


def test_a_song_that_is_stopped_mid_bar_goes_on_where_it_stopped_however_long_the_clock_ran_on():
    clock = MidiClock()
    clock.start()
    beats_of(clock, 30, 120.0)  # a quarter of the second beat is over
    clock.stop()
    clock.stop()
    beats_of(clock, 50, 120.0, begins_s=5.0 + 30 / 48)
    clock.resume()
    beats = beats_of(clock, 24, 120.0, begins_s=5.0 + 80 / 48)
    assert [(beat.beat, beat.at_s) for beat in beats] == [(2, pytest.approx(5.0 + 98 / 48))]


def test_a_song_that_is_moved_while_it_is_stopped_goes_on_from_there():
    clock = MidiClock()
    beats_of(clock, 30, 120.0)
    clock.stop()
    clock.position(32)
    beats_of(clock, 7, 120.0, begins_s=5.0 + 30 / 48)
    clock.resume()
    clock.resume()
    assert [beat.beat for beat in beats_of(clock, 24, 120.0, begins_s=5.0 + 37 / 48)] == [8]


def test_a_clock_that_rested_begins_a_new_line():
    clock = MidiClock()
    beats_of(clock, 48, 120.0)
    beats = beats_of(clock, 48, 120.0, begins_s=60.0)
    assert [beat.bpm for beat in beats[-1:]] == pytest.approx([120.0])
    assert [beat.at_s for beat in beats[-1:]] == pytest.approx([60.5])


def test_ticks_that_are_no_tempo_are_no_beats():
    assert beats_of(MidiClock(), 100, 100_000.0) == []
    stuck = MidiClock()
    assert [stuck.tick(1.0) for _ in range(100)] == [None] * 100
