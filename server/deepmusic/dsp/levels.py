"""Loudness match and true-peak ceiling of the wet signal.

Both act on the wet alone, before it meets the dry.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np
import numpy.typing as npt

from deepmusic.audio import Audio
from deepmusic.dsp.delay import DelayLine
from deepmusic.dsp.loudness import KWeighting
from deepmusic.dsp.true_peak import (
    DELAY_SAMPLES,
    MAX_OVERSHOOT,
    N_TAPS,
    oversampling_factor,
    peak_readings,
    true_peak_dbtp,
)
from deepmusic.dsp.windows import StftGeometry

__all__ = ["KWeighting", "LoudnessMatch", "TruePeakCeiling", "lookahead_samples", "true_peak_dbtp"]

MOMENTARY_S = 0.4
"""Window of momentary loudness in seconds (EBU Tech 3341)."""

HEADROOM_DB = 2.0
"""How far above its settled value the gain of the loudness match may rise at once, in dB."""

SETTLING_S = 8.0
"""Time constant in seconds with which that value follows the gain that the means ask for."""

FAR_DB, FAR_PACE = 9.0, 4.0
"""A gain that is asked for so far above the settled value is followed at so many times the pace."""

_UNITS_PER_DB = 2**20
_NEPER_PER_DB = float(np.log(10.0) / 20.0)
_MARGIN_SAMPLES = 6  # half of the true-peak filter: the gain is as low all over the samples that a reading looks at


class LoudnessMatch:
    """Brings the wet to the loudness of the content.

    The gain is the ratio of two running means of K-weighted power (BS.1770-4), so that a loud moment of either counts
    as much as it is heard: a burst of the wet turns it down, and the rests between notes move nothing. (A running mean
    of decibels let rests and attacks pump: it cost 0.8 dB of log-spectral distance with a 50 dB floor.) The means start
    as plain ones, so that the first second is right too, and hold while the content is below the gate.

    After loud drums a quiet pad must not wait until the drums are forgotten. So what is remembered weighs at most as
    much as the content's momentary loudness (what is above the gate in the last 400 ms, EBU Tech 3341): both means are
    scaled down to it, which keeps their ratio.

    What is too loud is turned down at once, but the gain rises slowly above what it has long been: a style whose notes
    swell or die away sooner than the content's is to be heard so, not pulled up in every attack and every tail.

    Args:
        geometry: Sizes and rate, which give the frame rate.
        time_constant_s: Of the running means, in seconds.
        gate_dbfs: Below this power of a frame of the content nothing moves, in dB over full scale.
        max_gain_db: Largest gain up or down, in dB.
    """

    def __init__(
        self,
        geometry: StftGeometry,
        *,
        time_constant_s: float = 0.4,
        gate_dbfs: float = -50.0,
        max_gain_db: float = 24.0,
    ) -> None:
        self._rate = 1.0 - float(np.exp(-1.0 / (time_constant_s * geometry.frames_per_s)))
        self._gate = 10.0 ** (gate_dbfs / 10.0)
        self._largest_ratio = 10.0 ** (max_gain_db / 10.0)
        n_recent = round(MOMENTARY_S * geometry.frames_per_s)
        self._recent = deque([0.0] * n_recent, maxlen=n_recent)
        """Power of the last frames of the content, 0 where it was below the gate."""
        self._n_heard = 0
        self._content = self._wet = 0.0
        self._settling = 1.0 - float(np.exp(-1.0 / (SETTLING_S * geometry.frames_per_s)))
        self._settled_db = self._gain_db = 0.0

    def process(
        self,
        content_power: npt.NDArray[np.float32],
        wet_power: npt.NDArray[np.float32],
        strength: float | npt.NDArray[np.float32] = 1.0,
        *,
        hold: bool = False,
    ) -> npt.NDArray[np.float32]:
        """Gains of the wet for the next frames.

        Args:
            content_power: ``KWeighting.frame_loudness_power`` of the content, ``(frames,)``.
            wet_power: The same of the wet, before this gain.
            strength: 0 to 1, for all frames or ``(frames,)``; scales the gain in dB.
            hold: Whether the running mean stands still (the parameter ``freeze``).

        Returns:
            Linear gains, float32 ``(frames,)``; exactly 1 before anything was heard and where strength is 0.
        """
        gain_db = np.empty(len(content_power))
        for frame, (content, wet) in enumerate(zip(content_power.tolist(), wet_power.tolist(), strict=True)):
            if not hold:
                self._hear(content, wet)
            gain_db[frame] = self._gain_db
        return (10.0 ** (gain_db * strength / 20.0)).astype(np.float32)

    @property
    def means(self) -> tuple[float, float]:
        """Powers of content and wet over full scale whose ratio is the gain of now; 0 where nothing was heard."""
        return self._content, self._content * 10.0 ** (self._gain_db / -10.0)

    def follow(self, other: LoudnessMatch) -> None:
        """Sets out from the settled gain of the match whose place this one takes: a change of style is no new start."""
        self._settled_db = other._settled_db

    def reset(self) -> None:
        """As if nothing had been heard."""
        self._recent.extend([0.0] * len(self._recent))
        self._n_heard = 0
        self._content = self._wet = self._settled_db = self._gain_db = 0.0

    def resume(self, content: float, wet: float) -> None:
        """As if content and wet of these powers had been heard for long; nothing where the content's is 0."""
        self.reset()
        if content > 0.0:
            self._recent.extend([content] * len(self._recent))
            self._n_heard = len(self._recent)
            self._content, self._wet = content, wet
            self._settled_db = self._gain_db = self._wanted_db()

    def _hear(self, content: float, wet: float) -> None:
        is_heard = content >= self._gate
        self._recent.append(content if is_heard else 0.0)
        if not is_heard:
            return
        self._n_heard += 1
        momentary = sum(self._recent) / (len(self._recent) - self._recent.count(0.0))
        if momentary < self._content:
            self._wet *= momentary / self._content
            self._content = momentary
        rate = max(self._rate, 1.0 / self._n_heard)
        self._content += rate * (content - self._content)
        self._wet += rate * (wet - self._wet)
        wanted_db = self._wanted_db()
        above_db = wanted_db - self._settled_db
        self._settled_db += self._settling * (FAR_PACE if above_db > FAR_DB else 1.0) * above_db
        self._settled_db = max(self._settled_db, -HEADROOM_DB)  # what was turned down comes back to 0 dB at once
        self._gain_db = min(wanted_db, self._settled_db + HEADROOM_DB)

    def _wanted_db(self) -> float:
        ratio = self._content / max(self._wet, 1e-20)  # a silent wet gets the largest gain, of nothing
        return 10.0 * math.log10(min(max(ratio, 1.0 / self._largest_ratio), self._largest_ratio))


class TruePeakCeiling:
    """A look-ahead limiter: the true peak stays under a ceiling, and what was under it comes through bit for bit.

    ::

        samples -> readings of the true peak -> excess in dB -> release -> hold -> smooth -> gain
           |                                                                                  v
           '----------------------------- delay of the look-ahead ------------------------> times

    *Release*: the reduction falls back by ``release_db_per_s`` at most. *Hold*: the largest reduction within a window
    that reaches beyond the smoother on both sides. *Smooth*: two moving averages in dB, so the gain reaches its lowest
    value before the peak comes, on a curve without corners. The reduction is kept in whole units of 2**-20 dB and all
    sums are of integers: the result is the same for any split into blocks.

    Args:
        geometry: Gives the rate, and with it the look-ahead and the oversampling.
        n_channels: Channels; one gain for all of them keeps the image.
        ceiling_dbtp: Highest true peak of the output, in dBTP.
        release_db_per_s: How fast the level comes back after a peak, in dB per second.
    """

    def __init__(
        self,
        geometry: StftGeometry,
        n_channels: int,
        ceiling_dbtp: float = -1.0,
        *,
        release_db_per_s: float = 60.0,
    ) -> None:
        rate_hz = geometry.sample_rate_hz
        lookahead = lookahead_samples(rate_hz)
        self._ceiling = float(10.0 ** (ceiling_dbtp / 20.0))
        self._factor = oversampling_factor(rate_hz)
        self._release = round(release_db_per_s * _UNITS_PER_DB / rate_hz)
        # The gain of sample n mixes reductions of hold windows that all contain the readings within n +- _MARGIN.
        self._n_average = (lookahead - DELAY_SAMPLES - _MARGIN_SAMPLES) // 2 + 1
        self._n_hold = lookahead - (DELAY_SAMPLES - 2) + _MARGIN_SAMPLES
        self._delay = DelayLine(n_channels, lookahead)
        self._samples = np.zeros((n_channels, N_TAPS - 1), np.float32)
        self._reductions = np.zeros(self._n_hold - 1 + 2 * (self._n_average - 1), np.int64)
        self._largest = 0

    @property
    def latency_samples(self) -> int:
        """The look-ahead, in samples."""
        return self._delay.latency_samples

    @property
    def reduction_db(self) -> float:
        """The largest reduction asked for in the last block, in dB, 0 or more: for meters and the ceiling's flag."""
        return self._largest / _UNITS_PER_DB

    def process(self, block: Audio) -> Audio:
        """Takes ``(channels, n)``, finite, and gives as many samples, ``latency_samples`` late."""
        delayed = self._delay.process(block)
        n_samples = block.shape[1]
        if not n_samples:
            return delayed
        reductions = np.concatenate([self._reductions, self._reduction(block)])
        self._reductions[:] = reductions[n_samples:]
        self._largest = int(reductions.max())
        if self._largest:
            held = _trailing_max(reductions, self._n_hold)
            smooth = _trailing_sum(_trailing_sum(held, self._n_average), self._n_average)
            delayed *= np.exp(smooth * (-_NEPER_PER_DB / (_UNITS_PER_DB * self._n_average**2))).astype(np.float32)
        return delayed

    def flush(self) -> Audio:
        """The last ``latency_samples`` samples."""
        return self.process(np.zeros((self._samples.shape[0], self.latency_samples), np.float32))

    def reset(self) -> None:
        """Silence inside, no reduction."""
        self._delay.reset()
        self._samples.fill(0.0)
        self._reductions.fill(0)
        self._largest = 0

    def _reduction(self, block: Audio) -> npt.NDArray[np.int64]:
        """What the readings of the new samples ask for, after release, in units, ``(n,)``."""
        n_samples = block.shape[1]
        samples = np.concatenate([self._samples, block], axis=1)
        self._samples[:] = samples[:, n_samples:]
        excess = np.zeros(n_samples, np.int64)
        loudest = max(float(samples.max()), -float(samples.min()))
        if loudest * MAX_OVERSHOOT > self._ceiling:  # else no reading can pass the ceiling
            readings = peak_readings(samples, self._factor)
            over = np.flatnonzero(readings > self._ceiling)
            decibels = 20.0 * np.log10(readings[over] / self._ceiling, dtype=np.float64)
            excess[over] = np.ceil(decibels * _UNITS_PER_DB).astype(np.int64)
        last = self._reductions[-1]
        if not last and not excess.any():
            return excess
        fall: npt.NDArray[np.int64] = self._release * np.arange(1, n_samples + 1, dtype=np.int64)
        excess += fall
        excess[0] = max(excess[0], last)
        return np.maximum(np.maximum.accumulate(excess) - fall, 0)


def lookahead_samples(sample_rate_hz: int) -> int:
    """Look-ahead of the ceiling: 64 samples up to 50 kHz (1.3 ms at 48), and the same time at higher rates."""
    return 64 if sample_rate_hz <= 50_000 else 128 if sample_rate_hz <= 100_000 else 256


def _trailing_max(values: npt.NDArray[np.int64], width: int) -> npt.NDArray[np.int64]:
    """Largest of every ``width`` values in a row, ``(n - width + 1,)``, by doubling the width."""
    reach = 1
    while 2 * reach <= width:
        values = np.maximum(values[:-reach], values[reach:])
        reach *= 2
    rest = width - reach
    return np.maximum(values[: len(values) - rest], values[rest:]) if rest else values


def _trailing_sum(values: npt.NDArray[np.int64], width: int) -> npt.NDArray[np.int64]:
    """Sum of every ``width`` values in a row, ``(n - width + 1,)``, exact."""
    sums = np.cumsum(values)
    sums[width:] -= sums[:-width].copy()
    return sums[width - 1 :]
