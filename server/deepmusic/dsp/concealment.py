"""What is played where samples were lost: the sound goes on as it was, and fades.

Source: the idea of ITU-T G.711 appendix I (repeat what sounded last, full for 10 ms, silent after 60 ms), with the
repeated stretch found by correlation at any rate and on all channels at once, so that a stereo image stays where it is.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from deepmusic.audio import Audio

HISTORY_MS = 40.0
"""What has to be kept of the past: room for the longest stretch and for what it is found by."""

TEMPLATE_MS = 5.0
"""The end of the past, which is looked for earlier in it."""

SHORTEST_PERIOD_MS = 2.5
"""Shortest stretch that is repeated; a tone above 400 Hz fits into it several times."""

FULL_MS, SILENT_MS = 10.0, 60.0
"""The repeated stretch keeps its level for the first, and is gone by the second (G.711 appendix I)."""

REJOIN_MS = 5.0
"""Crossfade back into what is real."""

_QUIET = 1e-12


def continuation(history: Audio, n_samples: int, sample_rate_hz: int) -> Audio:
    """How the sound goes on behind its last sample.

    Args:
        history: float32 ``(channels, samples)``; ``HISTORY_MS`` of it are used, fewer give silence.
        n_samples: Samples wanted; 0 or more.
        sample_rate_hz: Rate of both.

    Returns:
        float32 ``(channels, n_samples)``, silent from ``SILENT_MS`` on.
    """
    result = np.zeros((history.shape[0], n_samples), np.float32)
    n_sounding = min(n_samples, _samples(SILENT_MS, sample_rate_hz))
    if history.shape[1] < _samples(HISTORY_MS, sample_rate_hz) or not n_sounding:
        return result
    period = _period(history[:, -_samples(HISTORY_MS, sample_rate_hz) :], sample_rate_hz)
    places = history.shape[1] - period + np.arange(n_sounding) % period
    result[:, :n_sounding] = history[:, places] * _fade(n_sounding, sample_rate_hz)
    return result


def rejoined(block: Audio, going_on: Audio) -> Audio:
    """A real block behind a concealed stretch, crossfaded from how that would have gone on.

    Args:
        block: float32 ``(channels, samples)``; not changed.
        going_on: The stretch's next samples, the length of the crossfade; a shorter block takes as many as it has.
    """
    n_faded = min(block.shape[1], going_on.shape[1])
    rise = (np.arange(n_faded, dtype=np.float32) + np.float32(0.5)) / np.float32(max(n_faded, 1))
    result = block.copy()
    result[:, :n_faded] = block[:, :n_faded] * rise + going_on[:, :n_faded] * (np.float32(1.0) - rise)
    return result


def _period(history: Audio, sample_rate_hz: int) -> int:
    """The lag at which the end of the past is most like itself, in samples."""
    mono = history.sum(axis=0, dtype=np.float64)
    n_template, shortest = _samples(TEMPLATE_MS, sample_rate_hz), _samples(SHORTEST_PERIOD_MS, sample_rate_hz)
    template = mono[-n_template:]
    earlier = mono[:-shortest]
    likeness = np.correlate(earlier, template, "valid")
    powers = np.cumsum(np.concatenate(([0.0], earlier**2)))
    energy = powers[n_template:] - powers[:-n_template]
    best = int(np.argmax(likeness / np.sqrt(np.maximum(energy, _QUIET))))
    return mono.size - n_template - best


def _fade(n_samples: int, sample_rate_hz: int) -> npt.NDArray[np.float32]:
    times_ms = np.arange(n_samples) * (1000.0 / sample_rate_hz)
    return np.clip((SILENT_MS - times_ms) / (SILENT_MS - FULL_MS), 0.0, 1.0).astype(np.float32)


def _samples(milliseconds: float, sample_rate_hz: int) -> int:
    return round(milliseconds * sample_rate_hz / 1000.0)
