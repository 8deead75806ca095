r"""Bands on their way to a model, and its gains on their way back: where steps of four frames meet longer ones.

The session goes on by four frames at a time. A model's own step may be longer, and its gains may be late::

    heard        |....|....|....|....|....|....|          four frames at a time
    asked        [ a segment: step_frames      ]          as soon as it is whole
    gains   [ as many, of look_ahead before    ]          handed out four at a time, from that moment on

A model that looks back only is the simplest case: its segment is four frames, asked, answered and used up at once.
"""

from __future__ import annotations

import enum
from collections import deque
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from deepmusic.dsp.windows import STEP_FRAMES
from deepmusic.session.config import ModelFacts
from deepmusic.session.events import Miss

_Array = npt.NDArray[np.float32]


class Call(NamedTuple):
    """What a model is asked."""

    bands: _Array
    """``(step_frames, 3, bands)``."""
    state: _Array
    """``(n_state,)``: before the call."""


class _Standing(enum.Enum):
    """How the gains of the segment in hand are doing."""

    UNASKED = "unasked"
    ASKED = "asked"
    ANSWERED = "answered"
    FAILED = "failed"


class GainLine:
    """The way of one lane's bands to its model and of the gains back.

    Args:
        model: The bundle's facts.
        state: The model's state to begin with.
    """

    def __init__(self, model: ModelFacts, state: _Array) -> None:
        self._model, self._state = model, state
        self._n_frames, self._look_ahead = model.step_frames, model.look_ahead_frames
        self._heard: deque[_Array] = deque()  # bounded: a segment that is over takes its bands with it
        self._is_busy = False
        self._last_call: Call | None = None
        self._gain_db: _Array | None = None
        self._first_valid = 0
        self._n_unheard = 0
        """Frames at the front of the next answer that belong to content that the model has not heard."""
        self._why = Miss.LATE
        # Before a stream is silence, which is right without gains: the end of a segment of it is played first.
        self._next = STEP_FRAMES % self._n_frames
        self._standing = _Standing.ANSWERED if self._next else _Standing.UNASKED

    @property
    def wants_call(self) -> bool:
        """Whether the model is to be asked now."""
        is_whole = len(self._heard) * STEP_FRAMES >= self._n_frames
        return self._standing is _Standing.UNASKED and is_whole and not self._is_busy

    @property
    def state(self) -> _Array:
        """The model's state, as of its last answer."""
        return self._state

    @property
    def missing(self) -> Miss | None:
        """Why there are no gains for the frames that are due; ``None`` where there are."""
        return None if self._is_there else self._why

    def hear(self, bands: _Array) -> None:
        """Takes the bands of the next four frames, ``(4, 3, bands)``."""
        self._heard.append(bands)

    def call(self) -> Call:
        """What to ask the model now; ``adopt`` or ``fail`` is to follow."""
        bands = [self._heard.popleft() for _ in range(self._n_frames // STEP_FRAMES)]
        self._last_call = Call(bands[0] if len(bands) == 1 else np.concatenate(bands), self._state)
        self._standing, self._is_busy = _Standing.ASKED, True
        return self._last_call

    def adopt(self, gain_db: _Array, state: _Array) -> None:
        """Takes an answer, ``(step_frames, excitations, bands)``; from one that is late what is still due."""
        self._state, self._is_busy = state, False
        if self._standing is _Standing.ASKED:
            self._standing, self._gain_db = _Standing.ANSWERED, gain_db
            self._first_valid, self._n_unheard = self._n_unheard, 0

    def fail(self) -> None:
        """The call failed: the model begins anew, since what it held may be what made it fail."""
        if not self._is_busy:
            return
        self._state, self._is_busy = self._model.initial_state, False
        self._n_unheard, self._why = self._look_ahead, Miss.FAILED
        if self._standing is _Standing.ASKED:
            self._standing = _Standing.FAILED

    def next_gains(self) -> _Array | None:
        """Gains of the four frames that are due, ``(4, excitations, bands)``; ``None`` where there are none."""
        gain_db = self._gain_db
        due = None if gain_db is None or not self._is_there else gain_db[self._next : self._next + STEP_FRAMES]
        self._next += STEP_FRAMES
        if self._next == self._n_frames:
            self._end_segment()
        return due

    def fork(self) -> GainLine:
        """A line for another style on the same model, from the frames that are due now.

        Of the segment in hand the model is asked again, from the state before it.
        """
        line = GainLine(self._model, self._state)
        line._heard = self._heard.copy()
        line._next, line._standing, line._why = self._next, self._standing, self._why
        line._n_unheard = self._n_unheard
        if self._last_call is not None and self._standing in (_Standing.ASKED, _Standing.ANSWERED):
            bands, line._state = self._last_call
            line._heard.extendleft(reversed(np.split(bands, self._n_frames // STEP_FRAMES)))
            line._standing = _Standing.UNASKED
            line._n_unheard = self._n_unheard if self._standing is _Standing.ASKED else self._first_valid
        elif self._is_busy:
            line._n_unheard = self._look_ahead  # its state lacks what the model hears just now
        return line

    @classmethod
    def joining(cls, model: ModelFacts) -> GainLine:
        """A line of a model that begins within a stream: the first frame that is due is the first one it hears."""
        line = cls(model, model.initial_state)
        line._next, line._standing = model.look_ahead_frames, _Standing.UNASKED
        return line

    @property
    def _is_there(self) -> bool:
        return self._standing is _Standing.ANSWERED and self._next >= self._first_valid

    def _end_segment(self) -> None:
        if self._standing is _Standing.UNASKED:
            # The model was not free in time. What it has not heard it cannot give gains for later.
            for _ in range(self._n_frames // STEP_FRAMES):
                self._heard.popleft()
            self._n_unheard, self._why = self._look_ahead, Miss.LATE
        self._standing, self._gain_db = _Standing.UNASKED, None
        self._next = self._first_valid = 0
