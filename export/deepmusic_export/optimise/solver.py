"""L-BFGS in rounds: between two of them it can be stopped, looked at, saved and gone on with, to the same end."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

#: Steps between two looks at the clock.
ROUND_STEPS = 5
#: Pairs of steps and gradients that the estimate of the curvature keeps.
HISTORY = 10

Loss = Callable[[Tensor], dict[str, Tensor]]
"""Variables -> weighted terms; their sum is what falls."""


class Stopped(Exception):  # noqa: N818  no error: a person asked for it
    """Asked to stop in the middle of a round; what the last round left stands."""


@dataclass(slots=True, kw_only=True)
class Progress:
    """How far a solution is. Everything that `Solver` needs to go on to the same end."""

    variables: Tensor
    """Any shape; those after the last whole round."""
    n_steps: int = 0
    """Steps so far."""
    memory: dict[str, Any] | None = None
    """The optimiser's own state."""
    history: list[dict[str, float]] = field(default_factory=list)
    """The terms at the start of every round."""


class Solver:
    """Lets a loss fall.

    Args:
        loss: What falls.
        progress: Where to begin; brought forward by every round.
        should_stop: Asked before every evaluation.
    """

    def __init__(self, loss: Loss, progress: Progress, should_stop: Callable[[], bool]) -> None:
        self.progress, self._loss, self._should_stop = progress, loss, should_stop
        self._variables = progress.variables.detach().clone().requires_grad_(True)
        self._optimiser = torch.optim.LBFGS(
            [self._variables], max_iter=ROUND_STEPS, history_size=HISTORY, line_search_fn="strong_wolfe"
        )
        if progress.memory is not None:
            self._optimiser.load_state_dict(progress.memory)

    def round(self, n_steps: int = ROUND_STEPS) -> bool:
        """Takes some steps; False where there was nowhere left to go.

        Raises:
            Stopped: It was asked to stop; `progress` is as the last round left it.
        """
        terms: list[dict[str, Tensor]] = []

        def closure() -> Tensor:
            if self._should_stop():
                raise Stopped
            self._optimiser.zero_grad()
            parts = self._loss(self._variables)
            total = torch.stack(list(parts.values())).sum()
            total.backward()
            terms.append({name: value.detach() for name, value in parts.items()})
            return total

        self._optimiser.param_groups[0]["max_iter"] = n_steps
        self._optimiser.param_groups[0]["max_eval"] = n_steps * 3
        before = self._variables.detach().clone()
        self._optimiser.step(closure)
        if not torch.isfinite(self._variables).all():  # a line search that met the end of float32
            with torch.no_grad():
                self._variables.copy_(before)
        self.progress.history.append({name: value.item() for name, value in terms[0].items()})
        self.progress.variables = self._variables.detach().clone()
        self.progress.n_steps += n_steps
        # A copy: a round that is stopped half-way has changed the optimiser's own already.
        self.progress.memory = copy.deepcopy(self._optimiser.state_dict())
        return not torch.equal(before, self._variables)


def gradient_scales(values: Callable[[Tensor], dict[str, Tensor]], near_start: Tensor) -> dict[str, float]:
    """For each term, what makes its gradient one long.

    Args:
        values: The terms.
        near_start: Variables beside the start: at the start itself the content terms have no gradient.
    """
    variables = near_start.detach().clone().requires_grad_(True)
    scales: dict[str, float] = {}
    for name, value in values(variables).items():
        (gradient,) = torch.autograd.grad(value, variables, retain_graph=True, allow_unused=True)
        size = 0.0 if gradient is None else float(gradient.norm())
        scales[name] = 1.0 / size if size > 0.0 else 0.0
    return scales
