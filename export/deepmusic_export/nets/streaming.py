"""Streaming layers: state is passed in and handed back, so that a stream equals the offline pass.

Tensors are (batch, channels, frames, bands). Convolutions look back in time only; everything that pools over time
does so inside a step of four frames. A layer's cache holds the last input frames that its kernel still needs, oldest
first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: Frames that a 3x3 kernel needs before the current one.
KERNEL_HISTORY = 2


class CausalConv2d(nn.Module):
    """A 3x3 convolution, causal over time, zero-padded over bands."""

    def __init__(self, n_in: int, n_out: int, n_bands: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, 3, padding=(0, 1))
        self.n_in, self.n_bands = n_in, n_bands

    @property
    def cache_shape(self) -> tuple[int, int, int]:
        """Shape of the cache without the batch axis."""
        return (self.n_in, KERNEL_HISTORY, self.n_bands)

    def forward(self, x: Tensor, cache: Tensor) -> tuple[Tensor, Tensor]:
        """Convolves `x` (batch, n_in, frames, bands) after `cache` (batch, n_in, 2, bands); the new cache is second."""
        x = torch.cat([cache.to(x.dtype), x], dim=2)
        return self.conv(x), x[:, :, -KERNEL_HISTORY:]


@dataclass(frozen=True, slots=True)
class StepWeights:
    """How much each step counts in the running statistics at each step.

    The mean at step k is `prior[k] * (mean before the call) + sum_j weights[k, j] * (mean of step j)`: the
    exponential moving average with a gate and a counted start, unrolled over the steps of one call.
    """

    weights: Tensor
    """(batch, steps, steps), lower triangular."""
    prior: Tensor
    """(batch, steps)."""

    def average(self, per_step: Tensor, before: Tensor) -> Tensor:
        """Running mean after each step; `per_step` (batch, steps, n), `before` (batch, n) -> (batch, steps, n)."""
        if torch.is_autocast_enabled(per_step.device.type):  # statistics stay float32
            with torch.autocast(per_step.device.type, enabled=False):
                return self.average(per_step.float(), before)
        return self.weights @ per_step + self.prior[..., None] * before[:, None]


def step_weights(gate: Tensor, count: Tensor, limit_steps: float) -> tuple[StepWeights, Tensor]:
    """Weights of an exponential moving average that starts as a plain mean.

    Step k moves the average by a_k = gate_k / (n_k + 1), where n_k counts the open steps so far and stops growing at
    `limit_steps`. So the start settles fast and the later time constant is `limit_steps` steps.

    Args:
        gate: (batch, steps), 1 where a step counts and 0 where the statistics hold.
        count: (batch, 1), the count n before the call.
        limit_steps: Time constant in steps.

    Returns:
        The weights, and the count after the call (batch, 1).
    """
    n_steps = gate.shape[1]
    counts = count + torch.cumsum(gate, dim=1)
    rate = gate / torch.clamp(counts, max=limit_steps)
    log_keep = torch.log1p(-torch.clamp(rate, max=0.999))
    kept = torch.cumsum(log_keep, dim=1)
    decay = torch.exp(torch.clamp(kept[:, :, None] - kept[:, None, :], max=0.0))
    causal = torch.tril(torch.ones(n_steps, n_steps, dtype=gate.dtype, device=gate.device))
    weights = decay * causal * rate[:, None, :]
    after = torch.clamp(counts[:, -1:], max=limit_steps)
    return StepWeights(weights, torch.exp(kept)), after


class RunningNorm(nn.Module):
    """Instance normalisation with running statistics: AdaIN's first half, made causal.

    The mean and the variance about that running mean are moved once a step (Huang & Belongie 2017 use whole-image
    statistics; a stream has no whole image).
    """

    def __init__(self, n_channels: int, frames_per_step: int) -> None:
        super().__init__()
        self.n_channels, self.frames_per_step = n_channels, frames_per_step
        self.register_buffer("start", torch.cat([torch.zeros(n_channels), torch.ones(n_channels)]))

    @property
    def state_size(self) -> int:
        """Floats of state: mean and variance of each channel."""
        return 2 * self.n_channels

    def forward(self, x: Tensor, state: Tensor, steps: StepWeights) -> tuple[Tensor, Tensor]:
        """Normalises `x` (batch, channels, frames, bands) by the statistics up to and with each step."""
        batch, channels, frames, bands = x.shape
        n_steps = frames // self.frames_per_step
        grouped = x.reshape(batch, channels, n_steps, self.frames_per_step * bands)
        mean_before, var_before = state[:, :channels], state[:, channels:]
        mean = steps.average(grouped.mean(-1).transpose(1, 2), mean_before).transpose(1, 2)
        centred = grouped - mean[..., None]
        var = steps.average(centred.square().mean(-1).transpose(1, 2), var_before).transpose(1, 2)
        out = (centred * torch.rsqrt(var[..., None] + 1e-4)).to(x.dtype)
        return out.reshape(x.shape), torch.cat([mean[:, :, -1], var[:, :, -1]], dim=1)


def time_constant_steps(seconds: float, step_samples: int = 1024, sample_rate_hz: int = 48000) -> float:
    """A time constant in steps of the reference rate."""
    return seconds * sample_rate_hz / step_samples


def flat_size(shape: tuple[int, ...]) -> int:
    """Number of floats in a tensor of this shape."""
    return math.prod(shape)


def pool_bands(x: Tensor) -> Tensor:
    """Halves the bands by maximum; frames stay."""
    return F.max_pool2d(x, (1, 2))


def pool_both(x: Tensor) -> Tensor:
    """Halves frames and bands by maximum; the pairs of frames lie inside a step."""
    return F.max_pool2d(x, (2, 2))
