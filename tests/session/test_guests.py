"""Guests: whoever controls a stream without being its client, and what they can and cannot do to it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepmusic.model.scheduler import StepScheduler
from deepmusic.session.arrivals import LONGEST_SILENCE_S, WINDOW_S, Arrivals
from deepmusic.session.asked import AskedValues
from deepmusic.session.config import Setting
from deepmusic.session.events import AudioIn, ChangeStyle, Control, Finish, Flush, Summary
from deepmusic.session.worker import MAX_GUEST_EVENTS, SessionWorker
from tests.session import streams
from tests.session.streams import STEP, model, play_through, session, style
from tests.session.test_worker import PATIENCE_S, FakeClock, FakeScheduler, Listener, has
from tests.support import bundles

RATE_HZ = 48000


@pytest.fixture
def scheduler() -> Iterator[StepScheduler]:
    running = StepScheduler(1)
    yield running
    running.stop()


def test_a_guests_control_lands_on_its_sample_as_the_streams_own_does(scheduler: StepScheduler):
    of, content = model(bundles.noise_bundle), streams.noise(20000)
    control, change = Control(name="mix", value=0.0, at_sample=7001), ChangeStyle(vector=style(of), at_sample=3001)
    expected = play_through(session(of), content, control, change).audio
    listener = Listener()
    worker = SessionWorker(session(of), scheduler, listener, deadline_s=None)
    assert worker.offer(control)
    assert worker.offer(change)
    worker.start()
    for event in (*streams.audio_events(content), Finish()):
        worker.post(event)
    listener.wait_for(has(Summary))
    np.testing.assert_array_equal(np.concatenate([out.block for out in listener.blocks()], axis=1), expected)
    assert worker.join(PATIENCE_S)
    assert not worker.offer(control)


def test_guests_have_room_of_their_own_and_never_take_the_streams():
    worker = SessionWorker(session(), FakeScheduler(), Listener(), deadline_s=None, max_inbox_events=1)
    taken = [worker.offer(Control(name="mix", value=0.5)) for _ in range(MAX_GUEST_EVENTS + 1)]
    assert taken == [True] * MAX_GUEST_EVENTS + [False]
    worker.post(AudioIn(block=streams.noise(16), first_sample=0))


@pytest.mark.parametrize("last", [Flush(), Finish()])
def test_a_guest_that_comes_while_the_tail_is_made_ends_no_stream(last: Flush | Finish):
    scheduler, listener = FakeScheduler(), Listener()
    worker = SessionWorker(session(), scheduler, listener, deadline_s=None)
    worker.start()
    worker.post(AudioIn(block=streams.noise(STEP), first_sample=0))
    worker.post(last)
    assert scheduler.arrived.acquire(timeout=PATIENCE_S)
    for _ in range(MAX_GUEST_EVENTS):
        worker.offer(Control(name="strength", value=0.5))
    scheduler.answers_at_once = True
    scheduler.answer()
    if isinstance(last, Flush):
        worker.post(Finish())
    listener.wait_for(has(Summary))
    assert worker.join(PATIENCE_S)


def test_a_time_becomes_the_sample_that_comes_in_then():
    clock = FakeClock()
    worker = SessionWorker(session(), FakeScheduler(), Listener(), deadline_s=1.0, clock=clock)
    assert worker.position_at(100.5) is None
    worker.post(AudioIn(block=streams.noise(480), first_sample=0))
    assert worker.position_at(100.5) == 480 + RATE_HZ // 2
    assert SessionWorker(session(), FakeScheduler(), Listener(), deadline_s=None).position_at(100.5) is None


@given(st.lists(st.floats(0.0, 0.3), min_size=10, max_size=300), st.integers(1, 2048))
def test_the_line_goes_through_the_arrival_that_was_late_by_least(lateness_s: list[float], block_samples: int):
    arrivals, now_s = Arrivals(RATE_HZ), 0.0
    for n, late_s in enumerate(lateness_s, 1):
        now_s = max(now_s, n * block_samples / RATE_HZ + late_s)
        arrivals.add(n * block_samples, now_s)
    position = arrivals.position(now_s + 1.0, now_s)
    assert position is not None
    most_late = max(lateness_s) * RATE_HZ
    assert -most_late - 1 <= position - (now_s + 1.0) * RATE_HZ <= 1


def test_one_late_block_does_not_move_the_line_and_a_pause_begins_a_new_one():
    arrivals = Arrivals(RATE_HZ)
    for n in range(1, 11):
        arrivals.add(480 * n, 0.01 * n)
    arrivals.add(480 * 11, 0.11 + 0.5)
    assert arrivals.position(1.0, 0.61) == RATE_HZ
    assert arrivals.position(1.0, 0.61 + LONGEST_SILENCE_S + 0.01) is None
    arrivals.add(480 * 12, 10.0)
    assert arrivals.position(10.0, 10.0) == 480 * 12


def test_an_old_arrival_is_forgotten_so_that_the_line_follows_a_clock_that_drifts():
    arrivals, drift = Arrivals(RATE_HZ), 1e-3
    n_blocks = round(4 * WINDOW_S / 0.01)
    for n in range(1, n_blocks + 1):
        arrivals.add(480 * n, 0.01 * n * (1.0 + drift))
    now_s = 0.01 * n_blocks * (1.0 + drift)
    position = arrivals.position(now_s, now_s)
    assert position is not None
    assert 0 <= position - 480 * n_blocks <= 2 * WINDOW_S * drift * RATE_HZ


def test_what_was_asked_for_is_remembered_clamped_whoever_asked():
    asked = AskedValues((Setting(name="strength", value=0.3),), "brass")
    assert asked.values["strength"] == 0.3
    asked.note(Control(name="strength", value=7.0))
    asked.note(Control(name="bypass", value=0.7))
    for ignored in (
        Control(name="mix", value=float("nan")),
        Control(name="style", value=1.0),
        Control(name="x", value=1.0),
    ):
        asked.note(ignored)
    asked.note(Finish())
    values = asked.values
    assert (values["strength"], values["bypass"], values["mix"], values["style"]) == (1.0, 1.0, 1.0, "brass")
    asked.note(ChangeStyle(vector=style(model(bundles.passthrough_bundle), name="strings")))
    assert values["style"] == "strings"
