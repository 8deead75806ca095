"""The golden steps of a bundle, and how close a model comes to them on this machine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deepmusic.errors import InferenceFailed
from deepmusic.model.arrays import FloatArray
from deepmusic.model.steps import StepModel


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Golden:
    """What the float model gave at export for K steps in a row, from the initial state, freeze 0."""

    bands: FloatArray
    """Shape (K, 1, F, 3, n_bands)."""
    style: FloatArray
    """Shape (1, D)."""
    gain_db: FloatArray
    """Shape (K, 1, F, 4, n_bands)."""
    look_ahead_frames: int = 0
    """Frames that the gains are late: they belong to bands of so many frames before."""


def golden_snr_db(model: StepModel, initial_state: FloatArray, golden: Golden) -> float:
    """How close a model comes to its bundle's golden steps, in dB.

    The ratio is taken over linear gains weighted by the content's band magnitudes, since that is what is heard: 1 dB
    off in a loud band counts, 20 dB off at -100 dB does not. Infinite where they agree to the bit, and minus infinity
    where the model fails.
    """
    state, freeze = initial_state[np.newaxis], np.zeros((1, 1), np.float32)
    signal = error = 0.0
    for bands, content, expected_db in zip(golden.bands, _contents(golden), golden.gain_db, strict=True):
        try:
            gain_db, state = model.step(bands, golden.style, freeze, state)
        except InferenceFailed:
            return -np.inf
        weight = content + 1e-6
        expected = weight * 10.0 ** (expected_db / 20.0)
        signal += float(np.square(expected).sum())
        error += float(np.square(weight * 10.0 ** (gain_db / 20.0) - expected).sum())
    return np.inf if error == 0.0 else float(10.0 * np.log10(max(signal, 1e-30) / error))


def _contents(golden: Golden) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """The content's magnitudes that the gains belong to, (K, 1, F, 1, n_bands); silence before the first step."""
    content = golden.bands[:, :, :, :1].astype(np.float64)
    frames = content.reshape(-1, content.shape[-1])
    late = golden.look_ahead_frames
    return np.concatenate([np.zeros_like(frames[:late]), frames[: len(frames) - late]]).reshape(content.shape)
