"""What a session was last asked for, whoever asked: what a fader shows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from deepmusic.model.style_share import StyleShare
from deepmusic.session.config import Setting
from deepmusic.session.events import ChangeStyle, Control, InEvent
from deepmusic.session.parameters import PARAMETERS, numeric_names

_NUMERIC = frozenset(numeric_names())


class AskedValues:
    """The last value of each parameter as it was asked for, clamped; a change that is scheduled ahead counts at once.

    Args:
        settings: First values.
        style: Name of the first style, or of the blend.
        shares: Of a blend: its styles with their weights.
    """

    def __init__(self, settings: Iterable[Setting], style: str, shares: tuple[StyleShare, ...] = ()) -> None:
        self._values: dict[str, float | str] = {name: PARAMETERS[name].default for name in numeric_names()}
        self._values |= {setting.name: setting.value for setting in settings if setting.name in self._values}
        self._values["style"] = style
        self.shares = _pairs(shares) or ((style, 1.0),)
        """Names of the styles that were asked for last, with weights whose sum is one."""

    @property
    def values(self) -> Mapping[str, float | str]:
        """By name: numbers in their units, and the style's name."""
        return MappingProxyType(self._values)

    def note(self, event: InEvent) -> None:
        """Takes note of an event; what is no change of a parameter changes nothing."""
        if isinstance(event, Control):
            if event.name in _NUMERIC and math.isfinite(event.value):
                self._values[event.name] = PARAMETERS[event.name].clamp(event.value)
        elif isinstance(event, ChangeStyle):
            self._values["style"] = event.vector.name
            self.shares = _pairs(event.vector.shares) or ((event.vector.name, 1.0),)


def _pairs(shares: tuple[StyleShare, ...]) -> tuple[tuple[str, float], ...]:
    return tuple((share.name, share.weight) for share in shares)
