"""A torch network where the runtime has a loaded bundle."""

from __future__ import annotations

import numpy as np
import torch

from deepmusic.model.manifest import Manifest
from deepmusic_export.nets.segments import as_played
from deepmusic_export.nets.transfer import TransferNet


class TorchStepModel:
    """The torch network behind the interface of the runtime's model."""

    def __init__(self, net: TransferNet, manifest: Manifest, bundle_digest: str) -> None:
        self._net = as_played(net)
        self.manifest, self.bundle_digest, self.device = manifest, bundle_digest, "cpu"

    def initial_state(self) -> np.ndarray:
        """The network's own initial state (n_state,)."""
        return self._net.initial_state()[0].numpy().copy()

    def step(
        self, bands: np.ndarray, style: np.ndarray, freeze: np.ndarray, state: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """One step, as `TransferModel.step`."""
        with torch.no_grad():
            gain_db, after = self._net(*(torch.from_numpy(np.array(x)) for x in (bands, style, freeze, state)))
        return gain_db.numpy(), after.numpy()
