"""The part of a recording that a style is learned from: all of a short one, excerpts from all over a long one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deepmusic.audio import Audio, as_audio, replace_non_finite
from deepmusic.errors import AudioTooShort, StyleSilent

MIN_STYLE_S = 0.25
"""Shortest recording that has a sound to learn, in seconds; below it a frame or two would decide everything."""

EXCERPT_S = 6.0
"""Length of an excerpt in seconds: about what the style encoder is trained on."""

MAX_EXCERPTS = 16
"""Excerpts of one recording; more hardly move their mean."""

GATE_DBFS = -50.0
"""Below this power, in dB over full scale, nothing is learned: the running statistics hold there too."""

_LEVEL_S = 0.1
"""Length over which the survey takes a level, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StyleSource:
    """What a style is learned from, and what the library keeps of a recording."""

    pieces: tuple[Audio, ...]
    """Excerpts in their order, float32 `(channels, samples)` each, 6 s or less, finite; at most 16."""

    sample_rate_hz: int
    """Rate of the recording, Hz; any."""

    @property
    def seconds(self) -> float:
        """Length of all pieces together."""
        return sum(piece.shape[1] for piece in self.pieces) / self.sample_rate_hz


class SourceSurvey:
    """First of two passes over a recording of any length: where is the sound?

    Args:
        sample_rate_hz: its rate, Hz.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        self.sample_rate_hz = sample_rate_hz
        self.n_samples = 0
        self._level_samples = max(1, round(_LEVEL_S * sample_rate_hz))
        self._powers: list[float] = []
        self._open_power = 0.0
        self._n_open = 0

    def add(self, block: Audio) -> None:
        """Hear the next block, finite, `(channels, samples)` of any length."""
        power = np.square(block, dtype=np.float64).mean(axis=0)
        self.n_samples += len(power)
        while len(power):
            part = power[: self._level_samples - self._n_open]
            power = power[len(part) :]
            self._open_power += float(part.sum())
            self._n_open += len(part)
            if self._n_open == self._level_samples:
                self._close_level()

    def spans(self) -> list[tuple[int, int]]:
        """Where the pieces are to be taken, `(start, stop)` in samples, in order and without overlap.

        Raises:
            AudioTooShort: the recording is shorter than `MIN_STYLE_S`.
            StyleSilent: none of it is above the gate.
        """
        if self.n_samples < MIN_STYLE_S * self.sample_rate_hz:
            raise AudioTooShort(
                f"expected a style of at least {1000 * MIN_STYLE_S:.0f} ms, "
                f"got {1000 * self.n_samples / self.sample_rate_hz:.0f} ms; choose a longer recording"
            )
        if self._n_open:
            self._close_level()
        sounding = np.flatnonzero(np.array(self._powers) >= 10.0 ** (GATE_DBFS / 10.0))
        if not len(sounding):
            raise StyleSilent(
                f"expected a style with sound above {GATE_DBFS:g} dBFS, got silence; choose another recording"
            )
        length = round(EXCERPT_S * self.sample_rate_hz)
        if self.n_samples <= MAX_EXCERPTS * length:
            return [(start, min(start + length, self.n_samples)) for start in range(0, self.n_samples, length)]
        return self._spread(sounding * self._level_samples, length)

    def _spread(self, sounding: np.ndarray[tuple[int], np.dtype[np.int64]], length: int) -> list[tuple[int, int]]:
        """Excerpts around positions that are evenly spaced in the time that sounds."""
        spans: list[tuple[int, int]] = []
        for index in range(MAX_EXCERPTS):
            middle = int(sounding[int((index + 0.5) / MAX_EXCERPTS * len(sounding))])
            taken = spans[-1][1] if spans else 0
            start = max(middle - length // 2, taken)
            if middle >= taken and start + length <= self.n_samples:
                spans.append((start, start + length))
        return spans

    def _close_level(self) -> None:
        self._powers.append(self._open_power / self._n_open)
        self._open_power, self._n_open = 0.0, 0


class SourceCollector:
    """Second pass: cut the surveyed spans out of the same blocks.

    Args:
        spans: as `SourceSurvey.spans` gave them.
        sample_rate_hz: rate of the recording, Hz.
    """

    def __init__(self, spans: list[tuple[int, int]], sample_rate_hz: int) -> None:
        self._spans = spans
        self._sample_rate_hz = sample_rate_hz
        self._parts: list[list[Audio]] = [[] for _ in spans]
        self._position = 0

    def add(self, block: Audio) -> None:
        """Take what the spans want of the next block."""
        first, last = self._position, self._position + block.shape[1]
        for parts, (start, stop) in zip(self._parts, self._spans, strict=True):
            if start < last and stop > first:
                parts.append(block[:, max(0, start - first) : stop - first].copy())
        self._position = last

    @property
    def is_complete(self) -> bool:
        """True when no further block holds anything of interest."""
        return self._position >= self._spans[-1][1]

    def source(self) -> StyleSource:
        """The pieces, once the last block was added."""
        pieces = tuple(np.concatenate(parts, axis=1) for parts in self._parts if parts)
        return StyleSource(pieces=pieces, sample_rate_hz=self._sample_rate_hz)


def style_source(audio: Audio, sample_rate_hz: int) -> StyleSource:
    """Both passes over a recording in memory.

    Args:
        audio: `(channels, samples)`; NaN and infinities count as 0.
        sample_rate_hz: its rate, Hz.

    Raises:
        AudioTooShort: it is shorter than `MIN_STYLE_S`.
        StyleSilent: none of it is above the gate.
    """
    clean, _ = replace_non_finite(as_audio(audio))
    survey = SourceSurvey(sample_rate_hz)
    survey.add(clean)
    collector = SourceCollector(survey.spans(), sample_rate_hz)
    collector.add(clean)
    return collector.source()
