"""Segment networks: they hear what follows, start as the stream that they come from, and their joins do not show."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from deepmusic_export.nets.segment_plan import SegmentPlan
from deepmusic_export.nets.segments import SegmentNet, as_played
from deepmusic_export.nets.streaming import StepWeights, StreamConv2d, step_weights
from deepmusic_export.nets.transfer import STEP_FRAMES, TransferConfig, TransferNet

N_BANDS = 24
PLAN = SegmentPlan(segment_frames=80, overlap_frames=8, context_frames=56)
STREAM = TransferConfig(n_bands=N_BANDS, width=4, n_embedding=8, n_modulation=6)
CONFIG = replace(STREAM, segment=PLAN)
N_SEGMENTS = 6

REACH_FRAMES = 45 + STEP_FRAMES - 1
"""Frames that the convolutions reach ahead, and the rest of a step that is pooled."""

EXACT_DB = 2e-3
"""float32 in another order; gains are up to 110 dB."""

JOIN_SHARE = 0.05
"""Of the deviation of the gains: the most that a segment's end may differ from a pass that was never cut."""


@pytest.fixture(scope="module")
def stream() -> TransferNet:
    """A network whose gains do something: a fresh one is nearly an equaliser."""
    torch.manual_seed(0)
    net = TransferNet(STREAM).eval()
    with torch.no_grad():
        net.head.conv.weight.normal_(0, 0.15, generator=torch.Generator().manual_seed(9))
    return net


@pytest.fixture(scope="module")
def net(stream: TransferNet) -> TransferNet:
    """The stream's network after it has learnt something about what follows."""
    net = TransferNet(CONFIG).eval()
    net.load_state_dict(stream.state_dict())
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for conv in net.convolutions:
            ahead = conv.conv.weight[:, :, -1:]
            ahead += torch.empty_like(ahead).normal_(0, 0.05, generator=generator)
    return net


def music(n_frames: int, seed: int = 0) -> Tensor:
    """Band magnitudes (1, n_frames, 3, N_BANDS) whose levels move."""
    generator = torch.Generator().manual_seed(seed)
    bands = torch.rand(1, n_frames, 3, N_BANDS, generator=generator) * 0.1
    return bands * torch.rand(1, n_frames, 1, 1, generator=generator)


def style_of(net: TransferNet) -> Tensor:
    return torch.rand(1, net.config.n_style, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def whole(net: TransferNet, bands: Tensor, freeze: float = 0.0) -> Tensor:
    """Gains of one pass over everything."""
    return net(bands, style_of(net), torch.full((1, 1), freeze), net.initial_state())[0]


@torch.no_grad()
def in_segments(net: TransferNet, bands: Tensor) -> Tensor:
    """Gains as the runtime gets them, brought to the frames that they belong to."""
    played, gains = SegmentNet(net), []
    state = played.initial_state()
    for segment in torch.split(bands, PLAN.segment_frames, dim=1):
        gain, state = played(segment, style_of(net), torch.zeros(1, 1), state)
        gains.append(gain)
    return torch.cat(gains, dim=1)[:, PLAN.look_ahead_frames :]


def test_a_segment_network_starts_as_the_stream_that_it_comes_from(stream: TransferNet) -> None:
    net = TransferNet(CONFIG).eval()
    net.load_state_dict(stream.state_dict())
    bands = music(200)
    # Frozen, since the statistics look ahead from the first step on.
    torch.testing.assert_close(whole(net, bands, freeze=1.0), whole(stream, bands, freeze=1.0), atol=EXACT_DB, rtol=0)


def test_a_stream_does_not_start_as_a_segment_network(net: TransferNet) -> None:
    with pytest.raises(RuntimeError, match="size mismatch"):
        TransferNet(STREAM).load_state_dict(net.state_dict())


def test_gains_hear_45_frames_ahead_and_no_further(net: TransferNet) -> None:
    bands, at = music(200), 120
    other = bands.clone()
    other[:, at:] *= 0.1
    moved = (whole(net, other, freeze=1.0) - whole(net, bands, freeze=1.0)).abs().amax((0, 2, 3))
    assert moved[: at - REACH_FRAMES].max() < EXACT_DB
    assert moved[at - 1] > 0.1


def test_statistics_are_those_at_the_end_of_the_look_ahead(net: TransferNet) -> None:
    bands, at = music(200), 160
    other = bands.clone()
    other[:, at:] *= 0.1
    moved = (whole(net, other) - whole(net, bands)).abs().amax((0, 2, 3))
    assert moved[at - PLAN.look_ahead_frames : at].min() > 0.1
    assert moved[: at - PLAN.look_ahead_frames - REACH_FRAMES].max() < 0.1


def test_a_step_knows_the_running_mean_of_steps_to_come() -> None:
    values = torch.arange(6.0).view(1, 6, 1)
    weights, count = step_weights(torch.ones(1, 6), torch.tensor([[1.0]]), 100.0, look_ahead=2)
    running = weights.average(values, torch.zeros(1, 1))
    assert weights.heard(running)[0, :, 0].tolist() == running[0, [2, 3, 4, 5, 5, 5], 0].tolist()
    assert weights.after(running).item() == running[0, 3, 0].item()
    assert count.item() == 5.0


def test_without_a_look_ahead_a_step_knows_its_own_mean() -> None:
    weights = StepWeights(torch.eye(4)[None], torch.zeros(1, 4))
    running = torch.rand(1, 4, 3)
    assert weights.heard(running) is running
    assert torch.equal(weights.after(running), running[:, -1])


def test_the_cache_of_a_convolution_is_as_of_before_the_look_ahead() -> None:
    conv = StreamConv2d(2, 3, 8, look_ahead=5)
    x = torch.randn(1, 2, 12, 8)
    cache = torch.zeros(1, *conv.cache_shape)
    with torch.no_grad():
        out, fresh = conv(x, cache)
        again, _ = conv(x[:, :, 7:], fresh)
    assert torch.equal(fresh, x[:, :, 5:7])
    torch.testing.assert_close(again, out[:, :, 7:], atol=1e-5, rtol=0)


def test_segments_give_nearly_the_gains_of_a_pass_that_was_never_cut(net: TransferNet) -> None:
    bands = music(N_SEGMENTS * PLAN.segment_frames)
    # The runtime's stream begins with silence as long as the look-ahead: so does the pass that is compared.
    reference = whole(net, torch.cat([torch.zeros(1, PLAN.look_ahead_frames, 3, N_BANDS), bands], dim=1))
    segments = in_segments(net, bands)
    reference = reference[:, PLAN.look_ahead_frames :][:, : segments.shape[1]]
    difference = (segments - reference).abs()
    first = PLAN.segment_frames - PLAN.look_ahead_frames  # where the second segment begins
    behind_joins = slice(first + PLAN.overlap_frames, None, PLAN.segment_frames)
    assert difference[:, behind_joins].max() < EXACT_DB
    assert difference.max() < JOIN_SHARE * reference.std()


def test_gains_move_over_a_join_as_they_move_elsewhere(net: TransferNet) -> None:
    steps = in_segments(net, music(N_SEGMENTS * PLAN.segment_frames)).diff(dim=1).abs().mean((0, 2, 3))
    joins = np.arange(PLAN.segment_frames - PLAN.look_ahead_frames, len(steps), PLAN.segment_frames) - 1
    assert steps[joins].mean() < 1.15 * steps.mean()


def test_freeze_holds_the_statistics_of_a_segment(net: TransferNet) -> None:
    played = SegmentNet(net)
    bands, style = music(3 * PLAN.segment_frames), style_of(net)
    state = played.initial_state()
    first, second, third = torch.split(bands, PLAN.segment_frames, dim=1)
    with torch.no_grad():
        for segment in (first, second):
            _, state = played(segment, style, torch.zeros(1, 1), state)
        _, held = played(third, style, torch.ones(1, 1), state)
        _, moved = played(third, style, torch.zeros(1, 1), state)
    begin = sum(played.state_sizes[:2])
    statistics = slice(begin, begin + sum(net.state_sizes[:6]))
    assert torch.equal(held[:, statistics], state[:, statistics])
    assert not torch.equal(moved[:, statistics], state[:, statistics])


def test_rows_of_a_batch_do_not_touch_each_other(net: TransferNet) -> None:
    played = SegmentNet(net)
    bands = torch.cat([music(PLAN.segment_frames, seed) for seed in (1, 2)])
    style, state = style_of(net).repeat(2, 1), played.initial_state().repeat(2, 1)
    with torch.no_grad():
        together, states = played(bands, style, torch.zeros(2, 1), state)
        alone, own = played(bands[1:], style[1:], torch.zeros(1, 1), state[1:])
    torch.testing.assert_close(alone[0], together[1], atol=EXACT_DB, rtol=0)
    torch.testing.assert_close(own[0], states[1], atol=1e-4, rtol=1e-4)


def test_the_packed_state_has_the_declared_size(net: TransferNet) -> None:
    played = SegmentNet(net)
    assert played.initial_state().shape == (1, sum(played.state_sizes))
    assert played.step_frames == PLAN.segment_frames


def test_a_stream_is_played_as_it_is(stream: TransferNet, net: TransferNet) -> None:
    assert as_played(stream) is stream
    assert isinstance(as_played(net), SegmentNet)
    with pytest.raises(ValueError, match="plan for segments"):
        SegmentNet(stream)


@pytest.mark.parametrize(
    ("sizes", "complaint"),
    [
        ({"segment_frames": 30}, "multiples of 4"),
        ({"overlap_frames": 0}, "multiples of 4"),
        ({"context_frames": 120}, "shorter than a segment"),
    ],
)
def test_a_plan_that_cannot_be_played_is_refused(sizes: dict[str, int], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        SegmentPlan(**sizes)
