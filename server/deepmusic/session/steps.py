"""The steps of a session by number: which are whole, which one the model has, which are rendered."""

from __future__ import annotations

import enum
from collections import deque

from deepmusic.audio import Audio
from deepmusic.dsp.framing import StepFramer


class Standing(enum.Enum):
    """What an answer of the model is worth when it comes."""

    UNKNOWN = "unknown"
    """Nobody waits for it: it was answered before, or never asked for."""
    STALE = "stale"
    """The stream has begun anew since it was asked for."""
    OVERDUE = "overdue"
    """Its sound was replaced already; its state is still wanted."""
    IN_TIME = "in_time"
    """Its sound is wanted."""


class StepQueue:
    """Content on its way to the model, step by step.

    Args:
        n_channels: Channels.
        step_samples: Samples of a step.
    """

    def __init__(self, n_channels: int, step_samples: int) -> None:
        self._framer = StepFramer(n_channels, step_samples)
        self._step_samples = step_samples
        self._whole: deque[Audio] = deque()  # bounded by the session's backlog
        self._open: int | None = None
        self._open_is_stale = False
        self.n_complete = 0
        """Steps whose input has come, over the whole stream."""
        self.n_rendered = 0
        """Steps whose output is made; the number of the next one."""

    @property
    def n_waiting_samples(self) -> int:
        """Samples of whole steps that nobody has taken yet."""
        return len(self._whole) * self._step_samples

    @property
    def can_open(self) -> bool:
        """Whether the model is free and a whole step waits for it."""
        return self._open is None and bool(self._whole)

    def push(self, block: Audio) -> None:
        """Takes content, ``(channels, n)``."""
        for step in self._framer.push(block):
            self._whole.append(step)
            self.n_complete += 1

    def take(self) -> Audio | None:
        """The next whole step, ``(channels, step_samples)``; ``None`` where none waits."""
        return self._whole.popleft() if self._whole else None

    def open(self) -> int:
        """Notes that the model has the next step to render; gives its number."""
        self._open = self.n_rendered
        return self._open

    def close(self, step: int) -> Standing:
        """Notes that the model has answered, or given up."""
        if step != self._open:
            return Standing.UNKNOWN
        self._open = None
        if self._open_is_stale:
            self._open_is_stale = False
            return Standing.STALE
        return Standing.IN_TIME if step == self.n_rendered else Standing.OVERDUE

    def restart(self) -> None:
        """Begins anew with nothing pending. A step that the model has becomes stale, and is still waited for."""
        assert not self._whole, "whole steps wait to be rendered"
        self._framer.reset()
        self._open_is_stale = self._open is not None
