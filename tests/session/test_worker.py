"""The worker: a session on a thread, deadlines on a clock that the test moves, a clean end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from deepmusic.errors import AudioTooFast, BadBlockSize, InferenceFailed, InternalError, NoCapacity
from deepmusic.model.scheduler import StepScheduler
from deepmusic.model.steps import OnDone, StepInput, StepModel, StepOutput
from deepmusic.session.events import (
    AudioFlag,
    AudioIn,
    AudioOut,
    ChangeStyle,
    Failure,
    Finish,
    InEvent,
    OutEvent,
    Summary,
)
from deepmusic.session.worker import SessionWorker
from tests.session import streams
from tests.session.streams import STEP, model, play_through, session, style
from tests.support import bundles

pytestmark = pytest.mark.real_time

PATIENCE_S = 20.0
"""Only a hang takes as long."""

STEP_S = STEP / streams.RATE_HZ


class FakeClock:
    """Stands still until it is moved; whoever waits wakes up only when it is moved or notified."""

    def __init__(self) -> None:
        self._now_s = 100.0
        self._waiting: threading.Condition | None = None
        self.is_waiting = threading.Semaphore(0)

    def now_s(self) -> float:
        return self._now_s

    def wait(self, condition: threading.Condition, timeout_s: float | None) -> None:
        self._waiting = condition
        self.is_waiting.release()
        condition.wait(0.05)  # a move of the clock between reading and waiting is not lost

    def advance(self, seconds: float) -> None:
        self._now_s += seconds
        if self._waiting is not None:
            with self._waiting:
                self._waiting.notify_all()


@dataclass
class FakeScheduler:
    """Keeps steps until the test answers them, or answers at once."""

    answers_at_once: bool = False
    refuses: bool = False
    jobs: list[tuple[StepModel, StepInput, float | None, OnDone]] = field(default_factory=list)
    arrived: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def submit(self, model: StepModel, step: StepInput, deadline_s: float | None, on_done: OnDone) -> None:
        if self.refuses:
            raise NoCapacity("expected fewer steps to wait, got more; wait")
        self.jobs.append((model, step, deadline_s, on_done))
        if self.answers_at_once:
            self.answer()
        self.arrived.release()

    def answer(self) -> None:
        of, step, _, on_done = self.jobs.pop(0)
        gain_db, state = of.step(
            step.bands[np.newaxis],
            step.style[np.newaxis],
            np.array([[step.freeze]], np.float32),
            step.state[np.newaxis],
        )
        on_done(StepOutput(gain_db=gain_db[0], state=state[0]))


class Listener:
    """Collects what a worker emits and lets a test wait for it."""

    def __init__(self) -> None:
        self.events: list[OutEvent] = []
        self._changed = threading.Condition()

    def __call__(self, event: OutEvent) -> None:
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()

    def wait_for(self, is_there: Callable[[list[OutEvent]], bool]) -> list[OutEvent]:
        with self._changed:
            assert self._changed.wait_for(lambda: is_there(self.events), PATIENCE_S), "it never came"
            return list(self.events)

    def blocks(self) -> list[AudioOut]:
        return [event for event in self.events if isinstance(event, AudioOut)]


def n_blocks(n: int) -> Callable[[list[OutEvent]], bool]:
    return lambda events: sum(isinstance(event, AudioOut) for event in events) >= n


def has(kind: type[OutEvent]) -> Callable[[list[OutEvent]], bool]:
    return lambda events: any(isinstance(event, kind) for event in events)


def test_a_worker_with_the_real_scheduler_gives_what_a_session_gives():
    of = model(bundles.noise_bundle)
    content = streams.noise(40000, n_channels=2)
    change = ChangeStyle(vector=style(of, name="other"), at_sample=12000)
    expected = play_through(session(of, n_channels=2), content, change).audio
    scheduler, listener = StepScheduler(2), Listener()
    worker = SessionWorker(session(of, n_channels=2), scheduler, listener, deadline_s=None)
    worker.start()
    try:
        for event in (change, *streams.audio_events(content), Finish()):
            worker.post(event)
        listener.wait_for(has(Summary))
        assert worker.join(PATIENCE_S)
    finally:
        worker.stop(PATIENCE_S)
        scheduler.stop()
    np.testing.assert_array_equal(np.concatenate([out.block for out in listener.blocks()], axis=1), expected)
    assert worker.stats.samples_in == 40000
    assert not worker.is_running


class BrokenTape:
    """Takes some events and then fails, at its end too."""

    def __init__(self, n_good: int) -> None:
        self.n_left = n_good
        self.n_closed = 0

    def note(self, event: InEvent, outs: Sequence[OutEvent], n_rendered: int) -> None:
        self.n_left -= 1
        if self.n_left < 0:
            raise ZeroDivisionError

    def close(self) -> None:
        self.n_closed += 1
        raise ZeroDivisionError


@pytest.mark.parametrize("n_good", [0, 3, 1000])
def test_what_goes_wrong_with_a_tape_costs_the_receipt_alone(n_good: int):
    content = streams.noise(4000)
    scheduler, listener, tape = StepScheduler(1), Listener(), BrokenTape(n_good)
    worker = SessionWorker(session(), scheduler, listener, deadline_s=None, tape=tape)
    worker.start()
    for event in (*streams.audio_events(content), Finish()):
        worker.post(event)
    listener.wait_for(has(Summary))
    assert worker.join(PATIENCE_S)
    scheduler.stop()
    sound = np.concatenate([out.block for out in listener.blocks()], axis=1)
    np.testing.assert_array_equal(sound, play_through(session(), content).audio)
    assert tape.n_closed == 1


def test_a_step_past_its_deadline_is_played_dry_and_its_answer_keeps_the_stream_going():
    clock, scheduler, listener = FakeClock(), FakeScheduler(), Listener()
    worker = SessionWorker(session(), scheduler, listener, deadline_s=0.02, clock=clock)
    worker.start()
    content = streams.noise(4 * STEP)
    events = list(streams.audio_events(content, STEP))
    worker.post(events[0])
    assert scheduler.arrived.acquire(timeout=PATIENCE_S)
    assert scheduler.jobs[0][2] == pytest.approx(100.02)
    assert clock.is_waiting.acquire(timeout=PATIENCE_S)
    clock.advance(0.0199)
    assert clock.is_waiting.acquire(timeout=PATIENCE_S)
    assert not listener.blocks()
    clock.advance(0.0002)
    listener.wait_for(n_blocks(1))
    assert AudioFlag.LATE in listener.blocks()[0].flags
    scheduler.answer()
    worker.post(events[1])
    assert scheduler.arrived.acquire(timeout=PATIENCE_S)
    scheduler.answer()
    listener.wait_for(n_blocks(2))
    assert worker.stats.late_steps == 1
    assert worker.stop(PATIENCE_S)


def test_pacing_fast_never_misses():
    clock, scheduler, listener = FakeClock(), FakeScheduler(), Listener()
    worker = SessionWorker(session(), scheduler, listener, deadline_s=None, clock=clock)
    worker.start()
    worker.post(next(streams.audio_events(streams.noise(STEP), STEP)))
    assert scheduler.arrived.acquire(timeout=PATIENCE_S)
    assert scheduler.jobs[0][2] is None
    clock.advance(3600.0)
    scheduler.answer()
    listener.wait_for(n_blocks(1))
    assert listener.blocks()[0].flags == AudioFlag.NONE
    assert worker.stop(PATIENCE_S)


def test_the_steps_of_a_tail_are_due_at_the_pace_of_playing():
    clock, scheduler, listener = FakeClock(), FakeScheduler(), Listener()
    worker = SessionWorker(session(), scheduler, listener, deadline_s=0.5 * STEP_S, clock=clock)
    worker.start()
    worker.post(AudioIn(block=streams.noise(300), first_sample=0))
    worker.post(Finish())
    assert scheduler.arrived.acquire(timeout=PATIENCE_S)
    clock.advance(0.6 * STEP_S)
    listener.wait_for(lambda events: worker.stats.late_steps == 1)
    scheduler.answer()
    assert scheduler.arrived.acquire(timeout=PATIENCE_S)
    assert scheduler.jobs[0][2] == pytest.approx(100.0 + 1.5 * STEP_S)
    scheduler.answer()
    listener.wait_for(has(Summary))
    assert worker.join(PATIENCE_S)


@pytest.mark.parametrize("refuses", [False, True])
def test_a_failing_model_gives_the_delayed_input_and_the_stream_goes_on(refuses: bool):
    scheduler, listener = FakeScheduler(refuses=refuses), Listener()
    worker = SessionWorker(session(), scheduler, listener, deadline_s=None)
    worker.start()
    content = streams.noise(STEP)
    worker.post(AudioIn(block=content, first_sample=0))
    if not refuses:
        assert scheduler.arrived.acquire(timeout=PATIENCE_S)
        scheduler.jobs.pop(0)[3](InferenceFailed("a model step failed"))
    listener.wait_for(n_blocks(1))
    assert AudioFlag.FAILED in listener.blocks()[0].flags
    assert worker.stop(PATIENCE_S)


def test_bad_input_ends_the_worker_with_a_failure():
    scheduler, listener = FakeScheduler(answers_at_once=True), Listener()
    worker = SessionWorker(session(), scheduler, listener, deadline_s=None)
    worker.start()
    worker.post(AudioIn(block=np.zeros((3, 5), np.float32), first_sample=0))
    (failure,) = listener.wait_for(has(Failure))
    assert isinstance(failure, Failure)
    assert isinstance(failure.error, BadBlockSize)
    assert worker.join(PATIENCE_S)
    worker.post(Finish())


def test_a_fault_of_ours_ends_the_worker_without_its_text():
    class Broken(FakeScheduler):
        def submit(self, model, step, deadline_s, on_done) -> None:
            raise ZeroDivisionError("a secret")

    listener = Listener()
    worker = SessionWorker(session(), Broken(), listener, deadline_s=None)
    worker.start()
    worker.post(AudioIn(block=streams.noise(STEP), first_sample=0))
    failure = listener.wait_for(has(Failure))[-1]
    assert isinstance(failure, Failure)
    assert isinstance(failure.error, InternalError)
    assert "secret" not in failure.error.message
    assert worker.join(PATIENCE_S)


def test_a_transport_that_raises_does_not_hang_the_worker():
    def broken(event: OutEvent) -> None:
        raise OSError("gone")

    worker = SessionWorker(session(), FakeScheduler(answers_at_once=True), broken, deadline_s=None)
    worker.start()
    worker.post(AudioIn(block=streams.noise(STEP), first_sample=0))
    assert worker.join(PATIENCE_S)


def test_a_full_inbox_refuses_the_next_message():
    worker = SessionWorker(session(), FakeScheduler(), Listener(), deadline_s=None, max_inbox_events=3)
    events = list(streams.audio_events(streams.noise(400), 100))
    for event in events[:3]:
        worker.post(event)
    with pytest.raises(AudioTooFast):
        worker.post(events[3])
    worker.start()
    assert worker.stop(PATIENCE_S)


def test_stopping_leaves_no_thread_behind():
    before = set(threading.enumerate())
    clock, scheduler = FakeClock(), FakeScheduler()
    workers = [SessionWorker(session(), scheduler, Listener(), deadline_s=1.0, clock=clock) for _ in range(5)]
    for worker in workers:
        worker.start()
        worker.post(AudioIn(block=streams.noise(STEP), first_sample=0))
    for _ in workers:
        assert scheduler.arrived.acquire(timeout=PATIENCE_S)
    assert all(worker.stop(PATIENCE_S) for worker in workers)
    assert not set(threading.enumerate()) - before
    while scheduler.jobs:
        scheduler.answer()
