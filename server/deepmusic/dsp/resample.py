"""Change of rate for whole recordings. The live path has no resampler: it runs at the host's rate."""

from __future__ import annotations

import numpy as np
import soxr

from deepmusic.audio import Audio, as_audio

_QUALITY = "VHQ"  # soxr: pass band to 0.913 of half the rate, rejection of 28 bits


def resampled_length(n_samples: int, from_hz: int, to_hz: int) -> int:
    """Samples that ``n_samples`` become: rounded up, so that nothing of the end is lost."""
    return -(-n_samples * to_hz // from_hz)


def resample(audio: Audio, from_hz: int, to_hz: int, *, n_samples: int | None = None) -> Audio:
    """The recording at another rate, aligned with the original.

    Args:
        audio: ``(channels, samples)``; not changed.
        from_hz: Rate of ``audio`` in Hz.
        to_hz: Wanted rate in Hz.
        n_samples: Exact length of the result; ``resampled_length`` of the input where it is None. Give the original's
            length on the way back, so that there and back keeps it.

    Returns:
        float32 ``(channels, n_samples)``, in new memory; silence fills what the resampler does not give.
    """
    if from_hz <= 0 or to_hz <= 0:
        raise ValueError(f"expected positive rates, got {from_hz} and {to_hz} Hz")
    if n_samples is None:
        n_samples = resampled_length(audio.shape[1], from_hz, to_hz)
    turned = audio
    if from_hz != to_hz and audio.shape[1]:
        turned = as_audio(soxr.resample(np.ascontiguousarray(audio.T), from_hz, to_hz, quality=_QUALITY).T)
    out = np.zeros((audio.shape[0], n_samples), np.float32)
    n_kept = min(n_samples, turned.shape[1])
    out[:, :n_kept] = turned[:, :n_kept]
    return out
