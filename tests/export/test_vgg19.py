"""The VGG19 topology and the weights that it can load."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from deepmusic_export.nets.vgg19 import (
    ACTIVATIONS,
    IMAGENET_DEVIATION,
    IMAGENET_MEAN,
    SMALLEST_SIDE,
    STYLE_LAYERS,
    Vgg19,
    read_weights,
)

#: torchvision's configuration E: channels in units of 64, M for a pool.
CONFIGURATION_E = (1, 1, "M", 2, 2, "M", 4, 4, 4, 4, "M", 8, 8, 8, 8, "M", 8, 8, 8, 8, "M")
WIDTH = 2
ADDRESS = "https://example.org/vgg19.pth"


def torchvision_vgg19(width: int, batch_norm: bool) -> nn.Sequential:
    """`features` as torchvision builds them."""
    layers: list[nn.Module] = []
    n_in = 3
    for entry in CONFIGURATION_E:
        if entry == "M":
            layers.append(nn.MaxPool2d(2, 2))
            continue
        layers.append(nn.Conv2d(n_in, width * int(entry), 3, padding=1))
        n_in = width * int(entry)
        if batch_norm:
            layers.append(nn.BatchNorm2d(n_in))
        layers.append(nn.ReLU())
    return nn.Sequential(*layers)


def weights_of(net: nn.Sequential) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    state = {f"features.{name}": value.clone() for name, value in net.state_dict().items()}
    for name, value in state.items():
        if name.endswith(("running_var", "running_mean", "bias")):
            value.copy_(torch.rand(value.shape, generator=generator) * 0.5 + 0.1)
    return state | {"classifier.0.weight": torch.zeros(1)}


def normalised_grey(level: Tensor) -> Tensor:
    colours = level.expand(-1, 3, -1, -1)
    return (colours - torch.tensor(IMAGENET_MEAN).view(3, 1, 1)) / torch.tensor(IMAGENET_DEVIATION).view(3, 1, 1)


def test_every_layer_has_the_size_of_the_published_network() -> None:
    net = Vgg19(n_inputs=3, width=64)
    layers = net(torch.rand(1, 3, SMALLEST_SIDE, SMALLEST_SIDE))
    assert tuple(layers) == (*ACTIVATIONS, "pool5")
    assert len(ACTIVATIONS) == 16
    assert set(STYLE_LAYERS) <= set(ACTIVATIONS)
    for name, value in layers.items():
        block = 6 if name == "pool5" else int(name[4])
        channels = (64, 128, 256, 512, 512, 512)[block - 1]
        assert value.shape == (1, channels, 32 >> (block - 1), 32 >> (block - 1)), name
    convolutions = sum(parameter.numel() for parameter in net.parameters())
    assert convolutions == 20_024_384  # torchvision's vgg19 without the classifier


def test_layers_behind_the_last_one_asked_for_are_left_out() -> None:
    layers = Vgg19(width=WIDTH)(torch.rand(1, 2, 32, 32), last="relu3_4")
    assert list(layers)[-1] == "relu3_4"
    with pytest.raises(ValueError, match="relu5_4, got relu6_1"):
        Vgg19(width=WIDTH)(torch.rand(1, 2, 32, 32), last="relu6_1")


def test_activations_keep_their_scale_through_random_layers() -> None:
    torch.manual_seed(0)
    layers = Vgg19(width=16)(torch.rand(2, 2, 64, 64))
    assert all(0.05 < layers[name].std() < 5 for name in ACTIVATIONS)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_imagenet_weights_give_what_torchvision_gives_for_a_grey_picture(batch_norm: bool) -> None:
    torch.manual_seed(0)
    theirs = torchvision_vgg19(WIDTH, batch_norm)
    state = weights_of(theirs)
    theirs.load_state_dict({name[9:]: value for name, value in state.items() if name.startswith("features.")})
    ours = Vgg19(n_inputs=2, width=WIDTH, batch_norm=batch_norm).eval()
    ours.load_imagenet(state)
    level = torch.rand(1, 1, 192, 192)
    ramp = torch.linspace(-1, 1, 192).expand(1, 1, 192, 192)
    with torch.no_grad():
        layers = ours(torch.cat([level, ramp], dim=1))
        x = normalised_grey(level)
        expected = {}
        names = iter(ACTIVATIONS)
        for layer in theirs.eval():
            x = layer(x)
            if isinstance(layer, nn.ReLU):
                expected[next(names)] = x
    # The border of one pixel spreads with the field of view: the middle is free of it down to relu4_4.
    for name, reach in {"relu1_1": 1, "relu1_2": 2, "relu2_2": 3, "relu3_4": 6, "relu4_4": 8}.items():
        inner = (..., slice(reach, -reach), slice(reach, -reach))
        torch.testing.assert_close(layers[name][inner], expected[name][inner], atol=1e-4, rtol=1e-4)
    their_last = [module for module in theirs if isinstance(module, nn.Conv2d)][-1]
    assert torch.equal(ours.convs["conv5_4"].weight, their_last.weight)


def test_weights_without_normalisation_seed_a_network_with_it() -> None:
    state = weights_of(torchvision_vgg19(WIDTH, batch_norm=False))
    plain, normed = Vgg19(width=WIDTH).eval(), Vgg19(width=WIDTH, batch_norm=True).eval()
    plain.load_imagenet(state)
    normed.load_imagenet(state)
    picture = torch.rand(1, 2, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(normed(picture)["relu5_4"], plain(picture)["relu5_4"], atol=1e-4, rtol=1e-3)


def test_weights_that_do_not_fit_are_named() -> None:
    state = weights_of(torchvision_vgg19(WIDTH, batch_norm=False))
    with pytest.raises(ValueError, match=r"width=2"):
        Vgg19(width=4).load_imagenet(state)
    with pytest.raises(ValueError, match=r"features\.34\.weight"):
        Vgg19(width=WIDTH).load_imagenet({k: v for k, v in state.items() if k != "features.34.weight"})
    with pytest.raises(ValueError, match="batch_norm=True"):
        Vgg19(width=WIDTH).load_imagenet(weights_of(torchvision_vgg19(WIDTH, batch_norm=True)))


def saved(state: dict[str, Tensor]) -> tuple[bytes, str]:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue(), hashlib.sha256(buffer.getvalue()).hexdigest()


def test_weights_come_from_a_file(tmp_path: Path) -> None:
    content, sha256 = saved({"a": torch.ones(3)})
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    assert torch.equal(read_weights(path)["a"], torch.ones(3))
    assert torch.equal(read_weights(path, sha256=sha256.upper())["a"], torch.ones(3))
    with pytest.raises(ValueError, match="expected sha256 0000"):
        read_weights(path, sha256="0" * 64)


def test_a_download_is_checked_and_kept(tmp_path: Path) -> None:
    content, sha256 = saved({"a": torch.ones(3)})
    asked: list[str] = []

    def fetch(url: str) -> io.BytesIO:
        asked.append(url)
        return io.BytesIO(content)

    for _ in range(2):
        assert torch.equal(read_weights(ADDRESS, sha256=sha256, cache=tmp_path, fetch=fetch)["a"], torch.ones(3))
    assert asked == [ADDRESS]
    with pytest.raises(ValueError, match="broken download"):
        read_weights(ADDRESS, sha256="0" * 64, cache=tmp_path, fetch=fetch)
    assert [path.name for path in tmp_path.iterdir()] == [f"{sha256}.pt"]


@pytest.mark.parametrize("address", ["http://example.org/vgg19.pth", "file:///etc/passwd"])
def test_only_https_is_fetched(tmp_path: Path, address: str) -> None:
    with pytest.raises(ValueError, match="expected an https address"):
        read_weights(address, sha256="0" * 64, cache=tmp_path)


def test_a_download_without_a_checksum_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="sha256"):
        read_weights(ADDRESS, cache=tmp_path)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"epoch": 3}, path)
    with pytest.raises(ValueError, match="state dict of tensors"):
        read_weights(path)
