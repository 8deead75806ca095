"""What goes into one model step of one stream, and what comes out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from deepmusic.errors import DeepmusicError
from deepmusic.model.arrays import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StepInput:
    """One step of one stream. The arrays are not changed, and must not be changed until the answer is there."""

    bands: FloatArray
    """Band magnitudes of content, odd and even excitation: shape (F, 3, n_bands)."""
    style: FloatArray
    """Style vector, shape (D,)."""
    freeze: float
    """1 holds the running statistics, 0 lets them move."""
    state: FloatArray
    """Packed state, shape (n_state,)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StepOutput:
    """The answer to a `StepInput`."""

    gain_db: FloatArray
    """Gains of content, odd, even and noise in dB, finite: shape (F, 4, n_bands)."""
    state: FloatArray
    """State for the next step, shape (n_state,)."""


class StepModel(Protocol):
    """What the scheduler needs of a model; `TransferModel` is one, tests have others."""

    @property
    def device(self) -> str:
        """Where it runs: "cpu" or "cuda"."""
        ...

    def step(
        self, bands: FloatArray, style: FloatArray, freeze: FloatArray, state: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """[any] Runs one step for S streams at once, see `TransferModel.step`."""
        ...


StepResult = StepOutput | DeepmusicError
#: Called once for every step that was submitted, on a scheduler's thread; must return soon. [worker]
OnDone = Callable[[StepResult], None]
