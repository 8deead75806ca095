"""A wider transfer network that computes what a narrower one does: Net2WiderNet (Chen et al. 2016).

Every channel is copied, and whatever reads it shares its weight out among the copies: unevenly, so that they learn
apart.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from deepmusic_export.nets.streaming import StreamConv2d
from deepmusic_export.nets.transfer import AdaIN, ConvUnit, TransferNet

#: How far a copy's share of a weight is from an even one at most, as a part of it.
UNEVENNESS = 0.5


def widened(net: TransferNet, width: int, seed: int = 0) -> TransferNet:
    """A network of another width with the same output.

    Args:
        net: The network to start from.
        width: A multiple of its width.
        seed: Seed of the shares.

    Returns:
        A new network in training mode; that of `net` stays as it is.

    Raises:
        ValueError: `width` is no multiple of the width of `net`.
    """
    factor, rest = divmod(width, net.config.width)
    if rest or factor < 1:
        raise ValueError(f"expected a multiple of the width {net.config.width} of the network to widen, got {width}")
    wide = TransferNet(replace(net.config, width=width))
    random = torch.Generator().manual_seed(seed)
    # The inputs of the network itself have no copies: all that conv1_1 reads, and the last that decoder 5 reads.
    n_inputs = net.encoder[0].conv.n_in
    single = {id(net.encoder[0]): n_inputs, id(net.decoder[5]): n_inputs}
    with torch.no_grad():
        for name, value in net.state_dict().items():
            if value.shape == wide.state_dict()[name].shape:
                wide.state_dict()[name].copy_(value)
        for ours, theirs in zip([*wide.encoder, *wide.decoder], [*net.encoder, *net.decoder], strict=True):
            _widen_unit(ours, theirs, factor, single.get(id(theirs), 0), random)
        for ours, theirs in ((wide.adain4, net.adain4), (wide.adain3, net.adain3), (wide.adain2, net.adain2)):
            _widen_adain(ours, theirs, factor)
        _share(wide.head, net.head, factor, 0, random)
    return wide


def _widen_unit(ours: ConvUnit, theirs: ConvUnit, factor: int, n_single: int, random: torch.Generator) -> None:
    _share(ours.conv, theirs.conv, factor, n_single, random)
    for name, value in theirs.norm.state_dict().items():
        if value.ndim:
            ours.norm.state_dict()[name].copy_(_copies(value, factor))
    if ours.modulation is not None and theirs.modulation is not None:
        for name, value in theirs.modulation.state_dict().items():
            ours.modulation.state_dict()[name].copy_(_copies(value, factor))


def _widen_adain(ours: AdaIN, theirs: AdaIN, factor: int) -> None:
    for name, value in theirs.state_dict().items():
        ours.state_dict()[name].copy_(_copies(value, factor))


def _share(ours: StreamConv2d, theirs: StreamConv2d, factor: int, n_single: int, random: torch.Generator) -> None:
    """Shares the weight of every input out among its copies; the last `n_single` inputs have none."""
    weight = theirs.conv.weight
    n_out = ours.conv.weight.shape[0] // weight.shape[0]
    weight = _copies(weight, n_out)
    read, single = weight[:, : weight.shape[1] - n_single], weight[:, weight.shape[1] - n_single :]
    shape = (*read.shape[:2], factor, 1, 1)
    uneven = torch.rand(shape, generator=random) * 2 - 1
    shares = (1 + UNEVENNESS * (uneven - uneven.mean(2, keepdim=True))) / factor
    ours.conv.weight.copy_(torch.cat([(read[:, :, None] * shares).flatten(1, 2), single], dim=1))
    ours.conv.bias.copy_(_copies(theirs.conv.bias, n_out))


def _copies(value: Tensor, factor: int) -> Tensor:
    return value.repeat_interleave(factor, dim=0)
