"""What each part of a network brings: the bundle played with one part taken out, and not trained without it.

A network that had been trained without a part would make up for some of it: what these rows lose is the most that a
part can be worth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from deepmusic.model.arrays import FloatArray
from deepmusic.model.manifest import EXCITATIONS
from deepmusic.model.style_vector import StyleVector
from deepmusic_export.evaluate.methods import Method, Player
from deepmusic_export.evaluate.pairs import Pair
from deepmusic_export.optimise.network import GainModel

#: What is added to the gains of an excitation that is taken out, dB.
SILENT_DB = -200.0
#: Statistics of a band in the profile that a style vector begins with.
PROFILE_ROWS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What is taken out of a bundle."""

    name: str
    """Its row in the tables."""
    excitations: tuple[str, ...] = ()
    """Those that stay silent, by name."""
    is_style_profile: bool = False
    """Whether the band profile is that of the mean style."""
    is_style_embedding: bool = False
    """Whether the learned part of the style vector is that of the mean style."""
    is_statistics: bool = False
    """Whether the network's running statistics stay what they are at a stream's start."""


PARTS = (
    Part(name="without noise", excitations=("noise",)),
    Part(name="without overtones", excitations=("odd", "even")),
    Part(name="without the style's profile", is_style_profile=True),
    Part(name="without the style's embedding", is_style_embedding=True),
    Part(name="without running statistics", is_statistics=True),
)
PART_NAMES = tuple(part.name for part in PARTS)


class ReducedModel:
    """A model without its excitations or running statistics; the session around it is whole, loudness match included.

    Args:
        model: The whole one, of either kind.
        part: What is taken out.
    """

    def __init__(self, model: GainModel, part: Part) -> None:
        self.manifest, self.bundle_digest = model.manifest, model.bundle_digest
        self._model, self._is_frozen = model, part.is_statistics
        self._silent = [EXCITATIONS.index(name) for name in part.excitations]

    def initial_state(self) -> np.ndarray:
        """That of the whole model."""
        return self._model.initial_state()

    def step(
        self, bands: np.ndarray, style: np.ndarray, freeze: np.ndarray, state: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """What is left of the whole model's gains, and its state."""
        freeze = np.ones_like(freeze) if self._is_frozen else freeze
        gain_db, state = self._model.step(bands, style, freeze, state)
        gain_db = gain_db.copy()
        gain_db[:, :, self._silent] += SILENT_DB
        return gain_db, state


def without_parts(player: Player, pairs: Sequence[Pair]) -> dict[str, Method]:
    """Row of the tables -> the bundle without a part.

    Args:
        player: The whole bundle.
        pairs: Their styles make the mean style.

    Raises:
        ValueError: A style of the bundle is no profile and embedding.
    """
    spec = player.model.manifest
    n_profile = PROFILE_ROWS * spec.features.n_bands
    if spec.style.size <= n_profile:
        raise ValueError(
            f"expected a bundle whose style is a profile of {PROFILE_ROWS} x {spec.features.n_bands} bands and an "
            f"embedding, got {spec.style.size} numbers in {spec.name!r}; leave --parts out"
        )
    vectors = [player.learn(pair.style, pair.sample_rate_hz).values for pair in pairs]
    mean_style = np.mean(vectors, axis=0, dtype=np.float64).astype(np.float32)
    return {part.name: _without(part, player, mean_style, n_profile) for part in PARTS}


def _without(part: Part, player: Player, mean_style: FloatArray, n_profile: int) -> Method:
    model = ReducedModel(player.model, part)

    def run(content: np.ndarray, style: np.ndarray, sample_rate_hz: int) -> np.ndarray:
        vector = _mixed(part, player.learn(style, sample_rate_hz), mean_style, n_profile)
        return player.play(content, vector, sample_rate_hz, model=model)

    return run


def _mixed(part: Part, vector: StyleVector, mean_style: FloatArray, n_profile: int) -> StyleVector:
    values = vector.values.copy()
    if part.is_style_profile:
        values[:n_profile] = mean_style[:n_profile]
    if part.is_style_embedding:
        values[n_profile:] = mean_style[n_profile:]
    return replace(vector, values=values)
