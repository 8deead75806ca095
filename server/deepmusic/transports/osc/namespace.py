"""Every address that the bridge hears, and what its arguments mean; ``docs/osc.md`` has the same table.

::

    /deepmusic/strength 0.5 200                     all streams, over 200 ms
    /deepmusic/session/<stream>/strength 0.5        one stream; a pattern may stand anywhere in such an address
    /deepmusic/session/<stream>/at 96000 mix 0      from that input sample on
    /deepmusic/on bar style brass                   from the next bar on; of one stream too
    /deepmusic/sessions, /sync 7, ...               asked exactly, never by a pattern
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from deepmusic.errors import BadParameter
from deepmusic.model.style_share import MAX_STYLES, StyleShare
from deepmusic.session.parameters import PARAMETERS, Parameter, ParameterKind
from deepmusic.stage.tempo import Quantise
from deepmusic.transports.osc.codec import Argument
from deepmusic.transports.osc.pattern import Pattern

ROOT, SESSION, AT, ON = "deepmusic", "session", "at", "on"

LONGEST_RAMP_MS = 600_000.0
"""Ten minutes."""

LAST_POSITION = 2**53
"""Largest position of a sample; beyond it arithmetic in doubles is not exact."""


class Question(enum.Enum):
    """What is not a control; the value is the address."""

    SESSIONS = "/deepmusic/sessions"
    STYLES = "/deepmusic/styles"
    PARAMETERS = "/deepmusic/parameters"
    TEMPO = "/deepmusic/tempo"
    DOWNBEAT = "/deepmusic/downbeat"
    CUE = "/deepmusic/cue"
    CUES = "/deepmusic/cues"
    SYNC = "/sync"
    NOTIFY = "/notify"
    STATUS = "/status"
    VERSION = "/version"


_WAITED_FOR = (Quantise.BEAT.value, Quantise.BAR.value)

QUESTIONS: dict[str, Question] = {question.value: question for question in Question}
"""By address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetNumber:
    """Moves a number or a switch."""

    parameter: Parameter
    """Which."""
    value: float
    """In its unit, within its range."""
    ramp_ms: float | None
    """Length of the ramp; ``None``: the parameter's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetStyle:
    """Crossfades to another style, or to a blend."""

    styles: tuple[StyleShare, ...]
    """At least one, at least one weight above 0."""
    fade_ms: float | None
    """Length of the crossfade; ``None``: the parameter's own."""


Change = SetNumber | SetStyle


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What the address of a control means."""

    parameters: tuple[str, ...]
    """Names that match: of parameters, or ``AT`` or ``ON``."""
    stream: Pattern | None
    """Matches ``stream_part`` of the streams that are meant; ``None`` for all."""


def target(address: str) -> Target:
    """Reads the address of a control.

    Raises:
        MalformedMessage: A pattern in it is broken.
    """
    parts = [Pattern(part) for part in address.split("/")[1:]]
    if len(parts) == 2 and parts[0].matches(ROOT):
        return Target(parameters=tuple(name for name in (*PARAMETERS, ON) if parts[1].matches(name)), stream=None)
    if len(parts) == 4 and parts[0].matches(ROOT) and parts[1].matches(SESSION):
        names = tuple(name for name in (*PARAMETERS, AT, ON) if parts[3].matches(name))
        return Target(parameters=names, stream=parts[2])
    return Target(parameters=(), stream=None)


def stream_part(name: str) -> str:
    """A stream's name as it stands in addresses: what is no letter, digit or one of ``_.-~`` as in a URL."""
    return quote(name, safe="")


def read_change(parameter: Parameter, arguments: Sequence[Argument]) -> Change:
    """What the arguments of a control ask for.

    Raises:
        BadParameter: They ask for nothing that can be.
        BadName: No style can have the name.
    """
    match parameter.kind:
        case ParameterKind.STYLE:
            if not 1 <= len(arguments) <= 2 or not isinstance(arguments[0], str):
                raise _unfit(parameter, "the name of a style, and the milliseconds of the fade")
            fade_ms = _milliseconds(parameter, arguments[1:])
            return SetStyle(styles=(StyleShare(name=arguments[0]),), fade_ms=fade_ms)
        case ParameterKind.STYLE_WEIGHTS:
            n_paired = len(arguments) - len(arguments) % 2  # one more may follow: the fade
            shares = _shares(parameter, arguments[:n_paired])
            return SetStyle(styles=shares, fade_ms=_milliseconds(parameter, arguments[n_paired:]))
        case ParameterKind.SWITCH:
            value = _number(arguments[0]) if arguments else 1.0  # a button that says nothing means on
            meaning = "0, 1 or nothing, which means 1"
        case ParameterKind.NUMBER:
            value = _number(arguments[0]) if arguments else None
            meaning = "a number, and the milliseconds of the ramp"
    if value is None or len(arguments) > 2:
        raise _unfit(parameter, meaning)
    return SetNumber(parameter=parameter, value=parameter.clamp(value), ramp_ms=_milliseconds(parameter, arguments[1:]))


def read_at(arguments: Sequence[Argument]) -> tuple[int, Change]:
    """The sample and the change of ``/deepmusic/session/<stream>/at``.

    Raises:
        BadParameter: They ask for nothing that can be.
        BadName: No style can have the name.
    """
    sample = _number(arguments[0]) if arguments else None
    name = arguments[1] if len(arguments) > 1 else None
    if sample is None or not 0 <= sample <= LAST_POSITION or not isinstance(name, str) or name not in PARAMETERS:
        raise BadParameter(f"expected a sample, a parameter and its value; parameters: {', '.join(PARAMETERS)}")
    return round(sample), read_change(PARAMETERS[name], arguments[2:])


def read_on(arguments: Sequence[Argument]) -> tuple[Quantise, Change]:
    """What is waited for and the change of ``/deepmusic/on``.

    Raises:
        BadParameter: They ask for nothing that can be.
        BadName: No style can have the name.
    """
    waited_for = arguments[0] if arguments else None
    name = arguments[1] if len(arguments) > 1 else None
    if waited_for not in _WAITED_FOR or not isinstance(name, str) or name not in PARAMETERS:
        raise BadParameter(f"expected beat or bar, a parameter and its value; parameters: {', '.join(PARAMETERS)}")
    return Quantise(waited_for), read_change(PARAMETERS[name], arguments[2:])


def _number(argument: Argument) -> float | None:
    """A number, or true and false as 1 and 0; ``None`` for anything else."""
    if not isinstance(argument, int | float):
        return None
    value = float(argument)
    return value if math.isfinite(value) else None


def _milliseconds(parameter: Parameter, arguments: Sequence[Argument]) -> float | None:
    if not arguments:
        return None
    value = _number(arguments[0])
    if value is None or not 0.0 <= value <= LONGEST_RAMP_MS:
        raise _unfit(parameter, f"a ramp of 0 to {LONGEST_RAMP_MS:g} ms")
    return value


def _shares(parameter: Parameter, arguments: Sequence[Argument]) -> tuple[StyleShare, ...]:
    shares: list[StyleShare] = []
    for name, weight in zip(arguments[::2], arguments[1::2], strict=True):
        number = _number(weight)
        if not isinstance(name, str) or number is None or number < 0.0:
            raise _unfit(parameter, "names of styles, each with a weight of at least 0")
        shares.append(StyleShare(name=name, weight=number))
    if not 1 <= len(shares) <= MAX_STYLES or not any(share.weight > 0.0 for share in shares):
        raise _unfit(parameter, f"1 to {MAX_STYLES} styles, one with a weight above 0")
    return tuple(shares)


def _unfit(parameter: Parameter, wanted: str) -> BadParameter:
    return BadParameter(f"expected for {parameter.name}: {wanted}; got something else", field=parameter.name)
