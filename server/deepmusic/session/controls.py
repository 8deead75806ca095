"""All parameters of a session over time, and what controls do to them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import numpy as np

from deepmusic.audio import Audio
from deepmusic.session.automation import Automation
from deepmusic.session.config import Setting
from deepmusic.session.events import Control, Notice, NoticeKind
from deepmusic.session.parameters import (
    HIGHEST_HZ,
    LOWEST_HZ,
    PARAMETERS,
    ParameterKind,
    check_setting,
    numeric_names,
)

FADE_BELOW_STRENGTH = 0.1
"""Below this strength the styled sound itself fades out, so that strength 0 is the delayed input, bit for bit. Gains,
ceiling and rounding on the wet path would differ from it otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleShape:
    """What strength and the styled band do to the gains of a step's frames."""

    strength: Audio
    """float32 ``(frames,)``, 0 to 1."""
    low_hz: Audio | None
    """float32 ``(frames,)``: lower edge; ``None`` where there is none."""
    high_hz: Audio | None
    """float32 ``(frames,)``: upper edge; ``None`` where there is none."""


class Controls:
    """The registry's numbers and switches as functions of the sample position.

    Args:
        settings: First values; the others begin at their defaults.
        sample_rate_hz: Rate, for the ramps.

    Raises:
        BadParameter: A setting is unknown or out of range.
    """

    def __init__(self, settings: tuple[Setting, ...], sample_rate_hz: int) -> None:
        self._rate_hz = sample_rate_hz
        values = {name: PARAMETERS[name].default for name in numeric_names()}
        for setting in settings:
            values[check_setting(setting).name] = setting.value
        self._tracks = {name: Automation(value) for name, value in values.items()}

    def receive(self, control: Control, now: int) -> list[Notice]:
        """Schedules a control.

        Args:
            control: What to change.
            now: Next input sample: the earliest position at which a change can still be exact.

        Returns:
            Notices about what could not be done as asked; a control never ends a stream.
        """
        parameter = PARAMETERS.get(control.name)
        if parameter is None:
            message = f"expected one of {', '.join(numeric_names())}, got {control.name[:64]!r}; ignored"
            return [_notice(NoticeKind.UNKNOWN_PARAMETER, message, now, control)]
        if parameter.kind in (ParameterKind.STYLE, ParameterKind.STYLE_WEIGHTS):
            message = f"expected {parameter.name} as a name that the library knows, got a number; ignored"
            return [_notice(NoticeKind.VALUE_IGNORED, message, now, control)]
        if not math.isfinite(control.value):
            message = f"expected a finite number for {parameter.name}, got {control.value:g}; ignored"
            return [_notice(NoticeKind.VALUE_IGNORED, message, now, control)]
        notices: list[Notice] = []
        value = parameter.clamp(control.value)
        if not parameter.minimum <= control.value <= parameter.maximum:
            message = (
                f"expected {parameter.name} between {parameter.minimum:g} and {parameter.maximum:g}, "
                f"got {control.value:g}; {value:g} is used"
            )
            notices.append(_notice(NoticeKind.VALUE_CLAMPED, message, now, control))
        start = now if control.at_sample is None else control.at_sample
        if start < now:
            message = f"{parameter.name} was due at sample {start}, which has passed; it begins at {now}"
            notices.append(_notice(NoticeKind.CONTROL_LATE, message, now, control))
            start = now
        length = max(parameter.smoothing_samples(self._rate_hz), control.ramp_samples or 0)
        if not self._tracks[parameter.name].move(value, start, length):
            message = f"too many changes of {parameter.name} are scheduled ahead; this one is ignored"
            notices.append(_notice(NoticeKind.CONTROL_DROPPED, message, now, control))
        return notices

    def target(self, name: str) -> float:
        """Where a parameter will be once everything that is scheduled has happened."""
        return self._tracks[name].last_target

    def is_on(self, name: str, position: int) -> bool:
        """A switch at a sample."""
        return self._tracks[name].at(position) >= 0.5

    def gain(self, name: str, first: int, count: int) -> float | Audio:
        """Linear gain of a parameter in dB: one number where it does not move, else float32 ``(count,)``."""
        track = self._tracks[name]
        gain_db = track.steady_value(first, count)
        if gain_db is not None:
            return 1.0 if gain_db == 0.0 else 10.0 ** (gain_db / 20.0)
        return np.power(np.float32(10.0), track.over(first, count) / np.float32(20.0))

    def wet_weight(self, first: int, count: int) -> float | Audio:
        """Share of the styled sound: mix, bypass, panic and the fade at low strength in one.

        Returns:
            One number where nothing moves, else float32 ``(count,)``; exactly 0 where the delayed input is due.
        """
        steady = [self._tracks[name].steady_value(first, count) for name in ("mix", "bypass", "panic", "strength")]
        if None not in steady:
            mix, bypass, panic, strength = cast("list[float]", steady)
            return mix * (1.0 - bypass) * (1.0 - panic) * min(strength / FADE_BELOW_STRENGTH, 1.0)
        factors = (
            self._values("mix", first, count),
            1.0 - self._values("bypass", first, count),
            1.0 - self._values("panic", first, count),
            np.minimum(self._values("strength", first, count) / FADE_BELOW_STRENGTH, 1.0),
        )
        weight = np.ones(count, np.float32)
        for factor in factors:
            weight *= factor
        return weight

    def shape(self, positions: tuple[int, ...]) -> StyleShape:
        """Strength and the styled band at the middles of a step's frames."""
        first, count = positions[0], positions[-1] - positions[0] + 1
        steady = [self._tracks[name].steady_value(first, count) for name in ("strength", "low_hz", "high_hz")]
        if None not in steady:
            return _steady_shape(*cast("list[float]", steady), len(positions))
        low = np.array([self._tracks["low_hz"].at(p) for p in positions], np.float32)
        high = np.array([self._tracks["high_hz"].at(p) for p in positions], np.float32)
        strength = np.array([self._tracks["strength"].at(p) for p in positions], np.float32)
        return _style_shape(strength, low, high)

    def forget(self, before: int) -> None:
        """Drops what no position from ``before`` on can see."""
        for track in self._tracks.values():
            track.forget(before)

    def _values(self, name: str, first: int, count: int) -> Audio:
        """``(count,)``, or ``(1,)`` where the value does not move."""
        track = self._tracks[name]
        value = track.steady_value(first, count)
        return track.over(first, count) if value is None else np.array([value], np.float32)


def _style_shape(strength: Audio, low_hz: Audio, high_hz: Audio) -> StyleShape:
    return StyleShape(
        strength=strength,
        low_hz=low_hz if (low_hz > LOWEST_HZ).any() else None,
        high_hz=high_hz if (high_hz < HIGHEST_HZ).any() else None,
    )


@lru_cache(maxsize=64)
def _steady_shape(strength: float, low_hz: float, high_hz: float, n_frames: int) -> StyleShape:
    """The shape where nothing moves, which is nearly always: made once and shared, so nobody may write into it."""
    values = np.repeat(np.array([[strength], [low_hz], [high_hz]], np.float32), n_frames, axis=1)
    values.flags.writeable = False
    return _style_shape(*values)


def _notice(kind: NoticeKind, message: str, now: int, control: Control) -> Notice:
    return Notice(kind=kind, message=message, at_sample=now, name=control.name[:64])
