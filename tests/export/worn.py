"""Networks as training leaves them: a fresh one is nearly an equaliser."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

from deepmusic_export.nets.transfer import TransferNet

_Net = TypeVar("_Net", bound=nn.Module)


def worn(net: _Net) -> _Net:
    """Normalisations that do something, and a last convolution that does; in evaluation mode."""
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1, generator=generator)
                module.running_var.uniform_(0.5, 1.5, generator=generator)
                module.weight.uniform_(0.7, 1.3, generator=generator)
                module.bias.normal_(0, 0.1, generator=generator)
        if isinstance(net, TransferNet):
            net.head.conv.weight.normal_(0, 0.15, generator=generator)
    return net.eval()
