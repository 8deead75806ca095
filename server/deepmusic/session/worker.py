"""Runs a session on a thread of its own: the one place in the session with a clock and a queue.

::

    transport --post()--> inbox --+
    guests -----offer()-> inbox --+
    scheduler --results-----------+--> worker thread: Session.receive --> emit() --> transport
    deadlines (live pacing) ------+          |
                                             +--> StepScheduler.submit
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol, cast

from deepmusic.errors import AudioTooFast, DeepmusicError, InternalError
from deepmusic.model.steps import OnDone, StepInput, StepModel, StepOutput
from deepmusic.model.steps import StepResult as ModelResult
from deepmusic.session.arrivals import Arrivals
from deepmusic.session.events import (
    AudioIn,
    ChangeStyle,
    Control,
    Failure,
    Finish,
    Flush,
    InEvent,
    LaneResult,
    Miss,
    OutEvent,
    StepMissed,
    StepRequest,
    StepResult,
    Timing,
)
from deepmusic.session.session import Session
from deepmusic.session.state import SessionState
from deepmusic.session.stats import SessionStats

MAX_INBOX_EVENTS = 4096
"""Events that may wait for the worker: 85 ms of blocks of one sample at 48 kHz. One more is refused with AudioTooFast;
transports with credits stop far earlier. Answers of the model do not count: at most one step is open."""

MAX_GUEST_EVENTS = 256
"""Controls of guests that may wait for the worker; one more is refused. They wait apart from the inbox, so that a
guest, whatever it sends, never costs the stream its room."""

_log = logging.getLogger(__name__)


class Clock(Protocol):
    """Time for deadlines; tests have one that they move by hand."""

    def now_s(self) -> float:
        """[any] Monotonic seconds."""
        ...

    def wait(self, condition: threading.Condition, timeout_s: float | None) -> None:
        """[worker] Waits, with the condition held, until it is notified or the time has passed."""
        ...


class MonotonicClock:
    """The machine's monotonic clock, which no change of the time of day moves."""

    def now_s(self) -> float:
        """[any] Monotonic seconds."""
        return time.monotonic()

    def wait(self, condition: threading.Condition, timeout_s: float | None) -> None:
        """[worker] Waits, with the condition held, until it is notified or the time has passed."""
        condition.wait(timeout_s)


class Scheduler(Protocol):
    """Who runs model steps; ``deepmusic.model.scheduler.StepScheduler`` is one, tests have others."""

    def submit(self, model: StepModel, step: StepInput, deadline_s: float | None, on_done: OnDone) -> None:
        """[any] Asks for a step; ``on_done`` is called once, on any thread."""
        ...


class Tape(Protocol):
    """Hears everything that a session takes, for a receipt; ``deepmusic.stage.tape.ReceiptTape`` is one."""

    def note(self, event: InEvent, outs: Sequence[OutEvent], n_rendered: int) -> None:
        """[worker] An event was taken, and this followed; so many steps are rendered by now. Must return soon."""
        ...

    def close(self) -> None:
        """[worker] The session is over."""
        ...


class SessionWorker:
    """One session on one thread, from ``start`` to its summary, a failure or ``stop``.

    Args:
        session: Used by the worker's thread alone from here on.
        scheduler: Runs the model's steps.
        emit: [worker] Called with every event for the transport, in order; must return soon.
        deadline_s: Live pacing: how long after the arrival of its last sample a step may take before the delayed
            input is played instead. ``None`` is pacing fast: nothing is ever late.
        clock: Time for deadlines, the same that the scheduler has.
        max_inbox_events: Bound of the inbox.
        tape: Hears what the session takes; what goes wrong with it costs the receipt alone.
    """

    def __init__(
        self,
        session: Session,
        scheduler: Scheduler,
        emit: Callable[[OutEvent], None],
        *,
        deadline_s: float | None,
        clock: Clock | None = None,
        max_inbox_events: int = MAX_INBOX_EVENTS,
        tape: Tape | None = None,
    ) -> None:
        self._session = session
        self._scheduler = scheduler
        self._emit = emit
        self._deadline_s = deadline_s
        self._clock = clock if clock is not None else MonotonicClock()
        self._max_inbox_events = max_inbox_events
        self._tape = tape
        self._condition = threading.Condition()
        self._inbox: deque[tuple[float, InEvent]] = deque()  # bounded by max_inbox_events
        self._guests: deque[Control | ChangeStyle] = deque()  # bounded by MAX_GUEST_EVENTS
        self._answers: deque[InEvent] = deque()  # at most one: a session has one step open
        self._deadlines: deque[tuple[int, float]] = deque()  # of steps not rendered yet; bounded by the backlog
        self._arrivals = Arrivals(session.sample_rate_hz)
        self._arrived_s = 0.0
        self._is_stopping = False
        self._is_over = False
        self._thread = threading.Thread(target=self._work, name="deepmusic-session", daemon=True)

    @property
    def latency_samples(self) -> int:
        """[any] Constant delay of the session, in samples."""
        return self._session.latency_samples

    @property
    def stats(self) -> SessionStats:
        """[any] The session's counters as of now."""
        return self._session.stats

    @property
    def is_running(self) -> bool:
        """[any] Whether the thread runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """[any] Starts the thread; once."""
        self._thread.start()

    def post(self, event: InEvent) -> None:
        """[any] Hands an event over; after the session's end it is ignored.

        Raises:
            AudioTooFast: ``max_inbox_events`` wait already.
        """
        with self._condition:
            if self._is_over:
                return
            if len(self._inbox) >= self._max_inbox_events:
                raise AudioTooFast(
                    f"expected at most {self._max_inbox_events} messages to wait, got more; wait for answers"
                )
            now_s = self._clock.now_s()
            if isinstance(event, AudioIn):
                self._arrivals.add(event.first_sample + event.block.shape[1], now_s)
            self._inbox.append((now_s, event))
            self._condition.notify_all()

    def offer(self, event: Control | ChangeStyle) -> bool:
        """[any] Hands over a control of a guest, someone who is not the stream's own client.

        It is taken before what waits in the inbox, as soon as the session takes controls at all; once the stream
        finishes it is dropped, since nothing may come after ``Finish``.

        Returns:
            False where ``MAX_GUEST_EVENTS`` wait already, or the session is over, and it is not taken.
        """
        with self._condition:
            if self._is_over or len(self._guests) >= MAX_GUEST_EVENTS:
                return False
            self._guests.append(event)
            self._condition.notify_all()
            return True

    def position_at(self, at_s: float) -> int | None:
        """[any] The sample that comes in at a time of the clock; ``None`` where no audio comes, or none in real time.

        The error is that of the arrivals: what the earliest of the last seconds was late.
        """
        if self._deadline_s is None:
            return None
        with self._condition:
            return self._arrivals.position(at_s, self._clock.now_s())

    def stop(self, timeout_s: float | None = None) -> bool:
        """[any but worker] Ends the thread after the event in hand; what waits is dropped.

        Returns:
            Whether the thread has ended within the time.
        """
        with self._condition:
            self._is_stopping = True
            self._condition.notify_all()
        return self.join(timeout_s)

    def join(self, timeout_s: float | None = None) -> bool:
        """[any but worker] Waits for the session's own end; whether it came within the time."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _work(self) -> None:
        try:
            while self._session.state is not SessionState.FINISHED and (event := self._next_event()) is not None:
                self._handle(event)
        except DeepmusicError as error:
            self._fail(error)
        except Exception:
            _log.exception("a session failed")
            self._fail(InternalError("the session failed; the server's log has the cause"))
        with self._condition:
            self._is_over = True
            self._inbox.clear()
            self._guests.clear()
        self._end_tape()

    def _handle(self, event: InEvent) -> None:
        n_before = self._session.n_steps_complete
        outs = self._session.receive(event)
        self._note(event, outs)
        if self._deadline_s is not None:
            # A tail comes at once but is played at the stream's pace.
            spread_s = self._session.step_s if isinstance(event, Flush | Finish) else 0.0
            for index, step in enumerate(range(n_before, self._session.n_steps_complete)):
                self._deadlines.append((step, self._arrived_s + self._deadline_s + index * spread_s))
        for out in outs:
            if isinstance(out, StepRequest):
                self._submit(out)
            else:
                self._emit(out)

    def _note(self, event: InEvent, outs: Sequence[OutEvent]) -> None:
        try:
            if self._tape is not None:
                self._tape.note(event, outs, self._session.n_steps_rendered)
        except Exception:
            _log.exception("a stream's receipt ends here; the stream goes on")
            self._end_tape()

    def _end_tape(self) -> None:
        tape, self._tape = self._tape, None
        try:
            if tape is not None:
                tape.close()
        except Exception:
            _log.exception("a stream's receipt could not be ended")

    def _next_event(self) -> InEvent | None:
        """Waits for an answer, a deadline or a message, in this order; ``None`` means stop."""
        with self._condition:
            while not self._is_stopping:
                if self._answers:
                    return self._answers.popleft()
                while self._deadlines and self._deadlines[0][0] < self._session.n_steps_rendered:
                    self._deadlines.popleft()
                now_s = self._clock.now_s()
                if self._deadlines and self._deadlines[0][1] <= now_s:
                    return StepMissed(step=self._deadlines.popleft()[0], reason=Miss.LATE)
                if self._guests and self._session.state is SessionState.STREAMING:
                    return self._guests.popleft()
                if self._inbox:
                    self._arrived_s, event = self._inbox.popleft()
                    return event
                self._clock.wait(self._condition, self._deadlines[0][1] - now_s if self._deadlines else None)
            return None

    def _submit(self, request: StepRequest) -> None:
        collected = _CollectedStep(request, self._arrived_s, self._clock, self._take_answer)
        deadline_s = dict(self._deadlines).get(request.step)
        for lane in request.lanes:
            step = StepInput(bands=lane.bands, style=lane.style, freeze=lane.freeze, state=lane.state)
            on_done = collected.receiver(lane.lane)
            try:
                self._scheduler.submit(cast("StepModel", lane.model.handle), step, deadline_s, on_done)
            except DeepmusicError as error:
                on_done(error)

    def _take_answer(self, answer: StepResult | StepMissed) -> None:
        """[any] An answer of the scheduler is complete."""
        with self._condition:
            self._answers.append(answer)
            self._condition.notify_all()

    def _fail(self, error: DeepmusicError) -> None:
        try:
            self._emit(Failure(error=error))
        except Exception:
            _log.exception("a transport could not take a session's failure")


class _CollectedStep:
    """Gathers the results of a request's lanes, which may come on several threads."""

    def __init__(
        self,
        request: StepRequest,
        arrived_s: float,
        clock: Clock,
        on_complete: Callable[[StepResult | StepMissed], None],
    ) -> None:
        self._step = request.step
        self._n_lanes = len(request.lanes)
        self._arrived_s = arrived_s
        self._clock = clock
        self._requested_s = clock.now_s()
        self._on_complete = on_complete
        self._lock = threading.Lock()
        self._results: dict[int, ModelResult] = {}

    def receiver(self, lane: int) -> OnDone:
        """[worker] What the scheduler is to call for a lane."""

        def on_done(result: ModelResult) -> None:
            with self._lock:
                self._results[lane] = result
                is_complete = len(self._results) == self._n_lanes
            if is_complete:
                self._on_complete(self._answer())

        return on_done

    def _answer(self) -> StepResult | StepMissed:
        lanes: list[LaneResult] = []
        for lane, result in self._results.items():
            if not isinstance(result, StepOutput):
                return StepMissed(step=self._step, reason=Miss.FAILED)
            lanes.append(LaneResult(lane=lane, gain_db=result.gain_db, state=result.state))
        timing = Timing(
            queue_s=max(0.0, self._requested_s - self._arrived_s),
            inference_s=max(0.0, self._clock.now_s() - self._requested_s),
        )
        return StepResult(step=self._step, lanes=tuple(lanes), timing=timing)
