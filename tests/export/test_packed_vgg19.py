"""A trained VGG19 in eight bits hears what it heard before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from deepmusic_export.nets.packed_vgg19 import SHIPPED, read_packed, write_packed
from deepmusic_export.nets.vgg19 import STYLE_LAYERS, Vgg19

TOLERANCE = 0.05
"""Of the norm of a layer: eight bits of weights in thirteen narrow layers of random ones."""


def worn_vgg(*, batch_norm: bool) -> Vgg19:
    """A network whose normalisations and scales are not those of a fresh one."""
    torch.manual_seed(1)
    vgg = Vgg19(width=4, batch_norm=batch_norm).train()
    for _ in range(3):
        vgg(3.0 * torch.rand(2, 2, 64, 64) - 1.0)
    with torch.no_grad():
        for parameter in vgg.parameters():
            parameter.mul_(1.0 + 0.3 * torch.rand(len(parameter)).view(-1, *(1,) * (parameter.dim() - 1)))
    return vgg.eval()


@pytest.mark.parametrize("batch_norm", [False, True])
def test_what_is_packed_hears_the_same(tmp_path: Path, batch_norm: bool) -> None:
    vgg = worn_vgg(batch_norm=batch_norm)
    write_packed(tmp_path / "own.npz", vgg, {"n_bands": 64, "steps": 7})
    packed, facts = read_packed(tmp_path / "own.npz")
    assert facts == {"n_bands": 64, "steps": 7, "format": 1, "width": 4, "n_inputs": 2}
    seen = torch.rand(1, 2, 64, 64)
    with torch.no_grad():
        before, after = vgg(seen, last=STYLE_LAYERS[-1]), packed(seen)
    for name, layer in before.items():
        assert (after[name] - layer).norm() < TOLERANCE * layer.norm(), name
    assert not after["relu5_2"].any()


def test_a_packed_network_is_not_trained(tmp_path: Path) -> None:
    write_packed(tmp_path / "own.npz", worn_vgg(batch_norm=True), {})
    packed, _ = read_packed(tmp_path / "own.npz")
    assert not packed.training
    assert not any(parameter.requires_grad for parameter in packed.parameters())


@pytest.mark.parametrize("content", [b"", b"no weights", None], ids=["empty", "text", "other arrays"])
def test_another_file_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "own.npz"
    if content is None:
        np.savez(path, facts=np.array('{"format": 2}'))
    else:
        path.write_bytes(content)
    with pytest.raises(ValueError, match="expected a VGG19 that deepmusic-export encoder packed"):
        read_packed(path)


def test_the_one_that_ships_is_whole_width_and_small() -> None:
    packed, facts = read_packed(SHIPPED)
    assert (packed.width, facts["n_bands"]) == (64, 96)
    assert SHIPPED.stat().st_size < 13e6


def test_the_one_that_ships_tells_sounds_apart_that_have_one_spectrum() -> None:
    """Noise in bursts and noise that lasts: deep layers see the difference, and see more of it than random ones do."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(1, 1, 64, 96, generator=generator)
    bursts = noise * (torch.arange(64) % 16 < 4)[:, None] * 4**0.5
    ramp = torch.linspace(-1, 1, 96).expand(1, 1, 64, 96)
    torch.manual_seed(0)

    def difference(vgg: Vgg19) -> float:
        with torch.no_grad():
            one, two = (
                vgg(torch.cat([sound, ramp], 1), last="relu4_1")["relu4_1"].mean((2, 3)) for sound in (noise, bursts)
            )
        return float((one - two).norm() / one.norm())

    assert difference(read_packed(SHIPPED)[0]) > difference(Vgg19().eval())
