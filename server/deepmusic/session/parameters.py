"""The one registry of parameters; gRPC, OSC and the plug-in all take theirs from it."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from deepmusic.errors import BadParameter
from deepmusic.session.config import Setting


class ParameterKind(enum.Enum):
    """How a value is given."""

    NUMBER = "number"
    """A real number within a range; moves by ramps."""
    SWITCH = "switch"
    """0 or 1; switched by a ramp where it is heard at once."""
    STYLE = "style"
    """The name of a style in the library; a transport looks it up and sends ``ChangeStyle``."""
    STYLE_WEIGHTS = "style_weights"
    """Names with weights; a transport blends the vectors and sends ``ChangeStyle``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of a session."""

    name: str
    """The same in Python, proto, OSC and plug-in."""
    kind: ParameterKind
    """How its value is given."""
    unit: str
    """Unit of the value; empty for a pure number."""
    minimum: float
    """Smallest value."""
    maximum: float
    """Largest value."""
    default: float
    """Value of a session that is told nothing."""
    smoothing_ms: float
    """Length of its ramp by default, and its shortest; 0: it is read once a model step."""
    doc: str
    """One sentence for people."""

    def clamp(self, value: float) -> float:
        """The nearest legal value; a switch is on from 0.5."""
        if self.kind is ParameterKind.SWITCH:
            return 1.0 if value >= 0.5 else 0.0
        return min(max(value, self.minimum), self.maximum)

    def smoothing_samples(self, sample_rate_hz: int) -> int:
        """The shortest ramp in samples at a rate."""
        return round(self.smoothing_ms * sample_rate_hz / 1000.0)


def _number(
    name: str, unit: str, bounds: tuple[float, float], default: float, smoothing_ms: float, doc: str
) -> Parameter:
    return Parameter(
        name=name,
        kind=ParameterKind.NUMBER,
        unit=unit,
        minimum=bounds[0],
        maximum=bounds[1],
        default=default,
        smoothing_ms=smoothing_ms,
        doc=doc,
    )


def _switch(name: str, smoothing_ms: float, doc: str) -> Parameter:
    return Parameter(
        name=name,
        kind=ParameterKind.SWITCH,
        unit="",
        minimum=0.0,
        maximum=1.0,
        default=0.0,
        smoothing_ms=smoothing_ms,
        doc=doc,
    )


def _named(name: str, kind: ParameterKind, doc: str) -> Parameter:
    return Parameter(name=name, kind=kind, unit="", minimum=0.0, maximum=1.0, default=0.0, smoothing_ms=50.0, doc=doc)


LOWEST_HZ, HIGHEST_HZ = 20.0, 20000.0
"""Ends of the styled band; at its end an edge is off altogether."""

PARAMETERS: dict[str, Parameter] = {
    parameter.name: parameter
    for parameter in (
        _number(
            "strength", "", (0.0, 1.0), 1.0, 50.0, "How much of the style is heard; 0 gives the input back bit for bit."
        ),
        _named("style", ParameterKind.STYLE, "Name of the style that is heard."),
        _named("style_weights", ParameterKind.STYLE_WEIGHTS, "Several styles with weights: a morph between them."),
        _number("mix", "", (0.0, 1.0), 1.0, 20.0, "Balance of the delayed input (0) and the styled sound (1)."),
        _number("input_gain_db", "dB", (-60.0, 24.0), 0.0, 20.0, "Gain before the style, on the styled sound alone."),
        _number("output_gain_db", "dB", (-60.0, 24.0), 0.0, 20.0, "Gain after the style, on the styled sound alone."),
        _number(
            "low_hz", "Hz", (LOWEST_HZ, HIGHEST_HZ), LOWEST_HZ, 50.0, "Lower edge of the band that takes on the style."
        ),
        _number(
            "high_hz",
            "Hz",
            (LOWEST_HZ, HIGHEST_HZ),
            HIGHEST_HZ,
            50.0,
            "Upper edge of the band that takes on the style.",
        ),
        _switch("freeze", 0.0, "Holds the running statistics of the content."),
        _switch("bypass", 10.0, "Gives the delayed input."),
        _switch("panic", 5.0, "Gives the delayed input at once and silences the styles until it is released."),
    )
}
"""Every parameter by name, in the order in which people read them."""


def check_setting(setting: Setting) -> Parameter:
    """The parameter of a first value.

    Raises:
        BadParameter: Unknown name, a name that takes a style, or a value out of range (on a live stream the same
            mistake is clamped or ignored, with a notice).
    """
    parameter = PARAMETERS.get(setting.name)
    if parameter is None or parameter.kind in (ParameterKind.STYLE, ParameterKind.STYLE_WEIGHTS):
        raise BadParameter(
            f"expected one of {', '.join(numeric_names())}, got {setting.name!r}", field=f"parameters.{setting.name}"
        )
    if not (math.isfinite(setting.value) and parameter.minimum <= setting.value <= parameter.maximum):
        unit = f" {parameter.unit}" if parameter.unit else ""
        raise BadParameter(
            f"expected {parameter.name} between {parameter.minimum:g} and {parameter.maximum:g}{unit}, "
            f"got {setting.value:g}",
            field=f"parameters.{parameter.name}",
        )
    return parameter


def numeric_names() -> tuple[str, ...]:
    """Names of the parameters that take a number or a switch."""
    return tuple(p.name for p in PARAMETERS.values() if p.kind in (ParameterKind.NUMBER, ParameterKind.SWITCH))
