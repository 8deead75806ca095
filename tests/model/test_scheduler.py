"""The scheduler: order, batches, failures, counters, and an end without loose threads."""

from __future__ import annotations

import logging
import queue
import threading
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from deepmusic.errors import BadConfig, InferenceFailed, NoCapacity, ShuttingDown
from deepmusic.model.bundle import Bundle
from deepmusic.model.runtime import TransferModel
from deepmusic.model.scheduler import StepScheduler
from deepmusic.model.steps import StepInput, StepOutput, StepResult
from tests.support.bundles import counting_bundle

pytestmark = pytest.mark.real_time

_WAIT_S = 30.0
FloatArray = npt.NDArray[np.float32]


class FakeModel:
    """Adds 1 to the state; waits at a gate; fails for streams whose state is negative."""

    def __init__(self, device: str = "cpu") -> None:
        self.device = device
        self.calls: list[list[float]] = []
        self.is_running = threading.Event()
        self.gate = threading.Event()
        self.gate.set()

    def step(
        self, bands: FloatArray, style: FloatArray, freeze: FloatArray, state: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        self.calls.append([float(value) for value in state[:, 0]])
        self.is_running.set()
        assert self.gate.wait(_WAIT_S)
        if (state == -1.0).any():
            raise InferenceFailed("a bad stream")
        if (state == -2.0).any():
            raise ZeroDivisionError("a fault of ours")
        return np.zeros((len(state), 4, 4, 2), np.float32), state + 1.0


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def _step(state: float) -> StepInput:
    return StepInput(
        bands=np.zeros((4, 3, 2), np.float32),
        style=np.zeros(1, np.float32),
        freeze=0.0,
        state=np.full(1, state, np.float32),
    )


@pytest.fixture
def results() -> queue.Queue[StepResult]:
    return queue.Queue()


def _held(scheduler: StepScheduler, model: FakeModel, results: queue.Queue[StepResult]) -> None:
    """Occupies the only thread until the model's gate opens."""
    model.gate.clear()
    scheduler.submit(model, _step(1000.0), 0.0, results.put)
    assert model.is_running.wait(_WAIT_S)


def _states(results: queue.Queue[StepResult], n: int) -> list[float]:
    found = [results.get(timeout=_WAIT_S) for _ in range(n)]
    return [float(result.state[0]) if isinstance(result, StepOutput) else np.nan for result in found]


def test_the_earliest_deadline_runs_first_and_none_comes_last(results: queue.Queue[StepResult]) -> None:
    scheduler, model = StepScheduler(1), FakeModel()
    _held(scheduler, model, results)
    for state, deadline_s in [(1.0, None), (2.0, 30.0), (3.0, 10.0), (4.0, 20.0), (5.0, 10.0), (6.0, None)]:
        scheduler.submit(model, _step(state), deadline_s, results.put)
    model.gate.set()
    assert _states(results, 7) == [1001.0, 4.0, 6.0, 5.0, 3.0, 2.0, 7.0]
    scheduler.stop()


def test_on_a_cpu_every_stream_has_its_own_call(results: queue.Queue[StepResult]) -> None:
    scheduler, model = StepScheduler(1), FakeModel()
    _held(scheduler, model, results)
    for state in (1.0, 2.0, 3.0):
        scheduler.submit(model, _step(state), 0.0, results.put)
    model.gate.set()
    _states(results, 4)
    scheduler.stop()
    assert model.calls == [[1000.0], [1.0], [2.0], [3.0]]


def test_on_a_gpu_streams_of_one_model_share_a_call_up_to_the_cap(results: queue.Queue[StepResult]) -> None:
    scheduler, model, other = StepScheduler(1, max_batch=3), FakeModel("cuda"), FakeModel("cuda")
    _held(scheduler, model, results)
    for state in (1.0, 2.0, 3.0, 4.0):
        scheduler.submit(model, _step(state), 10.0 - state, results.put)
    scheduler.submit(other, _step(9.0), 20.0, results.put)
    model.gate.set()
    assert sorted(_states(results, 6)) == [2.0, 3.0, 4.0, 5.0, 10.0, 1001.0]
    scheduler.stop()
    assert model.calls == [[1000.0], [4.0, 3.0, 2.0], [1.0]]
    assert other.calls == [[9.0]]
    assert scheduler.stats().largest_batch == 3


def test_a_stream_that_fails_in_a_shared_call_fails_alone(results: queue.Queue[StepResult]) -> None:
    scheduler, model = StepScheduler(1), FakeModel("cuda")
    _held(scheduler, model, results)
    answers: dict[float, StepResult] = {}
    done = threading.Barrier(2)

    def keep(state: float, result: StepResult) -> None:
        answers[state] = result
        if len(answers) == 3:
            done.wait(_WAIT_S)

    for state in (1.0, -1.0, 2.0):
        scheduler.submit(model, _step(state), 0.0, lambda result, state=state: keep(state, result))
    model.gate.set()
    done.wait(_WAIT_S)
    scheduler.stop()
    assert isinstance(answers[-1.0], InferenceFailed)
    assert isinstance(answers[1.0], StepOutput)
    assert isinstance(answers[2.0], StepOutput)
    stats = scheduler.stats()
    assert (stats.n_submitted, stats.n_done, stats.n_failed, stats.n_calls) == (4, 3, 1, 5)


def test_a_fault_of_ours_becomes_an_error_for_one_stream(
    results: queue.Queue[StepResult], caplog: pytest.LogCaptureFixture
) -> None:
    scheduler, model = StepScheduler(1), FakeModel()
    with caplog.at_level(logging.ERROR):
        scheduler.submit(model, _step(-2.0), None, results.put)
        error = results.get(timeout=_WAIT_S)
    assert isinstance(error, InferenceFailed)
    assert "ZeroDivision" not in error.message
    scheduler.submit(model, _step(1.0), None, results.put)
    assert _states(results, 1) == [2.0]
    scheduler.stop()


def test_a_receiver_that_raises_does_not_end_the_thread(
    results: queue.Queue[StepResult], caplog: pytest.LogCaptureFixture
) -> None:
    scheduler, model = StepScheduler(1), FakeModel()

    def broken(result: StepResult) -> None:
        raise RuntimeError("broken receiver")

    with caplog.at_level(logging.ERROR):
        scheduler.submit(model, _step(1.0), None, broken)
        scheduler.submit(model, _step(2.0), None, results.put)
        assert _states(results, 1) == [3.0]
    scheduler.stop()
    assert "broken receiver" in caplog.text


def test_late_steps_are_run_and_counted(results: queue.Queue[StepResult]) -> None:
    clock = Clock()
    scheduler, model = StepScheduler(1, clock=clock), FakeModel()
    _held(scheduler, model, results)
    scheduler.submit(model, _step(1.0), 5.0, results.put)
    scheduler.submit(model, _step(2.0), 15.0, results.put)
    clock.now_s = 10.0
    model.gate.set()
    assert _states(results, 3) == [1001.0, 2.0, 3.0]
    scheduler.stop()
    stats = scheduler.stats()
    assert (stats.n_done, stats.n_late) == (3, 2)
    assert stats.model_s == 10.0


def test_too_many_waiting_steps_are_refused_and_counted(results: queue.Queue[StepResult]) -> None:
    scheduler, model = StepScheduler(1, max_waiting=2), FakeModel()
    _held(scheduler, model, results)
    scheduler.submit(model, _step(1.0), None, results.put)
    scheduler.submit(model, _step(2.0), None, results.put)
    with pytest.raises(NoCapacity):
        scheduler.submit(model, _step(3.0), None, results.put)
    assert scheduler.stats().n_waiting == 2
    model.gate.set()
    _states(results, 3)
    scheduler.stop()
    assert scheduler.stats().n_refused == 1


def test_a_stop_answers_everything_and_leaves_no_thread(results: queue.Queue[StepResult]) -> None:
    before = set(threading.enumerate())
    scheduler, model = StepScheduler(2), FakeModel()
    _held(scheduler, model, results)
    model.is_running.clear()
    scheduler.submit(model, _step(1.0), None, results.put)
    assert model.is_running.wait(_WAIT_S)
    scheduler.submit(model, _step(2.0), None, results.put)
    threading.Thread(target=lambda: (results.put(results.get(timeout=_WAIT_S)), model.gate.set())).start()
    scheduler.stop()
    found = [results.get(timeout=_WAIT_S) for _ in range(3)]
    assert sum(isinstance(result, ShuttingDown) for result in found) == 1
    assert sum(isinstance(result, StepOutput) for result in found) == 2
    started = set(threading.enumerate()) - before
    assert not [thread for thread in started if thread.name.startswith("deepmusic-step")]
    with pytest.raises(ShuttingDown):
        scheduler.submit(model, _step(1.0), None, results.put)
    scheduler.stop()


def test_sizes_below_one_are_refused() -> None:
    for sizes in ({"n_threads": 0}, {"max_batch": 0}, {"max_waiting": 0}):
        with pytest.raises(BadConfig):
            StepScheduler(**sizes)


def test_many_streams_over_a_few_threads_each_get_their_own_answers(tmp_path: Path) -> None:
    model = TransferModel.load(Bundle.open(counting_bundle(tmp_path / "b", db_per_step=-1.0)))
    n_streams, n_steps = 6, 20
    heard: list[list[float]] = [[] for _ in range(n_streams)]
    all_done = threading.Semaphore(0)
    scheduler = StepScheduler(3)

    def play(stream: int, state: FloatArray) -> None:
        step = StepInput(
            bands=np.full((4, 3, 96), stream, np.float32), style=np.zeros(8, np.float32), freeze=0.0, state=state
        )
        scheduler.submit(model, step, float(stream), lambda result: receive(stream, result))

    def receive(stream: int, result: StepResult) -> None:
        assert isinstance(result, StepOutput)
        assert result.state[2] == stream
        heard[stream].append(float(result.gain_db[0, 0, 0]))
        if len(heard[stream]) < n_steps:
            play(stream, result.state)
        else:
            all_done.release()

    for stream in range(n_streams):
        play(stream, model.initial_state())
    for _ in range(n_streams):
        assert all_done.acquire(timeout=_WAIT_S)
    scheduler.stop()
    assert heard == [[-float(i) for i in range(n_steps)]] * n_streams
    assert scheduler.stats().n_done == n_streams * n_steps
