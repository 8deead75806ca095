"""The state file beside an output: everything that an interrupted optimisation needs to go on."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from deepmusic_export.optimise.plan import OptimisePlan
from deepmusic_export.optimise.solver import Progress
from deepmusic_export.whole_file import whole_file

#: Raised when what a file means changes; older files are then refused.
STATE_VERSION = 1
#: What may differ when an optimisation is gone on with: only how long it may take.
_BUDGET = ("steps", "minutes")


@dataclass(slots=True, kw_only=True)
class OptimiseState:
    """What was found so far."""

    key: str
    """Digest of the recordings and the plan that it belongs to."""
    done: list[Progress] = field(default_factory=list)
    """Chunks that are finished; they need no memory any more."""
    current: Progress | None = None
    """The chunk behind them, where it was begun."""

    def finish_current(self) -> None:
        """The current chunk is as good as it will be."""
        assert self.current is not None
        self.done.append(replace(self.current, memory=None))
        self.current = None

    def begun(self) -> list[Progress]:
        """Every chunk that was begun."""
        return [*self.done, *([] if self.current is None else [self.current])]


def state_path(output: Path) -> Path:
    """Where the state of an output lies."""
    return output.with_name(output.name + ".state")


def state_key(plan: OptimisePlan, bundle_digest: str, *recordings: np.ndarray) -> str:
    """Digest of everything that the result depends on, but for the budget."""
    fields = {name: value for name, value in asdict(plan).items() if name not in _BUDGET}
    digest = hashlib.sha256(repr((STATE_VERSION, sorted(fields.items()), bundle_digest)).encode())
    for recording in recordings:
        digest.update(repr(recording.shape).encode())
        digest.update(np.ascontiguousarray(recording).data)
    return digest.hexdigest()


def save_state(path: Path, state: OptimiseState) -> None:
    """Writes the file, by rename."""
    data = {"key": state.key, "done": [_fields(chunk) for chunk in state.done], "current": None}
    if state.current is not None:
        data["current"] = _fields(state.current)
    with whole_file(path) as partial:
        torch.save(data, partial)


def load_state(path: Path, key: str) -> OptimiseState:
    """Reads the file.

    Raises:
        ValueError: There is none, it is broken, or it belongs to other recordings or another plan.
    """
    if not path.is_file():
        raise ValueError(f"{path}: expected the state of an interrupted run, found none; leave --resume out")
    try:
        data = torch.load(path, map_location="cpu", weights_only=True)
        current = None if data["current"] is None else Progress(**data["current"])
        state = OptimiseState(key=data["key"], done=[Progress(**chunk) for chunk in data["done"]], current=current)
    except Exception as error:  # torch and pickle raise whatever a broken file makes them
        raise ValueError(f"{path}: expected the state of an interrupted run, got a broken file; remove it") from error
    if state.key != key:
        raise ValueError(
            f"{path}: expected the state of these recordings and options, got that of others; "
            "give the same ones, or leave --resume out to begin anew"
        )
    return state


def _fields(progress: Progress) -> dict[str, Any]:
    return {name: getattr(progress, name) for name in Progress.__slots__}
