"""The learning rate of a run with a time budget, shared by all trainings."""

from __future__ import annotations

import math

import torch

#: Share of the full height that is left at the end of the budget.
LAST_SHARE = 0.02


def set_learning_rate(
    optimiser: torch.optim.Optimizer, full: float, step: int, progress: float, warm_up_steps: int
) -> None:
    """Sets a linear warm-up over steps, then half a cosine over the budget, times the `scale` of each group, if any.

    Args:
        optimiser: Whose rate is set.
        full: Rate at full height.
        step: Steps done.
        progress: Share of the budget that is spent, 0 to 1; more counts as 1.
        warm_up_steps: Steps over which the rate rises to its full height.
    """
    warm = min(1.0, (step + 1) / warm_up_steps)
    scale = warm * (LAST_SHARE + (1 - LAST_SHARE) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0))))
    for group in optimiser.param_groups:
        group["lr"] = full * scale * group.get("scale", 1.0)
