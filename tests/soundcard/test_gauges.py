"""What is read off while a set runs: peaks, times of answers, and the record of a cycle."""

from __future__ import annotations

import numpy as np
import pytest

from deepmusic.transports.soundcard.cycle import CYCLE_BYTES, Cycle
from deepmusic.transports.soundcard.lateness import BIN_S, Lateness
from deepmusic.transports.soundcard.meter import FLOOR_DB, Meter


def test_a_meter_shows_each_channels_peak_since_the_last_look():
    meter = Meter(2)
    meter.add(np.array([[0.1, -0.5], [0.0, 0.0]], np.float32))
    meter.add(np.array([[0.2, 0.0], [1.0, 0.0]], np.float32))
    assert meter.read_db() == pytest.approx((20 * np.log10(0.5), 0.0))
    assert meter.read_db() == (FLOOR_DB, FLOOR_DB)


def test_times_of_answers_give_percentiles_and_count_what_a_buffer_would_have_missed():
    lateness = Lateness()
    for milliseconds in [1.05] * 98 + [5.05, 30.05]:
        lateness.add(milliseconds / 1000)
    facts = lateness.facts()
    assert facts.n_answers == 100
    assert facts.p50_s == pytest.approx(0.0011)
    assert facts.p99_s == pytest.approx(0.0051)
    assert facts.longest_s == pytest.approx(0.0301)
    assert [lateness.n_beyond(seconds) for seconds in (0.0, 0.004, 0.010, 0.050)] == [100, 2, 1, 0]


def test_a_time_beyond_all_bins_counts_in_the_last_and_one_before_the_first_in_the_first():
    lateness = Lateness()
    lateness.add(1000.0)
    lateness.add(-1.0)
    assert lateness.facts().n_answers == 2
    assert lateness.n_beyond(1.0) == 1
    assert lateness.facts().p50_s == pytest.approx(BIN_S)


def test_without_answers_there_is_nothing_to_say():
    lateness = Lateness()
    lateness.add(0.5)
    lateness.clear()
    assert lateness.facts().n_answers == lateness.facts().longest_s == 0


def test_a_cycle_comes_through_the_pipe_as_it_was():
    cycle = Cycle(first_sample=2**40, n_samples=64, is_starved=True, began_ns=2**60, took_ns=12345, n_xruns=3)
    assert len(cycle.pack()) == CYCLE_BYTES
    assert Cycle.unpack(cycle.pack()) == cycle
