"""When a message came: the driver's count, placed by the message that was heard least late."""

from __future__ import annotations

import numpy as np
import pytest

from deepmusic.transports.midi.driver_time import DriverTime


def test_messages_that_are_heard_late_keep_their_places():
    late_s = np.random.default_rng(1).exponential(0.002, 500)
    late_s[10] = 0.0
    times = DriverTime()
    placed = [times.at(0.02 if n else 0.0, 100.0 + 0.02 * n + late_s[n]) for n in range(500)]
    errors_s = [at_s - 100.0 - 0.02 * n for n, at_s in enumerate(placed)]
    assert max(abs(error) for error in errors_s[11:]) < 0.001


def test_nothing_came_later_than_it_was_heard():
    random = np.random.default_rng(2)
    times, now_s = DriverTime(), 5.0
    for _ in range(300):
        since_s = float(random.choice([0.0, 0.001, 0.02, 3.0]))
        now_s += since_s + float(random.uniform(-0.0005, 0.001))
        assert times.at(since_s, now_s) <= now_s + 1e-9


def test_a_clock_that_has_lost_count_is_placed_anew():
    times = DriverTime()
    times.at(0.0, 10.0)
    assert times.at(0.02, 17.0) == pytest.approx(17.0)
    assert times.at(0.02, 17.02) == pytest.approx(17.02)
