"""Distillation: a narrow student learns from the gains of a wide teacher, and shares its style encoder.

After Hinton et al. 2015, with the teacher's output as a second target beside the oracle: the oracle says what is right,
the teacher says what a network of this kind can know. The style encoder is the teacher's and stays as it is, so that
one style vector serves both.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from deepmusic_export.nets.style_net import StyleNet
from deepmusic_export.training.transfer import TransferRecipe, TransferSystem, load_system, recipe_from_dict

#: Levels this far below the loudest band of an example are not compared, dB.
AUDIBLE_DB = 70.0
#: Weight of a decibel between student and teacher, against a decibel of the first distance to the oracle.
TEACHER_WEIGHT = 1.0


class Teacher:
    """A trained system whose gains a student is to give.

    Args:
        system: The teacher.
        recipe: What it was trained with.
    """

    def __init__(self, system: TransferSystem, recipe: TransferRecipe) -> None:
        self._system, self.recipe = system.eval().requires_grad_(False), recipe

    @classmethod
    def load(cls, checkpoint: Path, device: str = "cpu") -> Teacher:
        """Reads a checkpoint of `transfer`.

        Raises:
            ValueError: It was made by another version.
        """
        system, data = load_system(checkpoint)
        return cls(system.to(device), recipe_from_dict(data["recipe"]))

    @property
    def style(self) -> StyleNet:
        """The style encoder that the student takes over."""
        return self._system.style

    def distance(self, levels_db: Tensor, style_bands: Tensor, gains_db: Tensor) -> Tensor:
        """Weighted mean distance in dB of the student's excitations from the teacher's, where either is audible.

        Args:
            levels_db: Levels of the excitations in dB (batch, frames, 4, bands).
            style_bands: Band magnitudes of the style (batch, frames, bands).
            gains_db: The student's gains (batch, frames, 4, bands).
        """
        with torch.no_grad():
            content_bands = torch.pow(10.0, levels_db[:, :, :3] / 20)
            taught = levels_db + self._system.gains(content_bands, style_bands)
            floor = taught.amax((1, 2, 3), keepdim=True) - AUDIBLE_DB
        difference = torch.maximum(levels_db + gains_db, floor) - torch.maximum(taught, floor)
        n_audible = ((taught > floor) | (levels_db + gains_db > floor)).sum()
        return TEACHER_WEIGHT * difference.abs().sum() / n_audible
