r"""Ramps of parameters and crossfades of signals, exact to the sample.

Both are functions of the sample position alone, so the size of the blocks makes no difference. A change that starts at
sample s and takes n samples has its old value at s and its new one, exactly, from s + n on::

    old  ------\
                \          s: last sample of the old value
    new          \------   s + n: first sample of the new value
"""

from __future__ import annotations

import bisect
import enum
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deepmusic.audio import Audio

MAX_PENDING = 256
"""Ramps that may wait for their start. The one that would start last is replaced when another comes."""


class FadeLaw(enum.Enum):
    """How the weights of two signals go from one to the other."""

    LINEAR = "linear"
    """Weights add up to one: for signals that are alike, such as wet and dry of one content, or two styles on it."""

    EQUAL_POWER = "equal_power"
    """Squares add up to one: for signals that are not."""


def fade_weights(
    progress: npt.NDArray[np.float32], law: FadeLaw
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Weights of the old and of the new signal; exactly (1, 0) at progress 0 and (0, 1) at progress 1.

    Args:
        progress: float32, 0 to 1.
        law: Linear or equal power.
    """
    if law is FadeLaw.LINEAR:
        return np.float32(1.0) - progress, progress
    angle = progress * np.float32(np.pi / 2)
    old = np.where(progress >= 1.0, np.float32(0.0), np.cos(angle))
    new = np.where(progress >= 1.0, np.float32(1.0), np.sin(angle))
    return old, new


def crossfade(old: Audio, new: Audio, progress: npt.NDArray[np.float32], law: FadeLaw) -> Audio:
    """Both signals weighted and added, ``(channels, n)`` in new memory.

    Where a weight is 0 the other signal comes through bit for bit.

    Args:
        old: ``(channels, n)``, finite.
        new: ``(channels, n)``, finite.
        progress: float32 ``(n,)``, 0 (old) to 1 (new).
        law: Linear or equal power.
    """
    weight_old, weight_new = fade_weights(progress, law)
    mixed: Audio = old * weight_old
    mixed += new * weight_new
    np.copyto(mixed, old, where=progress <= 0.0)  # -0.0 + 0.0 is 0.0: only a copy keeps every bit
    np.copyto(mixed, new, where=progress >= 1.0)
    return mixed


@dataclass(frozen=True, slots=True, kw_only=True)
class _Segment:
    start_sample: int
    length_samples: int
    origin: float
    target: float

    def at(self, sample: int) -> float:
        """Value at a sample, which is ``start_sample`` or later."""
        if sample >= self.start_sample + self.length_samples:
            return self.target
        return self.origin + (self.target - self.origin) * ((sample - self.start_sample) / self.length_samples)


class Ramp:
    """A parameter over time: steady, or on a straight line to its next value.

    Args:
        value: The value at the start.
    """

    def __init__(self, value: float) -> None:
        self._initial = value
        self._position = 0
        self._now = _Segment(start_sample=0, length_samples=0, origin=value, target=value)
        self._pending: list[tuple[int, int, float]] = []  # (start, length, target) by start; bounded by MAX_PENDING

    @property
    def target(self) -> float:
        """Where it goes when everything scheduled has happened."""
        return self._pending[-1][2] if self._pending else self._now.target

    def schedule(self, target: float, start_sample: int, length_samples: int) -> None:
        """Goes to ``target`` from sample ``start_sample`` on, in ``length_samples``.

        A ramp that is under way at that moment ends there, and the new one starts from the value it had. A start that
        has passed already means now: the first sample not asked for yet. Of two with one start, the later call wins.

        Args:
            target: The new value.
            start_sample: Position in the stream.
            length_samples: 0 for a jump; a caller in the audio path never asks for one.
        """
        if length_samples < 0:
            raise ValueError(f"expected a length of 0 samples or more, got {length_samples}")
        start_sample = max(start_sample, self._position)
        if len(self._pending) >= MAX_PENDING:
            self._pending.pop()
        place = bisect.bisect_right(self._pending, start_sample, key=lambda item: item[0])
        self._pending.insert(place, (start_sample, length_samples, target))

    def steady_value(self, first_sample: int, n_samples: int) -> float | None:
        """The value where it is the same over the whole range; None where ``values`` has to be asked.

        Cheap. An answer counts as having been asked for the range.
        """
        if self._pending and self._pending[0][0] < first_sample + n_samples:
            return None
        if self._now.origin == self._now.target or first_sample >= self._now.start_sample + self._now.length_samples:
            self._position = max(self._position, first_sample + n_samples)
            return self._now.target
        return None

    def values(self, first_sample: int, n_samples: int) -> npt.NDArray[np.float32]:
        """The value at every sample of a range, float32 ``(n_samples,)``. Ranges are asked for in order."""
        if first_sample < self._position:
            raise ValueError(f"expected sample {self._position} or later, got {first_sample}")
        end = first_sample + n_samples
        out = np.empty(n_samples, np.float32)
        at = first_sample
        while at < end:
            self._start_due(at)
            until = min(end, self._pending[0][0]) if self._pending else end
            out[at - first_sample : until - first_sample] = self._line(at, until)
            at = until
        self._position = end
        return out

    def reset(self) -> None:
        """Back to the first value, at sample 0, with nothing scheduled."""
        self._position = 0
        self._now = _Segment(start_sample=0, length_samples=0, origin=self._initial, target=self._initial)
        self._pending.clear()

    def _start_due(self, sample: int) -> None:
        while self._pending and self._pending[0][0] <= sample:
            start, length, target = self._pending.pop(0)
            self._now = _Segment(start_sample=start, length_samples=length, origin=self._now.at(start), target=target)

    def _line(self, at: int, until: int) -> npt.NDArray[np.float32] | float:
        now = self._now
        if at >= now.start_sample + now.length_samples or now.origin == now.target:
            return now.target
        samples = np.arange(at, until)
        line = now.origin + (now.target - now.origin) * ((samples - now.start_sample) / now.length_samples)
        line[samples >= now.start_sample + now.length_samples] = now.target
        return line.astype(np.float32)


class Crossfader:
    """Goes once from one signal to another; both have to run until it is done.

    Args:
        law: Linear or equal power.
    """

    def __init__(self, law: FadeLaw = FadeLaw.EQUAL_POWER) -> None:
        self._law = law
        self._progress = Ramp(0.0)
        self._end_sample: int | None = None

    def start(self, start_sample: int, length_samples: int) -> None:
        """Fades from sample ``start_sample`` on; the new signal is alone from ``start_sample + length_samples`` on."""
        if self._end_sample is not None:
            raise ValueError("expected one fade at a time; reset() first")
        self._progress.schedule(1.0, start_sample, length_samples)
        self._end_sample = start_sample + length_samples

    def done(self, sample: int) -> bool:
        """Whether the old signal is needed no more, from this sample on."""
        return self._end_sample is not None and sample >= self._end_sample

    def process(self, old: Audio, new: Audio, first_sample: int) -> Audio:
        """The next samples, ``(channels, n)`` in new memory.

        Args:
            old: ``(channels, n)``, starting at ``first_sample``.
            new: ``(channels, n)``, starting there too.
            first_sample: Position in the stream; calls come in order.
        """
        return crossfade(old, new, self._progress.values(first_sample, old.shape[1]), self._law)

    def reset(self) -> None:
        """Back to the old signal, with no fade under way."""
        self._progress.reset()
        self._end_sample = None
