"""The jitter buffer: order, waiting, concealment, and positions that stay true."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepmusic.audio import Audio, AudioFormat
from deepmusic.dsp.concealment import REJOIN_MS
from deepmusic.transports.osc.audio.jitter import LONGEST_CONCEALED_S, MAX_HELD_S, JitterBuffer, Run

RATE_HZ = 48000
BLOCK = 480
WAIT = 1920
SOUND = AudioFormat(sample_rate_hz=RATE_HZ, n_channels=1)
N_REJOIN = round(REJOIN_MS * RATE_HZ / 1000)


def block(n: int) -> Audio:
    return np.full((1, BLOCK), n + 1.0, np.float32)


def pushed(jitter: JitterBuffer, *numbers: int, at_s: float | None = None) -> list[Run]:
    """Blocks of these numbers come, each when it would without any network, or all at one time."""
    runs: list[Run] = []
    for n in numbers:
        now_s = (n + 1) * BLOCK / RATE_HZ if at_s is None else at_s
        jitter.push(block(n), n * BLOCK, n, now_s)
        runs += jitter.pop(now_s)
    return runs


def places(runs: list[Run]) -> list[tuple[int, int, bool]]:
    return [(run.first_sample // BLOCK, run.block.shape[1] // BLOCK, run.is_concealed) for run in runs]


def test_what_is_in_order_is_given_at_once_and_unchanged():
    jitter = JitterBuffer(SOUND, WAIT)
    for n in range(5):
        (run,) = pushed(jitter, n)
        np.testing.assert_array_equal(run.block, block(n))
        assert (run.first_sample, run.sequence, run.is_concealed) == (n * BLOCK, n, False)
    assert jitter.due_s(1.0) is None


def test_what_is_missing_is_waited_for_and_then_everything_comes_in_order():
    jitter = JitterBuffer(SOUND, WAIT)
    pushed(jitter, 0, 1)
    assert pushed(jitter, 3) == []
    assert pushed(jitter, 4) == []
    assert places(pushed(jitter, 2, at_s=0.051)) == [(2, 1, False), (3, 1, False), (4, 1, False)]
    assert (jitter.stats.reordered, jitter.stats.gaps) == (1, 0)


def test_what_does_not_come_is_concealed_when_the_wait_is_over_not_before():
    jitter = JitterBuffer(SOUND, WAIT)
    pushed(jitter, 0, 1, 3)
    due_s = 3 * BLOCK / RATE_HZ + WAIT / RATE_HZ
    assert jitter.due_s(0.045) == pytest.approx(due_s)
    assert jitter.pop(due_s - 0.001) == []
    runs = jitter.pop(due_s + 1e-6)
    assert places(runs) == [(2, 1, True), (3, 1, False)]
    np.testing.assert_array_equal(runs[1].block[:, N_REJOIN:], block(3)[:, N_REJOIN:])
    assert pushed(jitter, 2, at_s=due_s + 0.01) == []  # too late
    assert (jitter.stats.gaps, jitter.stats.concealed_samples, jitter.stats.late) == (1, BLOCK, 1)


def test_a_sender_that_pauses_is_not_filled_up_with_a_guess():
    jitter = JitterBuffer(SOUND, WAIT)
    pushed(jitter, 0, 1)
    assert jitter.pop(1000.0) == []
    assert places(pushed(jitter, 2, at_s=1000.0)) == [(2, 1, False)]
    assert jitter.stats.gaps == 0


def test_duplicates_and_overlaps_are_given_once():
    jitter = JitterBuffer(SOUND, WAIT)
    assert places(pushed(jitter, 0, 0, 1, 1, 0)) == [(0, 1, False), (1, 1, False)]
    assert jitter.stats.duplicates == 3
    pushed(jitter, 3, 3)
    assert jitter.stats.duplicates == 4
    longer = np.full((1, 2 * BLOCK), 9.0, np.float32)
    jitter.push(longer, 1 * BLOCK + 240, 7, 0.05)
    runs = jitter.pop(0.05)
    assert [run.first_sample for run in runs] == [2 * BLOCK, 3 * BLOCK + 240]
    assert [run.block.shape[1] for run in runs] == [BLOCK + 240, 240]


def test_one_datagram_from_nowhere_moves_nothing_and_two_are_a_jump():
    jitter = JitterBuffer(SOUND, WAIT)
    pushed(jitter, 0)
    assert pushed(jitter, 1_000_000, at_s=0.02) == []
    assert places(pushed(jitter, 1)) == [(1, 1, False)]
    assert pushed(jitter, 2_000_000, 2_000_001, at_s=0.03) == []
    assert places(jitter.pop(0.03 + WAIT / RATE_HZ)) == [(2_000_001, 1, False)]
    assert (jitter.stats.strays, jitter.stats.jumps, jitter.stats.gaps) == (2, 1, 0)


def test_what_is_held_is_bounded():
    jitter = JitterBuffer(SOUND, 10 * RATE_HZ)
    most = 0
    for n in range(1, 400):
        pushed(jitter, n, at_s=0.001 * n)
        most = max(most, jitter._n_held)
    assert most <= MAX_HELD_S * RATE_HZ + BLOCK
    assert jitter.next_sample == 400 * BLOCK


def test_a_player_gets_what_it_plays_now_and_a_gap_in_parts_is_one_gap():
    jitter = JitterBuffer(SOUND, WAIT)
    pushed(jitter, 0)
    pushed(jitter, 4)
    assert places(jitter.pull(2 * BLOCK)) == [(1, 1, True)]
    assert places(jitter.pull(4 * BLOCK)) == [(2, 2, True)]
    assert places(jitter.pull(5 * BLOCK)) == [(4, 1, False)]
    assert places(jitter.pull(6 * BLOCK)) == [(5, 1, True)]
    assert jitter.stats.gaps == 2
    assert places(jitter.flush()) == []
    pushed(jitter, 9)
    assert places(jitter.flush()) == [(6, 3, True), (9, 1, False)]


def test_a_gap_that_is_too_long_is_a_jump():
    jitter = JitterBuffer(SOUND, WAIT)
    far = round(LONGEST_CONCEALED_S * RATE_HZ) // BLOCK + 5
    pushed(jitter, 0)
    jitter.push(block(far), far * BLOCK, far, 0.02)
    jitter.push(block(far + 1), (far + 1) * BLOCK, far + 1, 0.03)
    runs = jitter.pop(10.0)
    assert [run.first_sample for run in runs] == [(far + 1) * BLOCK]


@given(
    st.lists(st.tuples(st.booleans(), st.floats(0.0, 0.2), st.booleans()), min_size=1, max_size=60),
    st.integers(0, 9600),
)
def test_whatever_the_network_does_samples_come_once_in_order_and_at_their_places(
    fates: list[tuple[bool, float, bool]], wait: int
):
    jitter = JitterBuffer(SOUND, wait)
    arrivals = [
        (n * BLOCK / RATE_HZ + delay_s, n)
        for n, (is_lost, delay_s, is_twice) in enumerate(fates)
        if not is_lost
        for _ in range(1 + is_twice)
    ]
    runs: list[Run] = []
    for now_s, n in sorted(arrivals):
        jitter.push(block(n), n * BLOCK, n, now_s)
        runs += jitter.pop(now_s)
    runs += jitter.flush()
    at = 0
    for run in runs:
        assert run.first_sample == at
        at += run.block.shape[1]
        if not run.is_concealed:
            np.testing.assert_array_equal(run.block[:, N_REJOIN:], block(run.first_sample // BLOCK)[:, N_REJOIN:])
    assert at == jitter.next_sample
    stats = jitter.stats
    assert stats.taken + stats.late + stats.duplicates == len(arrivals)
    assert at == (stats.taken * BLOCK) + stats.concealed_samples
