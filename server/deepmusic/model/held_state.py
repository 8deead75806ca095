"""Which floats of a packed state ``freeze`` holds: the content's running statistics, apart from the caches beside them.

A manifest names the state as a whole. What is held is found by asking: a frozen step gives it back as it was, bit for
bit, while caches move on. A cache that happens to give back a random number does not do so twice.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from deepmusic.errors import InferenceFailed
from deepmusic.model.arrays import FloatArray
from deepmusic.model.manifest import N_FEATURE_EXCITATIONS, Manifest

N_PROBES = 2
"""Frozen steps that have to agree."""

LOUDEST_BAND = 0.1
"""Band magnitudes of a probe lie between 0 and this, as those of loud music do."""


class ProbedModel(Protocol):
    """What is asked; ``deepmusic.model.runtime.TransferModel`` is one."""

    manifest: Manifest
    bundle_digest: str

    def step(
        self, bands: FloatArray, style: FloatArray, freeze: FloatArray, state: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """[any] Runs one step."""
        ...


_known: dict[str, npt.NDArray[np.intp]] = {}  # by digest of the bundle; as many as bundles are ever loaded


def held_indices(model: ProbedModel) -> npt.NDArray[np.intp]:
    """[any] Places in the packed state that a frozen step leaves alone, ascending; none where a probe fails.

    Takes two steps of the model at the first call for a bundle. The same on every machine: the numbers are fixed.
    """
    if model.bundle_digest not in _known:
        _known[model.bundle_digest] = _probed(model)
    return _known[model.bundle_digest]


def _probed(model: ProbedModel) -> npt.NDArray[np.intp]:
    manifest = model.manifest
    is_held = np.ones(manifest.state.size, bool)
    for seed in range(N_PROBES):
        random = np.random.default_rng(seed)
        shape = (1, manifest.features.step_frames, N_FEATURE_EXCITATIONS, manifest.features.n_bands)
        bands = random.uniform(0.0, LOUDEST_BAND, shape).astype(np.float32)
        style = random.standard_normal((1, manifest.style.size)).astype(np.float32)
        state = random.uniform(0.0, 1.0, (1, manifest.state.size)).astype(np.float32)
        try:
            _, after = model.step(bands, style, np.ones((1, 1), np.float32), state)
        except InferenceFailed:
            return np.zeros(0, np.intp)
        is_held &= after[0] == state[0]
    return np.flatnonzero(is_held)
