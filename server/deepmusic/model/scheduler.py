"""Model steps of many streams over a few threads, earliest deadline first."""

from __future__ import annotations

import heapq
import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Final

import numpy as np

from deepmusic.errors import BadConfig, DeepmusicError, InferenceFailed, NoCapacity, ShuttingDown
from deepmusic.model.arrays import FloatArray
from deepmusic.model.steps import OnDone, StepInput, StepModel, StepOutput, StepResult

#: A stream has one step under way, two while it changes styles; more waiting than this is a fault somewhere.
MAX_WAITING: Final = 1024
#: Streams that share a call on a GPU. On a CPU a call is one stream: gathering would only add waiting.
MAX_CUDA_BATCH: Final = 16

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerStats:
    """Counters since the start."""

    n_submitted: int = 0
    n_done: int = 0
    """Steps that gave gains."""
    n_failed: int = 0
    """Steps that raised, and those that a stop left undone."""
    n_late: int = 0
    """Steps that gave gains after their deadline."""
    n_refused: int = 0
    """Steps that were not taken because too many waited."""
    n_calls: int = 0
    """Calls of a model; fewer than steps where streams shared a call."""
    largest_batch: int = 0
    n_waiting: int = 0
    """Steps that wait now."""
    model_s: float = 0.0
    """Time inside models, summed over threads, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Job:
    model: StepModel
    step: StepInput
    deadline_s: float
    on_done: OnDone


class StepScheduler:
    """Runs steps on its own threads. A step that fails in a shared call is run again alone, so that it fails alone.

    Args:
        n_threads: threads that run models.
        max_batch: streams of one model that share a call on a GPU.
        max_waiting: steps that may wait; beyond it `submit` raises and counts.
        clock: monotonic seconds; deadlines are on this clock.
    """

    def __init__(
        self,
        n_threads: int = 1,
        *,
        max_batch: int = MAX_CUDA_BATCH,
        max_waiting: int = MAX_WAITING,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if n_threads < 1 or max_batch < 1 or max_waiting < 1:
            raise BadConfig("expected at least 1 scheduler thread, batch and place to wait, got less", field="threads")
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._clock = clock
        self._condition = threading.Condition()
        self._waiting: list[tuple[float, int, _Job]] = []
        self._is_stopping = False
        self._counts = {field.name: 0 for field in fields(SchedulerStats) if field.name not in ("model_s", "n_waiting")}
        self._model_s = 0.0
        self._threads = [
            threading.Thread(target=self._work, name=f"deepmusic-step-{i}", daemon=True) for i in range(n_threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, model: StepModel, step: StepInput, deadline_s: float | None, on_done: OnDone) -> None:
        """[any] Asks for a step.

        Args:
            model: the model to run; steps of the same object may share a call on a GPU.
            step: what goes in.
            deadline_s: when its result is wanted, on the scheduler's clock; None where it does not matter (it then
                comes after all that have a deadline). A late step is still run: the stream's state needs it.
            on_done: is called once with the result or with the error, on a scheduler's thread.

        Raises:
            NoCapacity: too many steps wait.
            ShuttingDown: the scheduler was stopped.
        """
        job = _Job(model=model, step=step, deadline_s=math.inf if deadline_s is None else deadline_s, on_done=on_done)
        with self._condition:
            if self._is_stopping:
                raise ShuttingDown("the scheduler was stopped; no step is taken any more")
            if len(self._waiting) >= self._max_waiting:
                self._counts["n_refused"] += 1
                raise NoCapacity(f"{self._max_waiting} model steps wait already; open fewer streams", retry_after_s=1.0)
            # The count of steps breaks ties: first come, first served.
            heapq.heappush(self._waiting, (job.deadline_s, self._counts["n_submitted"], job))
            self._counts["n_submitted"] += 1
            self._condition.notify()

    def stats(self) -> SchedulerStats:
        """[any] The counters as of now."""
        with self._condition:
            return SchedulerStats(**self._counts, model_s=self._model_s, n_waiting=len(self._waiting))

    def stop(self) -> None:
        """[any but on_done] Lets running steps end, answers waiting ones with `ShuttingDown`, and joins the threads."""
        with self._condition:
            self._is_stopping = True
            left = [job for _, _, job in sorted(self._waiting, key=lambda entry: entry[:2])]
            self._waiting.clear()
            self._condition.notify_all()
        error = ShuttingDown("the scheduler was stopped before this step ran")
        self._finish(left, [error] * len(left), n_calls=0, model_s=0.0)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while jobs := self._next_jobs():
            started_s = self._clock()
            results, n_calls = _run_together(jobs)
            self._finish(jobs, results, n_calls=n_calls, model_s=self._clock() - started_s)

    def _next_jobs(self) -> list[_Job]:
        """Waits for work; an empty list means that the scheduler stops."""
        with self._condition:
            while not self._waiting:
                if self._is_stopping:
                    return []
                self._condition.wait()
            first = heapq.heappop(self._waiting)[2]
            if first.model.device != "cuda" or self._max_batch == 1:
                return [first]
            same = sorted(
                (entry for entry in self._waiting if entry[2].model is first.model), key=lambda entry: entry[:2]
            )
            gathered = same[: self._max_batch - 1]
            if gathered:
                taken = {entry[1] for entry in gathered}
                self._waiting = [entry for entry in self._waiting if entry[1] not in taken]
                heapq.heapify(self._waiting)
            return [first, *(entry[2] for entry in gathered)]

    def _finish(self, jobs: list[_Job], results: list[StepResult], *, n_calls: int, model_s: float) -> None:
        now_s = self._clock()
        done = [isinstance(result, StepOutput) for result in results]
        n_late = sum(is_done and now_s > job.deadline_s for job, is_done in zip(jobs, done, strict=True))
        with self._condition:
            counts = self._counts
            counts["n_done"] += sum(done)
            counts["n_failed"] += len(jobs) - sum(done)
            counts["n_late"] += n_late
            counts["n_calls"] += n_calls
            counts["largest_batch"] = max(counts["largest_batch"], len(jobs) if n_calls else 0)
            self._model_s += model_s
        for job, result in zip(jobs, results, strict=True):
            try:
                job.on_done(result)
            except Exception:
                # A fault in one stream's callback must not take the thread that serves all of them.
                _log.exception("the receiver of a model step raised")


def _run_together(jobs: list[_Job]) -> tuple[list[StepResult], int]:
    """Runs the jobs, which share a model, in one call; where that fails, one by one. Returns results and calls."""
    results = _run_call(jobs)
    if len(jobs) == 1 or not isinstance(results, DeepmusicError):
        return ([results] if isinstance(results, DeepmusicError) else results), 1
    alone = [_run_call([job]) for job in jobs]
    return [result if isinstance(result, DeepmusicError) else result[0] for result in alone], 1 + len(jobs)


def _run_call(jobs: list[_Job]) -> list[StepResult] | DeepmusicError:
    steps = [job.step for job in jobs]
    try:
        gain_db, state = jobs[0].model.step(
            _stacked([step.bands for step in steps]),
            _stacked([step.style for step in steps]),
            np.array([[step.freeze] for step in steps], np.float32),
            _stacked([step.state for step in steps]),
        )
    except DeepmusicError as error:
        return error
    except Exception:
        _log.exception("a model step raised something unforeseen")
        return InferenceFailed("a model step failed; the server's log has the cause")
    return [StepOutput(gain_db=gain_db[i], state=state[i]) for i in range(len(jobs))]


def _stacked(arrays: list[FloatArray]) -> FloatArray:
    """The arrays behind each other; one alone, as it always is on a CPU, without a copy: a state has 240 kB."""
    return arrays[0][np.newaxis] if len(arrays) == 1 else np.stack(arrays)
