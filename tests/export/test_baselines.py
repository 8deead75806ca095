"""The baselines do what signal processing alone can do."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor

from deepmusic_export.baselines import BASELINES, LIMIT_DB, OFF_DB, adain_gains, apply_baseline, match_eq
from deepmusic_export.features import SignalPath
from deepmusic_export.render.scores import random_score
from deepmusic_export.render.synthesis import play, voice_of

RATE_HZ = 48000

ALIGNED_DB = -30.0
"""One sample of misalignment leaves about -15. The content's mean holds some silent frames of padding: 0.2 dB."""


@pytest.fixture(scope="module")
def path() -> SignalPath:
    return SignalPath(RATE_HZ)


def levels(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 6 - 40


@cache
def clip(score_seed: int, voice_seed: int) -> Tensor:
    score = random_score(np.random.default_rng(score_seed), 1.0)
    audio = play(score, voice_of(voice_seed), 1.0, RATE_HZ)
    return torch.from_numpy(audio / np.sqrt(np.mean(audio**2)) * 0.1)


def test_match_eq_of_a_sound_to_itself_changes_nothing() -> None:
    content = levels(0, 50, 3, 20)
    gains = match_eq(content, content[:, 0])
    torch.testing.assert_close(gains[:, 0], torch.zeros(50, 20), atol=1e-4, rtol=0)
    assert (gains[:, 1:] == OFF_DB).all()


def test_match_eq_brings_each_band_to_the_power_of_the_style() -> None:
    content, style = levels(0, 50, 3, 20), levels(1, 70, 20) + 9
    after = content[:, 0] + match_eq(content, style)[:, 0]
    power_db = [10 * torch.log10(torch.pow(10, level / 10).mean(0)) for level in (after, style)]
    torch.testing.assert_close(power_db[0], power_db[1], atol=1e-3, rtol=0)


def test_adain_gains_give_each_band_the_moments_of_the_style() -> None:
    content, style = levels(0, 50, 3, 20), levels(1, 70, 20) * 1.1
    after = content[:, 0] + adain_gains(content, style)[:, 0]
    torch.testing.assert_close(after.mean(0), style.mean(0), atol=1e-2, rtol=0)
    torch.testing.assert_close(after.std(0), style.std(0), atol=1e-2, rtol=0)


def test_no_gain_passes_its_limit() -> None:
    content = levels(0, 50, 3, 20)
    for baseline in BASELINES.values():
        for offset in (-200.0, 200.0):
            assert baseline(content, content[:, 0] + offset).max() <= LIMIT_DB


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_keeps_the_length_and_changes_the_sound(path: SignalPath, name: str) -> None:
    content, style = clip(0, 1), clip(1, 2)
    out = apply_baseline(BASELINES[name], path, content, style)
    assert out.shape == content.shape
    assert torch.isfinite(out).all()
    assert (out - content).square().mean() > 0.01 * content.square().mean()


def test_match_eq_of_a_clip_to_itself_gives_it_back_aligned(path: SignalPath) -> None:
    content = clip(0, 1)
    out = apply_baseline(match_eq, path, content, content)
    error_db = 10 * torch.log10((out - content).square().mean() / content.square().mean())
    assert error_db < ALIGNED_DB
