"""The VGG19 topology (Simonyan & Zisserman 2015, configuration E), for spectrograms.

The topology is theirs; the weights that are worth using here were trained on audio, since ImageNet's give noise on
spectrograms (Grinstein et al. 2017). ImageNet weights stay loadable: as the seed of a training, and for the recipe of
Gatys et al. 2016 as it was.

    conv1_1 conv1_2 pool1   conv2_1 conv2_2 pool2   conv3_1 .. conv3_4 pool3
    conv4_1 .. conv4_4 pool4   conv5_1 .. conv5_4 pool5

A picture is (batch, inputs, frames, bands): channel 0 the compressed level of about 0 to 1, channel 1 the frequency
ramp, without which statistics over a picture could not tell a low band from a high one.
"""

from __future__ import annotations

import hashlib
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepmusic_export.whole_file import whole_file

#: Convolutions of each block; a pool follows each block.
BLOCKS = (2, 2, 4, 4, 4)
#: Channels of each block in units of the width.
WIDTHS = (1, 2, 4, 8, 8)
#: Width of the published network.
FULL_WIDTH = 64
#: Every activation by name, in order.
ACTIVATIONS = tuple(f"relu{block}_{index + 1}" for block, count in enumerate(BLOCKS, 1) for index in range(count))
#: The layers whose statistics are a style (Gatys et al. 2016).
STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
#: Five pools halve both sides: a picture has at least this many frames and bands.
SMALLEST_SIDE = 2 ** len(BLOCKS)

#: What torchvision takes off and divides by, for red, green, blue in 0 to 1.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)

_DOWNLOAD_BLOCK_BYTES = 1 << 20

Fetch = Callable[[str], AbstractContextManager[BinaryIO]]


class Vgg19(nn.Module):
    """All sixteen convolutions and five pools; the classifier of the published network is left out.

    Args:
        n_inputs: Channels of the picture, 1 or more.
        width: Channels of the first block, 64 in the published network.
        batch_norm: Whether a batch normalisation follows each convolution, as in torchvision's `vgg19_bn`.
    """

    def __init__(self, *, n_inputs: int = 2, width: int = FULL_WIDTH, batch_norm: bool = False) -> None:
        super().__init__()
        self.n_inputs, self.width, self.batch_norm = n_inputs, width, batch_norm
        self.convs = nn.ModuleDict()
        self.norms = nn.ModuleDict()
        n_in = n_inputs
        for name in ACTIVATIONS:
            layer, n_out = _layer(name), width * WIDTHS[_block(name)]
            self.convs[layer] = nn.Conv2d(n_in, n_out, 3, padding=1)
            self.norms[layer] = nn.BatchNorm2d(n_out) if batch_norm else nn.Identity()
            nn.init.kaiming_normal_(self.convs[layer].weight, nonlinearity="relu")
            nn.init.zeros_(self.convs[layer].bias)
            n_in = n_out

    def forward(self, picture: Tensor, last: str = "pool5") -> dict[str, Tensor]:
        """Runs the layers up to and with `last`.

        Args:
            picture: (batch, n_inputs, frames, bands), both sides at least SMALLEST_SIDE.
            last: A name of ACTIVATIONS; layers behind it are not computed. `pool5` runs everything.

        Returns:
            Name -> activation (batch, channels, frames, bands) of `relu1_1` .. `relu5_4`, and `pool5`.
        """
        if last != "pool5" and last not in ACTIVATIONS:
            raise ValueError(f"expected pool5 or one of {', '.join(ACTIVATIONS)}, got {last}")
        activations: dict[str, Tensor] = {}
        x = picture
        for name in ACTIVATIONS:
            if name.endswith("_1") and _block(name) > 0:
                x = F.max_pool2d(x, 2)
            layer = _layer(name)
            x = F.relu(self.norms[layer](self.convs[layer](x)))
            activations[name] = x
            if name == last:
                return activations
        activations["pool5"] = F.max_pool2d(x, 2)
        return activations

    def load_imagenet(self, state: Mapping[str, Tensor]) -> None:
        """Takes torchvision's weights of `vgg19` or `vgg19_bn`: `features.N.weight`, `.bias`; others are ignored.

        The picture is taken for a grey one, red = green = blue = level, with torchvision's normalisation put into the
        first convolution: its weights for the level are the sum over c of w_c / deviation_c, its bias gets what the
        means take off. The result is the published network's own on that grey picture, but for a border of one pixel,
        where zeros now mean black and not mean grey. Further channels (the ramp) start with weights of zero.

        Weights without batch normalisation leave ours as it is, which is the identity in a fresh network.

        Raises:
            ValueError: A layer is missing or has another shape, or the weights need a batch normalisation that
                this network lacks.
        """
        for name, index, with_norm in _torchvision_layers(state):
            conv, weight = self.convs[_layer(name)], _entry(state, f"features.{index}.weight")
            bias = _entry(state, f"features.{index}.bias")
            if name == "relu1_1":
                weight, bias = _for_grey(weight, bias, self.n_inputs)
            if weight.shape != conv.weight.shape:
                raise ValueError(
                    f"expected features.{index}.weight to fit {_layer(name)} with {tuple(conv.weight.shape)}, got "
                    f"{tuple(weight.shape)}; make the network with width={weight.shape[0] // WIDTHS[_block(name)]}"
                )
            with torch.no_grad():
                conv.weight.copy_(weight)
                conv.bias.copy_(bias)
            if with_norm and not self.batch_norm:
                raise ValueError("expected weights without batch normalisation; make the network with batch_norm=True")
            if with_norm:
                prefix = f"features.{index + 1}."
                entries = {
                    key: _entry(state, prefix + key) for key in ("weight", "bias", "running_mean", "running_var")
                }
                self.norms[_layer(name)].load_state_dict(entries, strict=False)


def read_weights(
    source: str | Path, *, sha256: str | None = None, cache: Path | None = None, fetch: Fetch | None = None
) -> dict[str, Tensor]:
    """Reads a state dict from a file or an https URL.

    Args:
        source: A path, or a URL that starts with https://.
        sha256: Checksum of the file in hexadecimal; a URL needs one.
        cache: Where downloads are kept, named by their checksum; needed for a URL.
        fetch: Opens a URL; urllib's by default.

    Raises:
        ValueError: The checksum is missing or another one, the address is not https, or the file holds no tensors.
        OSError: The file or the server cannot be read.
    """
    text = str(source)
    if "://" in text:
        if not text.startswith("https://"):
            raise ValueError(f"expected an https address or a path, got {text}")
        if sha256 is None or cache is None:
            raise ValueError(f"expected a sha256 checksum and a cache folder for the download of {text}")
        path = _downloaded(text, sha256.lower(), cache, fetch or urllib.request.urlopen)
    else:
        path = Path(text)
        if sha256 is not None:
            with path.open("rb") as file:
                _check(hashlib.file_digest(file, "sha256").hexdigest(), sha256.lower(), text)
    state = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"expected a state dict of tensors in {text}, got something else")
    return state


def _downloaded(url: str, sha256: str, cache: Path, fetch: Fetch) -> Path:
    path = cache / f"{sha256}.pt"
    if path.exists():
        return path
    digest = hashlib.sha256()
    with whole_file(path) as partial:
        with fetch(url) as response, partial.open("wb") as file:
            while block := response.read(_DOWNLOAD_BLOCK_BYTES):
                digest.update(block)
                file.write(block)
        _check(digest.hexdigest(), sha256, url)
    return path


def _check(found: str, expected: str, name: str) -> None:
    if found != expected:
        raise ValueError(f"expected sha256 {expected} for {name}, got {found}; it is another file or a broken download")


def _layer(activation: str) -> str:
    return activation.replace("relu", "conv")


def _block(activation: str) -> int:
    return int(activation[4]) - 1


def _torchvision_layers(state: Mapping[str, Tensor]) -> Iterator[tuple[str, int, bool]]:
    """Activation, index of its convolution in `features`, and whether a normalisation follows it."""
    with_norm = "features.1.running_mean" in state
    index = 0
    for position, name in enumerate(ACTIVATIONS):
        yield name, index, with_norm
        ends_block = position + 1 < len(ACTIVATIONS) and ACTIVATIONS[position + 1].endswith("_1")
        index += (3 if with_norm else 2) + ends_block


def _entry(state: Mapping[str, Tensor], key: str) -> Tensor:
    if key not in state:
        raise ValueError(f"expected torchvision's VGG19 with an entry {key}, found none")
    return state[key]


def _for_grey(weight: Tensor, bias: Tensor, n_inputs: int) -> tuple[Tensor, Tensor]:
    if weight.shape[1] != len(IMAGENET_MEAN):
        raise ValueError(f"expected three input channels in features.0.weight, got {weight.shape[1]}")
    mean = weight.new_tensor(IMAGENET_MEAN).view(1, 3, 1, 1)
    scaled = weight / weight.new_tensor(IMAGENET_DEVIATION).view(1, 3, 1, 1)
    ours = weight.new_zeros(weight.shape[0], n_inputs, 3, 3)
    ours[:, 0] = scaled.sum(1)
    return ours, bias - (scaled * mean).sum((1, 2, 3))
