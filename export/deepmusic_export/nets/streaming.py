"""Streaming layers: state is passed in and handed back, so that a stream equals the offline pass.

Tensors are (batch, channels, frames, bands). Everything that pools over time does so inside a step of four frames. A
layer's cache holds the last input frames that its kernel still needs, oldest first.

The layers of a stream look back in time only. Those of a segment network look ahead too: its calls end with frames that
the next call hears again, the *look-ahead*, and what is handed back is as of before them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: Frames that a 3x3 kernel needs before the current one.
KERNEL_HISTORY = 2


class StreamConv2d(nn.Module):
    """A convolution over three bands, zero-padded there, and over this frame and the two before it.

    With a look-ahead the kernel has a fourth tap over time, for the next frame; behind the last frame are zeros.
    Weights of a kernel without it are taken with zeros in its place: a segment network starts as the very stream that
    it comes from.

    Args:
        n_in: Channels.
        n_out: Channels of the result.
        n_bands: Bands.
        look_ahead: Frames at the end of every call that the next one hears again; 0 in a stream.
    """

    def __init__(self, n_in: int, n_out: int, n_bands: int, look_ahead: int = 0) -> None:
        super().__init__()
        self.n_ahead = 1 if look_ahead else 0
        self.conv = nn.Conv2d(n_in, n_out, (KERNEL_HISTORY + 1 + self.n_ahead, 3), padding=(0, 1))
        self.n_in, self.n_bands, self.look_ahead = n_in, n_bands, look_ahead

    @property
    def cache_shape(self) -> tuple[int, int, int]:
        """Shape of the cache without the batch axis."""
        return (self.n_in, KERNEL_HISTORY, self.n_bands)

    def forward(self, x: Tensor, cache: Tensor) -> tuple[Tensor, Tensor]:
        """Convolves `x` (batch, n_in, frames, bands) after `cache` (batch, n_in, 2, bands); the new cache is second."""
        n_kept = x.shape[2] - self.look_ahead
        x = torch.cat([cache.to(x.dtype), x], dim=2)
        fresh = x[:, :, n_kept : n_kept + KERNEL_HISTORY]
        return self.conv(F.pad(x, (0, 0, 0, self.n_ahead)) if self.n_ahead else x), fresh

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        name = f"{prefix}conv.weight"
        weight = state_dict.get(name)
        if weight is not None and weight.shape[2] + self.n_ahead == self.conv.weight.shape[2]:
            state_dict[name] = F.pad(weight, (0, 0, 0, self.n_ahead))
        super()._load_from_state_dict(state_dict, prefix, *args)


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
    look_ahead: int = 0
    """Steps at the end of the call that the next one hears again."""

    def average(self, per_step: Tensor, before: Tensor) -> Tensor:
        """Running mean after each step; `per_step` (batch, steps, n), `before` (batch, n) -> (batch, steps, n)."""
        if torch.is_autocast_enabled(per_step.device.type):  # statistics stay float32
            with torch.autocast(per_step.device.type, enabled=False):
                return self.average(per_step.float(), before)
        return self.weights @ per_step + self.prior[..., None] * before[:, None]

    def heard(self, running: Tensor) -> Tensor:
        """What each step knows of a running mean (batch, steps, n): that of `look_ahead` steps later, or the last."""
        if not self.look_ahead:
            return running
        return torch.cat([running[:, self.look_ahead :], running[:, -1:].expand(-1, self.look_ahead, -1)], dim=1)

    def after(self, running: Tensor) -> Tensor:
        """What the next call begins with, (batch, n)."""
        return running[:, -1 - self.look_ahead]


def step_weights(gate: Tensor, count: Tensor, limit_steps: float, look_ahead: int = 0) -> tuple[StepWeights, Tensor]:
    """Weights of an exponential moving average that starts as a plain mean.

    Step k moves the average by a_k = gate_k / (n_k + 1), where n_k counts the open steps so far and stops growing at
    `limit_steps`. So the start settles fast and the later time constant is `limit_steps` steps.

    Args:
        gate: (batch, steps), 1 where a step counts and 0 where the statistics hold.
        count: (batch, 1), the count n before the call.
        limit_steps: Time constant in steps.
        look_ahead: Steps at the end of the call that the next one hears again.

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
    last = n_steps - 1 - look_ahead
    after = torch.clamp(counts[:, last : last + 1], max=limit_steps)
    return StepWeights(weights, torch.exp(kept), look_ahead), after


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
        """Normalises `x` (batch, channels, frames, bands) by the statistics up to each step and its look-ahead."""
        batch, channels, frames, bands = x.shape
        n_steps = frames // self.frames_per_step
        grouped = x.reshape(batch, channels, n_steps, self.frames_per_step * bands)
        mean_before, var_before = state[:, :channels], state[:, channels:]
        mean = steps.average(grouped.mean(-1).transpose(1, 2), mean_before)
        centred = grouped - steps.heard(mean).transpose(1, 2)[..., None]
        var = steps.average(centred.square().mean(-1).transpose(1, 2), var_before)
        out = (centred * torch.rsqrt(steps.heard(var).transpose(1, 2)[..., None] + 1e-4)).to(x.dtype)
        return out.reshape(x.shape), torch.cat([steps.after(mean), steps.after(var)], dim=1)


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
