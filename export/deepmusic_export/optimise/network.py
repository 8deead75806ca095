"""The live network as a start: its gains, heard and steered step by step.

`SteeredModel` stands where the session expects a model, so that an optimised recording is played by the very session
that a stream runs, loudness match included. `NeutralModel` is the start from the content: nothing is changed.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

import numpy as np

from deepmusic.audio import Audio, AudioFormat
from deepmusic.dsp.excitation import CONTENT, EXCITATIONS
from deepmusic.dsp.windows import STEP_FRAMES
from deepmusic.errors import BadConfig
from deepmusic.model import chosen_bundle
from deepmusic.model.catalog import LoadedBundle
from deepmusic.model.manifest import BundleKind, Manifest
from deepmusic.model.style_vector import StyleVector
from deepmusic.session.config import SessionConfig
from deepmusic.session.offline import render

#: Gain of the excitations that the content lacks, where an optimisation starts from the content: not heard, but near
#: enough for its gradient to be felt.
ABSENT_DB = -50.0


class GainModel(Protocol):
    """What gives gains for a step: `TransferModel` and the models below."""

    manifest: Manifest
    bundle_digest: str

    def initial_state(self) -> np.ndarray:
        """A new copy of the state before the first step, (n_state,)."""
        ...

    def step(
        self, bands: np.ndarray, style: np.ndarray, freeze: np.ndarray, state: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Gains in dB (1, frames, 4, bands) and the next state (1, n_state)."""
        ...


class NeutralModel:
    """The content as it is, for the bands of a bundle.

    Args:
        model: The bundle's own network, which is not run.
    """

    def __init__(self, model: GainModel) -> None:
        self.manifest, self.bundle_digest = model.manifest, model.bundle_digest
        self._initial_state = model.initial_state()

    def initial_state(self) -> np.ndarray:
        """The bundle's own; nothing changes it."""
        return self._initial_state.copy()

    def step(
        self, bands: np.ndarray, style: np.ndarray, freeze: np.ndarray, state: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """0 dB for the content, `ABSENT_DB` for the others."""
        gain_db = np.full((*bands.shape[:2], len(EXCITATIONS), bands.shape[3]), ABSENT_DB, np.float32)
        gain_db[:, :, CONTENT] = 0.0
        return gain_db, state


class SteeredModel:
    """A model whose gains are moved by offsets, one for each step, in the order in which steps are asked for.

    Args:
        model: The start.
        offset_db: float32 (steps, 4, bands); the last one holds for the steps behind it.
    """

    def __init__(self, model: GainModel, offset_db: np.ndarray) -> None:
        self.manifest, self.bundle_digest = model.manifest, model.bundle_digest
        self._model, self._offset_db, self._n_steps = model, offset_db, 0

    def initial_state(self) -> np.ndarray:
        """That of the model."""
        return self._model.initial_state()

    def step(
        self, bands: np.ndarray, style: np.ndarray, freeze: np.ndarray, state: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The model's gains and the offset of this step."""
        gain_db, state = self._model.step(bands, style, freeze, state)
        last = len(self._offset_db) - 1
        around = [min(max(0, self._n_steps + shift), last) for shift in (-1, 0, 1)]
        self._n_steps += 1
        return gain_db + frame_offsets(self._offset_db[around])[np.newaxis, STEP_FRAMES:-STEP_FRAMES], state


def frame_offsets(offset_db: np.ndarray) -> np.ndarray:
    """Offsets of steps (steps, ...) on a straight line from middle to middle: one for each frame (frames, ...)."""
    place = np.clip((np.arange(len(offset_db) * STEP_FRAMES) + 0.5) / STEP_FRAMES - 0.5, 0, len(offset_db) - 1)
    before = np.minimum(place.astype(np.intp), max(0, len(offset_db) - 2))
    after = np.minimum(before + 1, len(offset_db) - 1)
    share = (place - before).astype(np.float32).reshape(-1, *(1,) * (offset_db.ndim - 1))
    return offset_db[before] * (1 - share) + offset_db[after] * share


def play(model: GainModel, style: StyleVector, audio: Audio, sample_rate_hz: int) -> Audio:
    """What a session plays with these gains: (channels, samples) to the same shape."""
    audio_format = AudioFormat(sample_rate_hz=sample_rate_hz, n_channels=audio.shape[0])
    return render(SessionConfig(audio_format=audio_format), model, style, audio)


@lru_cache(maxsize=4)
def load_bundle(chosen: str) -> LoadedBundle:
    """The bundle of that name, or the folder or zip at that path, in float32.

    Raises:
        ModelNotFound: There is none.
        BundleInvalid: It is refused.
        BadConfig: Its gains come late: a step of the optimiser is a step of a stream.
    """
    loaded = chosen_bundle.load_bundle(chosen, precision="float", device="cpu")
    manifest = loaded.bundle.manifest
    if manifest.kind is not BundleKind.STREAM:
        raise BadConfig(
            f"expected a bundle of the kind stream to start from, got {manifest.name!r} of the kind "
            f"{manifest.kind.value}; choose the live one",
            field="bundle",
        )
    return loaded
