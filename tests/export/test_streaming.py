"""Streaming layers and the transfer network: any split into steps equals the whole pass."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from deepmusic_export.nets.streaming import (
    RunningNorm,
    StepWeights,
    StreamConv2d,
    pool_bands,
    pool_both,
    step_weights,
    time_constant_steps,
)
from deepmusic_export.nets.style_net import StyleNet, activity, band_profile
from deepmusic_export.nets.transfer import (
    GAIN_HIGH_DB,
    GAIN_LOW_DB,
    LONG_STEPS,
    SHORT_STEPS,
    STEP_FRAMES,
    TransferConfig,
    TransferNet,
)
from tests.export.worn import worn

N_BANDS = 24
N_STEPS = 7

LAYER_TOLERANCE = 1e-5
GAIN_TOLERANCE_DB = 2e-3
"""float32 in another order through seventeen convolutions; gains are up to 110 dB."""

STATISTICS_PARTS = slice(0, 6)
"""Count, level, profile and the moments of three AdaIN: what `freeze` holds."""
CACHE_PARTS = slice(7, None)
"""Behind them and the last steps' features: the caches of the convolutions."""

splits = st.lists(st.integers(1, 4), min_size=1, max_size=N_STEPS).map(
    lambda sizes: [0, *[b for b in np.cumsum(sizes).tolist() if b < N_STEPS], N_STEPS]
)


@pytest.fixture(scope="module")
def net() -> TransferNet:
    torch.manual_seed(0)
    return worn(TransferNet(TransferConfig(n_bands=N_BANDS, width=4, n_embedding=8, n_modulation=6)))


def music(batch: int, seed: int = 0) -> Tensor:
    """Band magnitudes (batch, N_STEPS * 4, 3, N_BANDS): levels that move, one step of silence."""
    generator = torch.Generator().manual_seed(seed)
    bands = torch.rand(batch, N_STEPS * STEP_FRAMES, 3, N_BANDS, generator=generator) * 0.1
    bands *= torch.rand(batch, N_STEPS * STEP_FRAMES, 1, 1, generator=generator)
    bands[:, 3 * STEP_FRAMES : 4 * STEP_FRAMES] = 0
    return bands


def style_of(net: TransferNet, batch: int, seed: int = 1) -> Tensor:
    return torch.rand(batch, net.config.n_style, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def streamed(net: TransferNet, bands: Tensor, style: Tensor, bounds: list[int], freeze: float = 0.0) -> tuple:
    batch = bands.shape[0]
    state, gains = net.initial_state().repeat(batch, 1), []
    for first, last in pairwise(bounds):
        step = bands[:, first * STEP_FRAMES : last * STEP_FRAMES]
        gain, state = net(step, style, torch.full((batch, 1), freeze), state)
        gains.append(gain)
    return torch.cat(gains, dim=1), state


@given(bounds=splits)
def test_a_convolution_in_pieces_equals_the_whole(bounds: list[int]) -> None:
    torch.manual_seed(1)
    conv = StreamConv2d(2, 3, 8)
    x = torch.randn(2, 2, N_STEPS, 8)
    cache = torch.zeros(2, *conv.cache_shape)
    with torch.no_grad():
        whole = conv.conv(nn.functional.pad(x, (0, 0, 2, 0)))
        pieces = []
        for first, last in pairwise(bounds):
            out, cache = conv(x[:, :, first:last], cache)
            pieces.append(out)
    torch.testing.assert_close(torch.cat(pieces, dim=2), whole, atol=LAYER_TOLERANCE, rtol=0)
    assert torch.equal(cache, x[:, :, -2:])


@given(
    gates=st.lists(st.integers(0, 1), min_size=1, max_size=30),
    count=st.floats(1.0, 12.0),
    limit=st.floats(12.0, 80.0),
)
def test_step_weights_are_the_moving_average_with_a_gate_and_a_counted_start(
    gates: list[int], count: float, limit: float
) -> None:
    values = np.random.default_rng(0).normal(size=len(gates))
    expected, mean, n = [], 2.0, count
    for gate, value in zip(gates, values, strict=True):
        n = min(n + gate, limit)
        mean += gate / n * (value - mean)
        expected.append(mean)
    gate = torch.tensor([gates], dtype=torch.float32)
    weights, after = step_weights(gate, torch.tensor([[count]]), limit)
    ours = weights.average(torch.tensor(values, dtype=torch.float32).view(1, -1, 1), torch.tensor([[2.0]]))
    np.testing.assert_allclose(ours[0, :, 0].numpy(), expected, atol=1e-4)
    assert after.item() == pytest.approx(n, rel=1e-5)


def test_closed_gates_hold_the_average_to_the_bit() -> None:
    weights, after = step_weights(torch.zeros(1, 5), torch.tensor([[6.0]]), 70.0)
    before = torch.randn(1, 3)
    assert torch.equal(weights.average(torch.randn(1, 5, 3), before), before[:, None].expand(1, 5, 3))
    assert after.item() == 6.0


def test_running_norm_is_the_plain_loop_over_steps() -> None:
    torch.manual_seed(2)
    norm = RunningNorm(3, frames_per_step=2)
    x = torch.randn(1, 3, 2 * N_STEPS, 5) * 3 + 1
    gate = torch.tensor([[1.0, 1, 0, 1, 1, 0, 1]])
    weights, _ = step_weights(gate, torch.tensor([[6.0]]), 20.0)
    out, state = norm(x, norm.start[None], weights)
    mean, var, n = np.zeros(3), np.ones(3), 6.0
    for step in range(N_STEPS):
        block = x[0, :, 2 * step : 2 * step + 2].flatten(1).double().numpy()
        n += float(gate[0, step])
        rate = float(gate[0, step]) / n
        mean = mean + rate * (block.mean(1) - mean)
        var = var + rate * (((block - mean[:, None]) ** 2).mean(1) - var)
        expected = (block - mean[:, None]) / np.sqrt(var[:, None] + 1e-4)
        found = out[0, :, 2 * step : 2 * step + 2].flatten(1)
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-4)
    np.testing.assert_allclose(state[0].numpy(), np.concatenate([mean, var]), atol=1e-4)


def test_running_norm_of_a_constant_stays_finite() -> None:
    norm = RunningNorm(2, frames_per_step=1)
    weights = StepWeights(torch.eye(4)[None], torch.zeros(1, 4))
    out, _ = norm(torch.full((1, 2, 4, 3), 5.0), norm.start[None], weights)
    torch.testing.assert_close(out, torch.zeros_like(out), atol=1e-3, rtol=0)


def test_pools_halve_what_they_name() -> None:
    x = torch.arange(16.0).view(1, 1, 4, 4)
    assert pool_bands(x).tolist() == [[[[1, 3], [5, 7], [9, 11], [13, 15]]]]
    assert pool_both(x).tolist() == [[[[5, 7], [13, 15]]]]


def test_the_time_constant_is_in_steps_of_the_reference_rate() -> None:
    assert time_constant_steps(1.5) == pytest.approx(70.3125)


@settings(max_examples=8)
@given(bounds=splits)
def test_a_transfer_in_any_split_equals_the_whole_pass(net: TransferNet, bounds: list[int]) -> None:
    bands, style = music(2), style_of(net, 2)
    whole, state = streamed(net, bands, style, [0, N_STEPS])
    pieces, state_of_pieces = streamed(net, bands, style, bounds)
    torch.testing.assert_close(pieces, whole, atol=GAIN_TOLERANCE_DB, rtol=0)
    torch.testing.assert_close(state_of_pieces, state, atol=1e-4, rtol=1e-4)


def test_the_gains_move_with_content_and_style(net: TransferNet) -> None:
    bands = music(1)
    gains, _ = streamed(net, bands, style_of(net, 1), [0, N_STEPS])
    other, _ = streamed(net, bands, style_of(net, 1, seed=2), [0, N_STEPS])
    assert gains.shape == (1, N_STEPS * STEP_FRAMES, 4, N_BANDS)
    assert gains.std(dim=1).mean() > 0.5
    assert (gains - other).abs().mean() > 0.5
    low, high = (torch.tensor(limit).view(4, 1) for limit in (GAIN_LOW_DB, GAIN_HIGH_DB))
    assert ((gains >= low) & (gains <= high)).all()


def test_rows_of_a_batch_do_not_touch_each_other(net: TransferNet) -> None:
    bands, style = music(3), style_of(net, 3)
    together, states = streamed(net, bands, style, list(range(N_STEPS + 1)))
    for row in range(3):
        alone, state = streamed(net, bands[row : row + 1], style[row : row + 1], list(range(N_STEPS + 1)))
        torch.testing.assert_close(alone[0], together[row], atol=GAIN_TOLERANCE_DB, rtol=0)
        torch.testing.assert_close(state[0], states[row], atol=1e-4, rtol=1e-4)


def test_the_future_of_a_stream_does_not_change_its_past(net: TransferNet) -> None:
    bands, style = music(1), style_of(net, 1)
    before, _ = streamed(net, bands, style, [0, N_STEPS])
    changed = bands.clone()
    changed[:, 5 * STEP_FRAMES :] *= 30
    after, _ = streamed(net, changed, style, [0, N_STEPS])
    torch.testing.assert_close(after[:, : 5 * STEP_FRAMES], before[:, : 5 * STEP_FRAMES], atol=1e-4, rtol=0)
    assert (after[:, 5 * STEP_FRAMES :] - before[:, 5 * STEP_FRAMES :]).abs().max() > 0.1


@pytest.mark.parametrize("silent", [False, True], ids=["frozen", "below the gate"])
def test_freeze_and_silence_hold_the_statistics(net: TransferNet, silent: bool) -> None:
    bands, style = music(1), style_of(net, 1)
    _, warm = streamed(net, bands, style, [0, N_STEPS])
    freeze = torch.zeros(1, 1) if silent else torch.ones(1, 1)
    with torch.no_grad():
        _, held = net(music(1, seed=3) * (1e-5 if silent else 1), style, freeze, warm)
        _, moved = net(music(1, seed=3), style, torch.zeros(1, 1), warm)
    n_statistics = sum(net.state_sizes[STATISTICS_PARTS])
    assert torch.equal(held[:, :n_statistics], warm[:, :n_statistics])
    assert not torch.equal(moved[:, :n_statistics], warm[:, :n_statistics])
    assert not torch.equal(held[:, n_statistics:], warm[:, n_statistics:])


def test_the_initial_state_has_the_declared_size(net: TransferNet) -> None:
    assert net.initial_state().shape == (1, sum(net.state_sizes))
    caches = sum(int(np.prod(conv.cache_shape)) for conv in net.convolutions)
    assert caches == sum(net.state_sizes[CACHE_PARTS])


def test_the_level_of_the_content_does_not_matter_once_it_is_known(net: TransferNet) -> None:
    bands, style = music(1).clamp(min=0.01).repeat(1, 40, 1, 1), style_of(net, 1)
    with torch.no_grad():
        soft, loud = (net(bands * gain, style, torch.zeros(1, 1), net.initial_state())[0] for gain in (0.25, 1.0))
    assert (soft[:, :4] - loud[:, :4]).abs().max() > 1.0
    # The start at -20 dBFS is forgotten with the time constant: e^-4 of 12 dB is left, and the limits of the features.
    assert (soft[:, -16:] - loud[:, -16:]).abs().mean() < 0.5


def test_a_band_profile_is_mean_deviation_and_soft_maximum() -> None:
    features = torch.tensor([0.2, 0.6]).view(1, 2, 1).repeat(1, 50, 3)
    mean, deviation, peak = band_profile(features, torch.ones(1, 100))[0]
    torch.testing.assert_close(mean, torch.full((3,), 0.4))
    torch.testing.assert_close(deviation, torch.full((3,), 0.2), atol=1e-3, rtol=0)
    assert ((peak > 0.5) & (peak < 0.6)).all()


def test_frames_sound_within_thirty_decibels_of_the_mean_power() -> None:
    bands = torch.tensor([1.0, 0.05, 0.01, 0.0]).view(1, 4, 1).repeat(1, 1, N_BANDS)
    assert activity(bands).tolist() == [[1.0, 1.0, 0.0, 0.0]]
    assert activity(torch.zeros(1, 4, N_BANDS)).tolist() == [[0.0, 0.0, 0.0, 0.0]]


def test_rests_change_no_style() -> None:
    torch.manual_seed(3)
    encoder = StyleNet(N_BANDS, 4, 8).eval()
    # Convolutions reach over the border of a rest: a long recording has few such frames.
    bands = music(1)[:, :, 0].clamp(min=0.01).repeat(1, 40, 1)
    rest = 1e-3 * bands
    with torch.no_grad():
        style, rested = encoder(bands), encoder(torch.cat([rest, bands, rest], dim=1))
    profile = 3 * N_BANDS
    torch.testing.assert_close(rested[:, :profile], style[:, :profile], atol=1e-4, rtol=0)
    torch.testing.assert_close(rested[:, profile:], style[:, profile:], atol=0.02, rtol=0)


def test_a_silent_style_is_finite() -> None:
    with torch.no_grad():
        assert torch.isfinite(StyleNet(N_BANDS, 4, 8).eval()(torch.zeros(1, 16, N_BANDS))).all()


def test_a_style_vector_has_the_declared_size_and_no_level() -> None:
    torch.manual_seed(3)
    encoder = StyleNet(N_BANDS, 4, 8).eval()
    bands = music(1)[:, :, 0]
    with torch.no_grad():
        style, louder, longer = encoder(bands), encoder(bands * 4), encoder(bands.repeat(1, 3, 1))
    assert style.shape == (1, encoder.size)
    assert torch.isfinite(style).all()
    torch.testing.assert_close(louder, style, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(longer[:, : 3 * N_BANDS], style[:, : 3 * N_BANDS], atol=1e-4, rtol=0)


def test_the_recent_means_are_those_of_the_last_steps_in_every_split(net: TransferNet) -> None:
    n_steps = LONG_STEPS + 9
    per_step = torch.rand(1, n_steps, N_BANDS)
    before = torch.zeros(1, (LONG_STEPS - 1) * N_BANDS)
    whole, last = net._recent_means(per_step, before)
    for row, length in enumerate((SHORT_STEPS, LONG_STEPS)):
        expected = per_step[0, -length:].mean(0)
        torch.testing.assert_close(whole[0, row, -STEP_FRAMES:], expected.expand(STEP_FRAMES, -1))
    first, middle = net._recent_means(per_step[:, :20], before)
    second, again = net._recent_means(per_step[:, 20:], middle)
    torch.testing.assert_close(torch.cat([first, second], dim=2), whole)
    assert torch.equal(again, last)
