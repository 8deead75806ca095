"""A trained audio VGG19 in one small file: normalisations folded in, weights in eight bits.

An optimisation reads what a VGG19 makes of a sound up to relu5_1, so the file holds the convolutions up to there, each
output channel with a scale of its own: 13 MB at full width where a checkpoint has 250.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.utils.fusion import fuse_conv_bn_weights

from deepmusic_export.nets.vgg19 import ACTIVATIONS, STYLE_LAYERS, Vgg19
from deepmusic_export.whole_file import whole_file

#: The file that ships; docs/model-card.md says what it was trained on and what it hears.
SHIPPED = Path(__file__).parent.parent / "weights" / "audio_vgg19.npz"
PACKED_SUFFIX = ".npz"
FILE_FORMAT = 1
#: Largest magnitude of a weight in eight bits.
MOST = 127
_LAYERS = tuple(name.replace("relu", "conv") for name in ACTIVATIONS[: ACTIVATIONS.index(STYLE_LAYERS[-1]) + 1])


def write_packed(path: Path, vgg: Vgg19, facts: dict[str, Any]) -> None:
    """Writes the file, by rename.

    Args:
        path: The file, .npz.
        vgg: The network, with batch normalisation or without.
        facts: What to say of it, JSON: `n_bands` of its pictures, and how it was made.
    """
    entries: dict[str, np.ndarray] = {}
    for name in _LAYERS:
        weight, bias = _folded(vgg, name)
        scale = weight.abs().amax((1, 2, 3)).clamp(min=1e-12) / MOST
        entries[f"{name}.weight"] = torch.round(weight / scale.view(-1, 1, 1, 1)).to(torch.int8).numpy()
        entries[f"{name}.scale"], entries[f"{name}.bias"] = scale.numpy(), bias.numpy()
    head = {**facts, "format": FILE_FORMAT, "width": vgg.width, "n_inputs": vgg.n_inputs}
    with whole_file(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, facts=np.array(json.dumps(head)), **entries)


def read_packed(path: Path) -> tuple[Vgg19, dict[str, Any]]:
    """The network, in evaluation mode, and what the file says of it.

    The layers behind relu5_1 are not in the file, and give 0.

    Raises:
        ValueError: It is another file, or a broken one.
    """
    wanted = f"expected a VGG19 that deepmusic-export encoder packed in {path}"
    try:
        with np.load(path, allow_pickle=False) as file:
            facts: dict[str, Any] = json.loads(str(file["facts"]))
            if facts["format"] != FILE_FORMAT:
                raise ValueError(f"format {facts['format']}")
            vgg = Vgg19(n_inputs=facts["n_inputs"], width=facts["width"])
            with torch.no_grad():
                for layer, conv in vgg.convs.items():
                    if layer in _LAYERS:
                        scale = torch.from_numpy(file[f"{layer}.scale"]).view(-1, 1, 1, 1)
                        conv.weight.copy_(torch.from_numpy(file[f"{layer}.weight"]) * scale)
                        conv.bias.copy_(torch.from_numpy(file[f"{layer}.bias"]))
                    else:
                        conv.weight.zero_()
                        conv.bias.zero_()
    except Exception as error:  # NumPy, zipfile, zlib and json raise whatever a broken file makes them
        raise ValueError(f"{wanted}, got another or a broken file") from error
    return vgg.eval().requires_grad_(False), facts


def _folded(vgg: Vgg19, layer: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias of a convolution with its normalisation in them."""
    conv, norm = vgg.convs[layer], vgg.norms[layer]
    with torch.no_grad():
        if isinstance(norm, torch.nn.BatchNorm2d):
            weight, bias = fuse_conv_bn_weights(
                conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
            )
            return weight.detach(), bias.detach()
        return conv.weight.detach(), conv.bias.detach()
