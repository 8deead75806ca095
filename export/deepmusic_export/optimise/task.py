"""What every recipe is to the run: chunks with variables and a loss, and a way from what was found to sound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from deepmusic.audio import Audio
from deepmusic_export.optimise.chunks import Span


class ChunkProblem(Protocol):
    """One chunk, ready to be solved."""

    def start(self) -> Tensor:
        """The variables to begin with."""
        ...

    def loss(self, variables: Tensor) -> dict[str, Tensor]:
        """The weighted terms; their sum has to fall."""
        ...


class Task(Protocol):
    """A pair of recordings and a recipe."""

    @property
    def spans(self) -> Sequence[Span]:
        """The chunks, in the recipe's own unit."""
        ...

    @property
    def listener_origin(self) -> str:
        """Where the weights that it listens with come from."""
        ...

    def problem(self, chunk: int) -> ChunkProblem:
        """The problem of a chunk; chunks are asked for in order, none twice, but some may be left out."""
        ...

    def render(self, found: Sequence[Tensor | None]) -> Audio:
        """What the variables of all chunks sound like, (channels, samples) as the content; None is the start."""
        ...
