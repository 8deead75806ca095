"""What goes into a session and what comes out of it.

A session is fed one event at a time and answers with events: ``Session.receive(event) -> list[OutEvent]``. Time is a
sample position, counted from the start of the stream; no event carries a clock's reading that the sound depends on.

::

    from the transport   AudioIn  Control  ChangeStyle  ChangeBundle  Flush  Finish
    from the model       StepResult  StepMissed
    to the model         StepRequest
    to the transport     AudioOut  Notice  Held  Summary  Failure
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from deepmusic.audio import Audio
from deepmusic.errors import DeepmusicError
from deepmusic.model.style_vector import StyleVector
from deepmusic.session.config import ModelFacts
from deepmusic.session.statistics import Statistics
from deepmusic.session.stats import SessionStats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AudioIn:
    """A block of content."""

    block: Audio
    """float32 ``(channels, samples)``, 1 to ``SessionConfig.max_block_samples`` samples."""
    first_sample: int
    """Position of the block's first sample in the stream; a jump forward is a gap, one back is a duplicate."""
    sequence: int = 0
    """Number that the sender gave the block; the answer carries it back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """A new value for a parameter of the registry; out of range it is clamped, and a notice says so."""

    name: str
    """Name in ``parameters.PARAMETERS``."""
    value: float
    """In the parameter's unit; switches take 0 and 1."""
    at_sample: int | None = None
    """First input sample that differs, heard ``latency_samples`` later; ``None`` or a past one: the next sample."""
    ramp_samples: int | None = None
    """Length of the ramp; ``None``: the parameter's smoothing, which is also the shortest that is used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeStyle:
    """Another style (or a blend) of the bundle that plays; both run while they are crossfaded."""

    vector: StyleVector
    """Style in the space of the bundle that plays (or that the last accepted ``ChangeBundle`` brings)."""
    at_sample: int | None = None
    """First input sample that differs, as in ``Control``."""
    fade_samples: int | None = None
    """Length of the crossfade; ``None``: 50 ms. Never shorter than 5 ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeBundle:
    """Another bundle with a style of its own, by crossfade; refused where it would need more latency."""

    model: ModelFacts
    """The bundle to change to."""
    vector: StyleVector
    """Style in the space of that bundle."""
    at_sample: int | None = None
    """First input sample that differs, as in ``Control``."""
    fade_samples: int | None = None
    """Length of the crossfade; ``None``: 50 ms. Never shorter than 5 ms."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LaneResult:
    """What the model made of one lane's request."""

    lane: int
    """``LaneRequest.lane`` of the request."""
    gain_db: npt.NDArray[np.float32]
    """``(frames, excitations, bands)`` in dB."""
    state: npt.NDArray[np.float32]
    """``(n_state,)``: the state after the step."""

    @property
    def is_finite(self) -> bool:
        """Whether every value can be played and handed back."""
        return bool(np.isfinite(self.gain_db).all() and np.isfinite(self.state).all())


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Where a step spent its time; for display only, the sound never depends on it."""

    queue_s: float = 0.0
    """Seconds from the arrival of the step's last sample to the request."""
    inference_s: float = 0.0
    """Seconds from the request to the answer: waiting for a thread, and the model."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StepResult:
    """The answer to a ``StepRequest``, with one result for each of its lanes."""

    step: int
    """``StepRequest.step``."""
    lanes: tuple[LaneResult, ...]
    """One for each requested lane."""
    timing: Timing = field(default_factory=Timing)
    """Passed on to the blocks of audio that the step completes."""


class Miss(enum.Enum):
    """Why a step has no result."""

    LATE = "late"
    """Its deadline passed; a result that comes later still keeps the model's state going."""
    FAILED = "failed"
    """The model raised or gave values that are not finite; its state starts again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepMissed:
    """A step will not be (or was not) answered in time; its samples go out as the delayed dry."""

    step: int
    """Number of the step; every step before it that is still open is missed with it."""
    reason: Miss
    """Late or failed."""


@dataclass(frozen=True, slots=True)
class Flush:
    """Gives the last ``latency_samples`` out; the stream then begins anew at the same position."""


@dataclass(frozen=True, slots=True)
class Finish:
    """Gives the last ``latency_samples`` out, then the summary; nothing is taken afterwards."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LaneRequest:
    """One style on one model for one step."""

    lane: int
    """Number of the lane, unique within the session."""
    model: ModelFacts
    """Whose ``handle`` is to run the step."""
    bands: npt.NDArray[np.float32]
    """``(frames, 3, bands)``: band magnitudes of content, odd and even; linear."""
    style: npt.NDArray[np.float32]
    """``(n_style,)``."""
    freeze: float
    """1 holds the running statistics of the content."""
    state: npt.NDArray[np.float32]
    """``(n_state,)``: the state before the step."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StepRequest:
    """Asks for one model step; at most one is open at any time."""

    step: int
    """Number of the step, counted over the whole stream."""
    lanes: tuple[LaneRequest, ...]
    """One lane, or two while a style or bundle is changing."""


class AudioFlag(enum.IntFlag):
    """What happened to a block of output; the wire uses the same bits."""

    NONE = 0
    CONCEALED = 1
    """Content that never came was taken as silence within this block or just before it."""
    DRY = 2
    """Some samples are the delayed input because a model step was missed."""
    DISCONTINUITY = 4
    """Sample positions jumped just before this block."""
    LATE = 8
    """The missed step was late."""
    FAILED = 16
    """The missed step failed."""
    CEILING = 32
    """The true-peak ceiling held the wet down."""
    TAIL = 64
    """The last ``latency_samples``, sent on ``Flush`` or ``Finish``; no block of input belongs to it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AudioOut:
    """A block of output: sample ``i`` of the stream is content sample ``i - latency_samples``."""

    block: Audio
    """float32 ``(channels, samples)``, as many samples as the block that it answers."""
    first_sample: int
    """Position of the block's first sample in the output stream."""
    sequence: int
    """``AudioIn.sequence`` of the block that it answers; one more than the last for a tail."""
    flags: AudioFlag = AudioFlag.NONE
    """What happened to it."""
    timing: Timing = field(default_factory=Timing)
    """Times of the last model step that it waited for."""


class NoticeKind(enum.Enum):
    """What a notice is about; values are their names on the wire."""

    UNKNOWN_PARAMETER = "UNKNOWN_PARAMETER"
    VALUE_CLAMPED = "VALUE_CLAMPED"
    VALUE_IGNORED = "VALUE_IGNORED"
    CONTROL_LATE = "CONTROL_LATE"
    CONTROL_DROPPED = "CONTROL_DROPPED"
    STYLE_REFUSED = "STYLE_REFUSED"
    STYLE_CHANGED = "STYLE_CHANGED"
    BUNDLE_REFUSED = "BUNDLE_REFUSED"
    BUNDLE_CHANGED = "BUNDLE_CHANGED"
    NON_FINITE_REPLACED = "NON_FINITE_REPLACED"
    BLOCK_DROPPED = "BLOCK_DROPPED"
    GAP_FILLED = "GAP_FILLED"
    STREAM_RESTARTED = "STREAM_RESTARTED"
    STEP_LATE = "STEP_LATE"
    STEP_FAILED = "STEP_FAILED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something a listener or a host should hear about; the stream goes on."""

    kind: NoticeKind
    """What it is about."""
    message: str
    """One line for a person."""
    at_sample: int
    """Input position to which it belongs."""
    name: str | None = None
    """Parameter, style or bundle that it is about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The content's running statistics stand still from here on: ``freeze`` went on, or the style changed under it."""

    statistics: Statistics
    """What they stand at; a session that begins with them, frozen, sounds alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The session's last word after ``Finish``."""

    stats: SessionStats
    """All counters at the end."""
    latency_samples: int
    """Constant delay of the stream."""
    bundle: str
    """Name of the bundle that played last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The worker's last word when the session cannot go on; the session itself raises the error instead."""

    error: DeepmusicError
    """What to tell the caller."""


InEvent = AudioIn | Control | ChangeStyle | ChangeBundle | StepResult | StepMissed | Flush | Finish
OutEvent = StepRequest | AudioOut | Notice | Held | Summary | Failure
