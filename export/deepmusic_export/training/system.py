"""A transfer network with its style encoder, how they are trained, and the checkpoint that holds both."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from deepmusic_export.nets.segment_plan import SegmentPlan
from deepmusic_export.nets.style_net import StyleNet
from deepmusic_export.nets.transfer import TransferConfig, TransferNet
from deepmusic_export.training.torch_file import expecting

#: Frames at the crop's end that the loss of a segment network leaves out: its convolutions see 45 frames ahead, and the
#: end of a crop is no end of a recording.
CUT_FRAMES = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferRecipe:
    """How to train."""

    network: TransferConfig = field(default_factory=TransferConfig)
    style_width: int = 16
    """Channels of the style encoder's first layer."""
    minutes: float = 60.0
    """Time budget; the learning rate falls to zero at its end."""
    band_share: float = 0.75
    """Share of the budget that goes into the first stage, on band powers."""
    batch_size: int = 8
    crop_samples: int = 118784
    """Length of a crop, a multiple of 1024."""
    learning_rate: float = 1.5e-3
    is_style_held: bool = False
    """Whether the style encoder stays as it starts: the profiles of one encoder then share its file."""
    is_taught: bool = False
    """Whether a teacher's gains are a second target beside the oracle."""
    is_mixed: bool = False
    """Whether convolutions are trained in bfloat16: twice the speed where the processor has it."""
    seed: int = 0
    average_decay: float = 0.995
    """Decay of the averaged weights, per step."""

    @property
    def profile(self) -> str:
        """What a bundle of it is for: live, lite (a student) or studio (a segment network)."""
        if self.network.segment is not None:
            return "studio"
        return "lite" if self.is_taught else "live"

    @property
    def crop_frames(self) -> int:
        """Frames of a crop in the first stage; at 44.1 and 48 kHz they are as long as `crop_samples`."""
        return self.crop_samples // 256

    @property
    def cut_frames(self) -> int:
        """Frames at a crop's end that the loss leaves out."""
        return 0 if self.network.segment is None else CUT_FRAMES


class TransferSystem(nn.Module):
    """Style encoder and transfer network: audio in, audio out, as the runtime plays it."""

    def __init__(self, recipe: TransferRecipe) -> None:
        super().__init__()
        config = recipe.network
        self.style = StyleNet(config.n_bands, recipe.style_width, config.n_embedding)
        self.transfer = TransferNet(config)
        self.is_mixed, self.is_style_held = recipe.is_mixed, recipe.is_style_held
        if self.is_style_held:
            self.style.requires_grad_(False)

    def train(self, mode: bool = True) -> TransferSystem:
        """A style encoder that is held keeps the statistics of its normalisations too."""
        super().train(mode)
        if self.is_style_held:
            self.style.eval()
        return self

    def gains(self, content_bands: Tensor, style_bands: Tensor) -> Tensor:
        """Gains in dB for a whole crop from the initial state."""
        batch, device = content_bands.shape[0], content_bands.device
        state = self.transfer.initial_state().expand(batch, -1)
        freeze = torch.zeros(batch, 1, device=device)
        with torch.autocast(device.type, torch.bfloat16, enabled=self.is_mixed and self.training):
            return self.transfer(content_bands, self.style(style_bands), freeze, state)[0].float()


def load_system(path: Path) -> tuple[TransferSystem, dict[str, Any]]:
    """The averaged networks of a checkpoint, in evaluation mode, and the checkpoint's other entries.

    Raises:
        ValueError: It is another file, or was made by another version, whose networks had other parts.
    """
    data = read_checkpoint(path)
    system = TransferSystem(recipe_from_dict(data["recipe"]))
    if data["average"].keys() != system.state_dict().keys():
        raise ValueError(
            f"expected a checkpoint of this version, got {path} whose networks have other parts; train it again"
        )
    system.load_state_dict(data["average"])
    return system.eval(), data


def read_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """What `TransferTrainer.save` wrote.

    Raises:
        ValueError: It is another file, or a broken one.
    """
    wanted = "a checkpoint that deepmusic-export transfer wrote"
    with expecting(wanted, path):
        data = torch.load(path, map_location=device, weights_only=True)
    if not isinstance(data, dict) or not {"recipe", "system", "average"} <= data.keys():
        raise ValueError(f"expected {wanted}, got {path}")
    return data


def recipe_from_dict(data: dict[str, Any]) -> TransferRecipe:
    """The recipe that a checkpoint was trained with.

    Raises:
        ValueError: It was made by another version, whose networks had other parts.
    """
    network: dict[str, Any] = data["network"]
    known = {f.name for kind in (TransferRecipe, TransferConfig) for f in fields(kind)}
    if (segment := network.get("segment")) is not None:
        network = {**network, "segment": SegmentPlan(**segment)}
    if unknown := {*data, *network} - known:
        raise ValueError(
            f"expected a checkpoint of this version, got one with {', '.join(sorted(unknown))}; train it again"
        )
    return TransferRecipe(**{**data, "network": TransferConfig(**network)})
