"""One optimisation from its start to its result: chunk after chunk, within the budget, stoppable and resumable."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from deepmusic.audio import Audio, as_audio
from deepmusic.model.catalog import LoadedBundle
from deepmusic_export.optimise.finishing import Finished, finish
from deepmusic_export.optimise.gains import GainsTask
from deepmusic_export.optimise.gatys import GatysTask
from deepmusic_export.optimise.network import load_bundle
from deepmusic_export.optimise.plan import OptimisePlan
from deepmusic_export.optimise.recording import Recording
from deepmusic_export.optimise.solver import ROUND_STEPS, Progress, Solver, Stopped
from deepmusic_export.optimise.state import OptimiseState, save_state, state_key
from deepmusic_export.optimise.task import Task

#: Shortest time between two writes of the state, seconds.
SAVE_EVERY_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a run has to do with besides its recordings."""

    state_path: Path | None = None
    """Where the state is kept; None keeps none."""
    should_stop: Callable[[], bool] = lambda: False
    """Asked before every evaluation; True ends the run with what there is."""
    on_progress: Callable[[int, float], None] = lambda n_steps, loss: None
    """Called with the steps that were taken since the last call, and the loss."""
    clock_s: Callable[[], float] = time.monotonic
    """What the time budget is measured with."""


class _Saving:
    """Writes the state now and then."""

    def __init__(self, state: OptimiseState, around: Surroundings) -> None:
        self._state, self._around, self._last_s = state, around, around.clock_s()

    def when_due(self) -> None:
        if self._around.clock_s() - self._last_s >= SAVE_EVERY_S:
            self.now()

    def now(self) -> None:
        if self._around.state_path is not None:
            save_state(self._around.state_path, self._state)
        self._last_s = self._around.clock_s()


class Optimisation:
    """A pair of recordings being optimised.

    Args:
        content: What to play.
        style: What it is to sound like.
        plan: How.
        bundle: The network; loaded by the plan's name where it is None.
    """

    def __init__(
        self, content: Recording, style: Recording, plan: OptimisePlan, bundle: LoadedBundle | None = None
    ) -> None:
        bundle = bundle or load_bundle(plan.bundle)
        self.plan, self.content, self._inside = plan, content, content.at_a_session_rate()
        rate_hz = self._inside.sample_rate_hz
        style = style.at_rate(rate_hz)
        self.key = state_key(plan, bundle.bundle.digest, content.audio, style.audio)
        make = GainsTask if plan.recipe == "gains" else GatysTask
        self.task: Task = make(self._inside.audio, style.audio, rate_hz, plan, bundle)
        self.state = OptimiseState(key=self.key)

    @property
    def total_steps(self) -> int:
        """Steps of the whole plan."""
        return self.plan.steps * len(self.task.spans)

    @property
    def n_steps(self) -> int:
        """Steps so far."""
        return sum(chunk.n_steps for chunk in self.state.begun())

    @property
    def is_complete(self) -> bool:
        """Whether every chunk has had its steps or its share of the time."""
        return len(self.state.done) == len(self.task.spans)

    def histories(self) -> list[list[dict[str, float]]]:
        """The terms at the start of every round, for every chunk that was begun."""
        return [chunk.history for chunk in self.state.begun()]

    def curve(self) -> list[float]:
        """The loss at the start of every round, a mean over the chunks that got so far."""
        curves = [[sum(terms.values()) for terms in history] for history in self.histories()]
        longest = max((len(curve) for curve in curves), default=0)
        return [float(np.mean([curve[n] for curve in curves if len(curve) > n])) for n in range(longest)]

    def run(self, around: Surroundings) -> None:
        """Optimises from where `state` stands until the end, the budget's end or a stop."""
        until_s = around.clock_s() + self.plan.minutes * 60
        saving = _Saving(self.state, around)
        while not self.is_complete:
            # What is left of the time is shared by the chunks that are left.
            now_s, n_left = around.clock_s(), len(self.task.spans) - len(self.state.done)
            is_whole = self._solve(around, now_s + (until_s - now_s) / n_left, saving)
            if around.should_stop() or (n_left == 1 and not is_whole):
                break
            self.state.finish_current()
        saving.now()  # also at the end: the result is still to be written

    def _solve(self, around: Surroundings, until_s: float, saving: _Saving) -> bool:
        """Takes the steps of the next chunk; False where it was stopped or its time was over before."""
        problem = self.task.problem(len(self.state.done))
        if self.state.current is None:
            self.state.current = Progress(variables=problem.start())
        progress = self.state.current
        solver = Solver(problem.loss, progress, around.should_stop)
        while progress.n_steps < self.plan.steps:
            if around.clock_s() >= until_s:
                return False
            before = progress.n_steps
            try:
                has_moved = solver.round(min(ROUND_STEPS, self.plan.steps - before))
            except Stopped:
                return False
            if not has_moved:  # there is nowhere left to go
                progress.n_steps = self.plan.steps
            around.on_progress(progress.n_steps - before, sum(progress.history[-1].values()))
            saving.when_due()
        return True

    def result(self) -> Finished:
        """The sound of what was found so far, finished, at the content's own rate."""
        found = [chunk.variables for chunk in self.state.begun()]
        return self._finished([*found, *[None] * (len(self.task.spans) - len(found))])

    def start(self) -> Finished:
        """The sound of the start, finished."""
        return self._finished([None] * len(self.task.spans))

    def _finished(self, found: list[Tensor | None]) -> Finished:
        content = self.content
        rendered = Recording(audio=self.task.render(found), sample_rate_hz=self._inside.sample_rate_hz)
        back = rendered.at_rate(content.sample_rate_hz, n_samples=content.audio.shape[1])
        return finish(back.audio, content.audio, content.sample_rate_hz)


def optimise(content: Audio, style: Audio, sample_rate_hz: int, plan: OptimisePlan) -> Audio:
    """Optimises recordings in memory and gives the finished result.

    Args:
        content: (channels, samples).
        style: (channels, samples).
        sample_rate_hz: Rate of both.
        plan: How.

    Returns:
        float32 of the shape of the content.

    Raises:
        DeepmusicError: The bundle or the style will not do.
        ValueError: The plan's weights cannot be read.
    """
    run = Optimisation(
        Recording(audio=as_audio(content), sample_rate_hz=sample_rate_hz),
        Recording(audio=as_audio(style), sample_rate_hz=sample_rate_hz),
        plan,
    )
    run.run(Surroundings())
    return run.result().audio


def optimise_gains(content: np.ndarray, style: np.ndarray, rate: int, plan: OptimisePlan) -> np.ndarray:
    """`optimise` for mono recordings (samples,), in the form of evaluate's methods."""
    return optimise(content[np.newaxis], style[np.newaxis], rate, plan)[0]
