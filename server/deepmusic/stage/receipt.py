"""A receipt: everything that a stream's sound depended on, but its samples.

::

    Receipt      what it was: format, bundle, machine, first values, first style
    Changed      a parameter was moved          Restyled   the style was changed
    Gap          samples never came             Flushed    the stream began anew     Finished   its end was asked for
    Missed       a step has no model's answer   Answered   the answer came too late for its sound, not for the state
    Mark         so far everything is written   Ended      nothing more will come

Entries stand in the order in which the session took them, each with the number of the input sample that came next. That
and the samples themselves give the same session again, whatever the sizes of blocks were.
"""

from __future__ import annotations

from dataclasses import dataclass

from deepmusic.model.style_vector import StyleVector
from deepmusic.session.config import Setting
from deepmusic.session.statistics import Statistics

RECEIPT_FORMAT = 1
"""Of what is written; a reader refuses others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What the arithmetic depends on. Where all of it is the same, a replay is the same bit for bit."""

    bundle_digest: str
    """Of the bundle's manifest."""
    precision: str
    """Of the model file that ran: float32, float16 or int8."""
    provider: str
    """Execution provider that ran it."""
    runtime: str
    """Version of ONNX Runtime."""
    numpy: str
    """Version of NumPy."""
    scipy: str
    """Version of SciPy, whose transforms play."""
    threads: int
    """Threads within one model step."""
    host: str
    """The processor and its instruction sets, in words."""

    def differences(self, other: Circumstances) -> tuple[str, ...]:
        """What is not the same there, in words."""
        return tuple(
            f"{name} {getattr(self, name)!s:.60} instead of {getattr(other, name)!s:.60}"
            for name in self.__slots__
            if getattr(self, name) != getattr(other, name)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What a stream was told once, at its start."""

    stream: str
    """Its name."""
    started: str
    """When, UTC; for people."""
    version: str
    """Of deepmusic."""
    sample_rate_hz: int
    """Rate."""
    n_channels: int
    """Channels."""
    latency_samples: int
    """From an input sample to its place in the output."""
    bundle: str
    """Name of the bundle."""
    circumstances: Circumstances
    """What the arithmetic depends on."""
    noise_seed: int
    """Of the excitation bank."""
    deadline_samples: int | None
    """Live: samples that a step had; ``None``: pacing fast."""
    settings: tuple[Setting, ...]
    """First values that are no defaults."""
    style: StyleVector
    """The first style."""
    statistics: Statistics | None
    """What it knew of the content already; ``None``: nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """A parameter was moved."""

    position: int
    """The next input sample, when the session took it."""
    name: str
    """Of the parameter."""
    value: float
    """Where to."""
    at_sample: int | None
    """From which input sample on; ``None``: ``position``."""
    ramp_samples: int | None
    """How long; ``None``: the parameter's own."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Restyled:
    """The style was changed."""

    position: int
    """The next input sample, when the session took it."""
    style: StyleVector
    """To this one."""
    at_sample: int | None
    """From which input sample on; ``None``: ``position``."""
    fade_samples: int | None
    """How long; ``None``: the parameter's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Samples never came; they are not in the dry recording either."""

    position: int
    """The first of them."""
    n_samples: int
    """How many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flushed:
    """The tail was asked for, and the stream began anew at the same position."""

    position: int
    """The next input sample."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The end was asked for."""

    position: int
    """Samples before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """A step without an answer in time: a rescue was heard, the delayed dry."""

    step: int
    """Its number, from 0 over the whole stream."""
    position: int
    """Its first input sample; the rescue was heard ``latency_samples`` later."""
    reason: str
    """late or failed."""
    is_asked: bool
    """Whether the model was asked at all; where it still had an earlier step, it was not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A late step's answer, which came after its sound was replaced."""

    step: int
    """Its number."""
    before_step: int
    """The first step that knew its state."""
    has_failed: bool
    """Whether the answer was a failure: then the state began anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Everything that the session took with so many samples is on the disk."""

    n_samples: int
    """Of the dry recording so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The last entry."""

    how: str
    """finished; abandoned, where its client went; or cut, where the disk or its limit took no more."""
    n_samples: int
    """Samples of the dry recording."""


Entry = Changed | Restyled | Gap | Flushed | Finished | Missed | Answered | Mark | Ended
"""A line of a receipt but the first."""

InputEntry = Changed | Restyled | Gap | Flushed | Finished
"""What came to the session from outside."""
