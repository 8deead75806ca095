"""The transfer network: VGG19 encoder, AdaIN with running statistics, decoder, gains for the excitation bank."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepmusic_export.nets.levels import FEATURE_SPAN_DB, compress, frequency_ramp
from deepmusic_export.nets.segment_plan import SegmentPlan
from deepmusic_export.nets.streaming import (
    RunningNorm,
    StepWeights,
    StreamConv2d,
    flat_size,
    pool_bands,
    pool_both,
    step_weights,
    time_constant_steps,
)
from deepmusic_export.nets.style_net import RunningStandard

#: Frames in a step; the two pools over time need four.
STEP_FRAMES = 4
#: Steps quieter than this leave the running statistics alone, dBFS.
HOLD_DBFS = -50.0
#: The counted start of the statistics gives the training mean the weight of this many steps.
START_STEPS = 6.0
#: Steps that the two recent means of the content look back, 0.17 and 0.68 s: together they tell how old a note is.
SHORT_STEPS, LONG_STEPS = 8, 32
#: Gain in dB of each excitation where the last convolution gives 0, and its limits.
GAIN_CENTRE_DB = (0.0, -20.0, -20.0, -30.0)
GAIN_LOW_DB = (-70.0, -100.0, -100.0, -110.0)
GAIN_HIGH_DB = (40.0, 40.0, 40.0, 30.0)
#: Decibels for one unit of the last convolution.
GAIN_SLOPE_DB = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferConfig:
    """The size of a transfer network."""

    n_bands: int = 96
    width: int = 16
    """Channels of conv1; VGG19 at full width has 64."""
    n_embedding: int = 224
    """Learned part of the style vector; the other part is the band profile."""
    n_modulation: int = 96
    """Rank of the modulation: the style vector is brought to this size before each layer takes its own from it."""
    time_constant_s: float = 1.5
    """Time constant of the running statistics."""
    segment: SegmentPlan | None = None
    """How a segment network goes through time; None for a stream, which looks back only."""

    def __post_init__(self) -> None:
        if self.n_bands % 24:
            raise ValueError(f"expected n_bands to be a multiple of 24 (three pools, three strips), got {self.n_bands}")

    @property
    def look_ahead_frames(self) -> int:
        """Frames that gains are given late, since the network hears what follows them."""
        return 0 if self.segment is None else self.segment.look_ahead_frames

    @property
    def n_profile(self) -> int:
        """Length of the band profile that the style vector begins with."""
        return 3 * self.n_bands

    @property
    def n_style(self) -> int:
        """Length of the style vector."""
        return self.n_profile + self.n_embedding


class ConvUnit(nn.Module):
    """Convolution, batch normalisation (folded at export), optional modulation by the style, ReLU."""

    def __init__(self, n_in: int, n_out: int, n_bands: int, look_ahead: int = 0, n_modulation: int = 0) -> None:
        super().__init__()
        self.conv = StreamConv2d(n_in, n_out, n_bands, look_ahead)
        self.norm = nn.BatchNorm2d(n_out)
        self.modulation = nn.Linear(n_modulation, 2 * n_out) if n_modulation else None
        if self.modulation is not None:
            nn.init.normal_(self.modulation.weight, std=0.02)
            nn.init.zeros_(self.modulation.bias)

    def forward(self, x: Tensor, cache: Tensor, code: Tensor) -> tuple[Tensor, Tensor]:
        """Runs the unit on (batch, n_in, frames, bands); `code` (batch, n_modulation) is the style's."""
        x, cache = self.conv(x, cache)
        x = self.norm(x)
        if self.modulation is not None:
            scale, shift = self.modulation(code)[:, :, None, None].chunk(2, dim=1)
            x = x * (1 + scale) + shift
        return F.relu(x), cache


class AdaIN(nn.Module):
    """Adaptive instance normalisation (Huang & Belongie 2017): the content's running moments out, the style's in."""

    def __init__(self, n_channels: int, frames_per_step: int, n_modulation: int) -> None:
        super().__init__()
        self.norm = RunningNorm(n_channels, frames_per_step)
        self.moments = nn.Linear(n_modulation, 2 * n_channels)
        nn.init.normal_(self.moments.weight, std=0.02)
        nn.init.zeros_(self.moments.bias)

    def forward(self, x: Tensor, state: Tensor, steps: StepWeights, code: Tensor) -> tuple[Tensor, Tensor]:
        """Normalises and modulates `x` (batch, channels, frames, bands); the running moments come back second."""
        x, state = self.norm(x, state, steps)
        deviation, mean = self.moments(code)[:, :, None, None].chunk(2, dim=1)
        return x * (1 + deviation) + mean, state


class TransferNet(nn.Module):
    """Band magnitudes and a style vector in, gains in dB out; all state is passed in and handed back.

    The encoder has VGG19's layers conv1_1 to conv4_1 (Simonyan & Zisserman 2015). Pools 1 and 2 halve frames and bands
    inside a step, pool 3 halves bands. AdaIN works at relu4_1 and on the skips from relu3_1 and relu2_1.

    A stream's network looks back in time only. A segment's has a tap for the next frame in every convolution, which
    makes 45 frames ahead, and its statistics are read `look_ahead_frames` later than the frames that they normalise.
    What it hands back is as of before the look-ahead: the next call hears those frames again.

    The packed state (batch, n_state) holds, in this order: the count of the statistics, the running level in dB, the
    running mean of the content's features, the moments of each AdaIN, the content's features in the last steps, the
    cache of each convolution.
    """

    def __init__(self, config: TransferConfig) -> None:
        super().__init__()
        self.config = config
        w, b, m = config.width, config.n_bands, config.n_modulation
        n_inputs, a = 10, config.look_ahead_frames
        encoder = [
            (n_inputs, w, b, a), (w, w, b, a),
            (w, 2 * w, b // 2, a // 2), (2 * w, 2 * w, b // 2, a // 2),
            (2 * w, 4 * w, b // 4, a // 4), (4 * w, 4 * w, b // 4, a // 4),
            (4 * w, 4 * w, b // 4, a // 4), (4 * w, 4 * w, b // 4, a // 4),
            (4 * w, 8 * w, b // 8, a // 4),
        ]  # fmt: skip
        self.encoder = nn.ModuleList(ConvUnit(*shape) for shape in encoder)
        decoder = [
            (8 * w, 4 * w, b // 8, a // 4),
            (8 * w, 4 * w, b // 4, a // 4), (4 * w, 2 * w, b // 4, a // 4),
            (4 * w, 2 * w, b // 2, a // 2), (2 * w, w, b // 2, a // 2),
            (2 * w + n_inputs, w, b, a), (w, w, b, a),
        ]  # fmt: skip
        self.decoder = nn.ModuleList(ConvUnit(*shape, m) for shape in decoder)
        self.adain4 = AdaIN(8 * w, 1, m)
        self.adain3 = AdaIN(4 * w, 1, m)
        self.adain2 = AdaIN(2 * w, 2, m)
        # Linear, after a standard scale: rectified units fell silent for good here (decision 20).
        self.project = nn.Sequential(RunningStandard(config.n_style), nn.Linear(config.n_style, m))
        self.head = StreamConv2d(w, 4, b, a)
        nn.init.normal_(self.head.conv.weight, std=0.01)
        nn.init.zeros_(self.head.conv.bias)
        self.equaliser = nn.Parameter(torch.tensor([0.7, 0.3, 0.3, 0.5]))
        self.register_buffer("start_level_db", torch.tensor([-20.0]))
        self.register_buffer("start_profile", torch.full((b,), 0.3))
        self.register_buffer("gain_centre", torch.tensor(GAIN_CENTRE_DB).view(1, 4, 1, 1), persistent=False)
        self.register_buffer("gain_low", torch.tensor(GAIN_LOW_DB).view(1, 4, 1, 1), persistent=False)
        self.register_buffer("gain_high", torch.tensor(GAIN_HIGH_DB).view(1, 4, 1, 1), persistent=False)

    @property
    def step_frames(self) -> int:
        """Frames of the shortest call."""
        return STEP_FRAMES

    @property
    def convolutions(self) -> list[StreamConv2d]:
        """Every convolution with a cache, in the order of the packed state."""
        units = [*self.encoder, *self.decoder]
        return [unit.conv for unit in units] + [self.head]

    @property
    def state_sizes(self) -> list[int]:
        """Sizes of the parts of the packed state."""
        moments = [self.adain4.norm.state_size, self.adain3.norm.state_size, self.adain2.norm.state_size]
        caches = [flat_size(conv.cache_shape) for conv in self.convolutions]
        recent = (LONG_STEPS - 1) * self.config.n_bands
        return [1, 1, self.config.n_bands, *moments, recent, *caches]

    def initial_state(self) -> Tensor:
        """The packed state at a stream's start (1, n_state): training means and empty caches."""
        device = self.start_profile.device
        recent = torch.zeros((LONG_STEPS - 1) * self.config.n_bands, device=device)
        parts = [torch.full((1,), START_STEPS, device=device), self.start_level_db, self.start_profile]
        parts += [self.adain4.norm.start, self.adain3.norm.start, self.adain2.norm.start, recent]
        parts += [torch.zeros(flat_size(conv.cache_shape), device=device) for conv in self.convolutions]
        return torch.cat(parts)[None]

    def forward(self, bands: Tensor, style: Tensor, freeze: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Runs one or more steps.

        Args:
            bands: Band magnitudes (batch, frames, 3, bands) of content, odd, even; frames a multiple of 4, and more
                than the look-ahead.
            style: Style vectors (batch, n_style).
            freeze: (batch, 1); 1 holds the running statistics.
            state: Packed state (batch, n_state).

        Returns:
            Gains in dB (batch, frames, 4, bands) for content, odd, even and noise, and the packed state before the
            look-ahead. The gains in the look-ahead lack what is to follow; the next call gives better ones.
        """
        parts = list(torch.split(state, self.state_sizes, dim=1))
        count, level_before, profile_before, moments4, moments3, moments2, recent, *caches = parts
        steps, count, level, level_after = self._levels(bands, freeze, count, level_before)
        relative = bands * torch.pow(10.0, level * (-1 / 20))[:, :, None, None]
        features = compress(relative)
        per_step = features[:, :, 0].unflatten(1, (-1, STEP_FRAMES)).mean(2)
        running_profile = steps.average(per_step, profile_before)
        profile = steps.after(running_profile)
        content_profile = _every_frame(steps.heard(running_profile))
        recent_means, recent = self._recent_means(per_step, recent)
        style_profile = style[:, : self.config.n_profile].reshape(-1, 3, 1, self.config.n_bands)
        inputs = torch.cat(
            [
                features.transpose(1, 2),
                frequency_ramp(features[:, :, 0]),
                content_profile,
                recent_means,
                style_profile.expand(-1, -1, features.shape[1], -1),
            ],
            dim=1,
        )
        code = self.project(style)
        fresh: list[Tensor] = []
        remaining = iter(caches)

        def run(unit: ConvUnit, x: Tensor) -> Tensor:
            cache = next(remaining).reshape(-1, *unit.conv.cache_shape)
            x, cache = unit(x, cache, code)
            fresh.append(cache.flatten(1))
            return x

        x1 = run(self.encoder[1], run(self.encoder[0], inputs))
        x2 = run(self.encoder[2], pool_both(x1))
        x3 = run(self.encoder[4], pool_both(run(self.encoder[3], x2)))
        x = x3
        for unit in self.encoder[5:8]:
            x = run(unit, x)
        x4 = run(self.encoder[8], pool_bands(x))
        x4, moments4 = self.adain4(x4, moments4, steps, code)
        x3, moments3 = self.adain3(x3, moments3, steps, code)
        x2, moments2 = self.adain2(x2, moments2, steps, code)
        x = F.interpolate(run(self.decoder[0], x4), scale_factor=(1.0, 2.0), mode="nearest")
        x = run(self.decoder[2], run(self.decoder[1], torch.cat([x, x3], dim=1)))
        x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        x = run(self.decoder[4], run(self.decoder[3], torch.cat([x, x2], dim=1)))
        x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        x = run(self.decoder[6], run(self.decoder[5], torch.cat([x, x1, inputs], dim=1)))
        x, cache = self.head(x, next(remaining).reshape(-1, *self.head.cache_shape))
        fresh.append(cache.flatten(1))
        equaliser_db = (style_profile[:, :1] - content_profile) * FEATURE_SPAN_DB
        gain = GAIN_SLOPE_DB * x + self.gain_centre + self.equaliser.view(1, 4, 1, 1) * equaliser_db
        gain = torch.maximum(torch.minimum(gain, self.gain_high), self.gain_low)
        state_out = torch.cat([count, level_after, profile, moments4, moments3, moments2, recent, *fresh], dim=1)
        return gain.transpose(1, 2), state_out

    def _levels(
        self, bands: Tensor, freeze: Tensor, count: Tensor, before: Tensor
    ) -> tuple[StepWeights, Tensor, Tensor, Tensor]:
        """Weights, count after the call, level in dB that every frame knows (batch, frames) and after the call."""
        batch, frames = bands.shape[:2]
        n_steps = frames // STEP_FRAMES
        power = bands[:, :, 0].square().sum(-1).reshape(batch, n_steps, STEP_FRAMES).mean(-1)
        # A clamp: the exporter's optimiser drops an addition of 1e-12, and silence would give -inf.
        power_db = torch.log(torch.clamp(power, min=1e-12)) * (10.0 / math.log(10.0))
        gate = (power_db > HOLD_DBFS).to(bands.dtype) * (1 - freeze)
        limit = time_constant_steps(self.config.time_constant_s)
        steps, count = step_weights(gate, count, limit, self.config.look_ahead_frames // STEP_FRAMES)
        running = steps.average(power_db[..., None], before)
        return steps, count, _every_frame(steps.heard(running))[:, 0, :, 0], steps.after(running)

    def _recent_means(self, per_step: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        """Means of the content's features over the last steps: (batch, 2, frames, bands), and what the next call needs.

        Finite windows, not exponential ones: what is older than the longest has no part, frozen or not.
        """
        batch, n_steps, bands = per_step.shape
        known = torch.cat([before.reshape(batch, LONG_STEPS - 1, bands), per_step], dim=1)
        means = [
            F.avg_pool2d(known[:, None, LONG_STEPS - length :], (length, 1), stride=1)
            for length in (SHORT_STEPS, LONG_STEPS)
        ]
        spread = torch.cat([_every_frame(mean[:, 0]) for mean in means], dim=1)
        n_kept = n_steps - self.config.look_ahead_frames // STEP_FRAMES
        return spread, known[:, n_kept : n_kept + LONG_STEPS - 1].flatten(1)


def _every_frame(per_step: Tensor) -> Tensor:
    """(batch, steps, bands) to (batch, 1, frames, bands): the same for all frames of a step."""
    batch, n_steps, bands = per_step.shape
    return per_step[:, :, None].expand(-1, -1, STEP_FRAMES, -1).reshape(batch, 1, n_steps * STEP_FRAMES, bands)
