"""Where wet and dry meet: the balance, and the rescue when a model step is missed."""

from __future__ import annotations

import numpy as np

from deepmusic.audio import Audio
from deepmusic.dsp.crossfade import FadeLaw, fade_weights
from deepmusic.session.automation import Automation
from deepmusic.session.events import AudioFlag, Miss

RESCUE_FADE_MS = 5.0
"""Length of the fade from the styled sound to the delayed input when a step is missed, and of the one back."""

_MISS_FLAGS = {
    Miss.LATE: AudioFlag.DRY | AudioFlag.LATE,
    Miss.FAILED: AudioFlag.DRY | AudioFlag.FAILED,
}


class Rescue:
    """Covers missed steps with the delayed input, through equal-power fades.

    Args:
        sample_rate_hz: Rate, for the length of the fades.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        self._fade_samples = round(RESCUE_FADE_MS * sample_rate_hz / 1000.0)
        self._dryness = Automation(0.0)
        self._flags = AudioFlag.NONE

    def begin_step(self, miss: Miss | None, first: int, count: int) -> list[tuple[int, AudioFlag]]:
        """Says how a step ended that is heard from ``first`` to ``first + count - 1``.

        Returns:
            Runs of samples with their flags; the counts add up to ``count``.
        """
        self._dryness.forget(first)
        if miss is not None:
            if self._dryness.last_target == 0.0:
                self._dryness.move(1.0, first, self._fade_samples)
            self._flags = _MISS_FLAGS[miss]
            return [(count, self._flags)]
        if self._dryness.last_target == 0.0:
            return [(count, AudioFlag.NONE)]
        self._dryness.move(0.0, first, self._fade_samples)
        return [(self._fade_samples, self._flags), (count - self._fade_samples, AudioFlag.NONE)]

    def dryness(self, first: int, count: int) -> float | Audio:
        """Progress of the rescue, 0 (styled) to 1 (dry): one number where it does not move, else ``(count,)``."""
        steady = self._dryness.steady_value(first, count)
        return eased(self._dryness.over(first, count)) if steady is None else steady

    def reset(self) -> None:
        """No step was missed."""
        self._dryness = Automation(0.0)


def eased(progress: Audio) -> Audio:
    """A fade's progress without corners at its ends, which a low tone would show as clicks: 3x^2 - 2x^3."""
    return np.multiply(progress * progress, 3.0 - 2.0 * progress, dtype=np.float32)


def mix(dry: Audio, wet: Audio, weight: float | Audio, dryness: float | Audio) -> Audio:
    """The output: wet by its weight, dry for the rest; where one of them is alone it comes through bit for bit.

    The balance is linear, since wet and dry are alike. The rescue takes from the wet's part by equal power, and from
    nothing else: with weight 0 the output is the dry all through a rescue.

    Args:
        dry: ``(channels, n)``, finite; may be returned itself.
        wet: ``(channels, n)``, finite; may be returned itself.
        weight: Share of the wet, 0 to 1, for all samples or ``(n,)``.
        dryness: Progress of the rescue, 0 to 1, for all samples or ``(n,)``.
    """
    if isinstance(weight, float) and isinstance(dryness, float):
        if weight == 0.0 or dryness == 1.0:
            return dry
        if weight == 1.0 and dryness == 0.0:
            return wet
    share = np.broadcast_to(np.asarray(weight, np.float32), dry.shape[1:])
    styled, rescued = fade_weights(np.broadcast_to(np.asarray(dryness, np.float32), dry.shape[1:]), FadeLaw.EQUAL_POWER)
    wet_part = share * styled
    dry_part = (np.float32(1.0) - share) + share * rescued
    mixed = np.multiply(dry, np.minimum(dry_part, 1.0), dtype=np.float32)  # 1 + rounding would lift the largest float
    mixed += wet * wet_part
    np.copyto(mixed, dry, where=wet_part <= 0.0)
    np.copyto(mixed, wet, where=(dry_part <= 0.0) & (wet_part >= 1.0))
    return mixed
