"""The distances to the oracle that training lowers."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor

from deepmusic.dsp.gains import BandLayout
from deepmusic_export.features import SignalPath
from deepmusic_export.losses import BandLoss, LoudnessDistance, OracleLoss
from deepmusic_export.metrics import Recording, log_spectral_distance_db
from deepmusic_export.render.scores import random_score
from deepmusic_export.render.synthesis import play, voice_of

RATE_HZ = 48000

RMS_FLOOR_DB = 1e-3**0.5 + 1e-4
"""The root of the mean square has 1e-3 added under the root, so that its gradient is finite at 0."""

SAME_MEASURE_DB = 1.5
"""The loss frames in steps of 96 ms at the training rate, the metric in 32 ms at 16 kHz with padding."""

SAME_ORDER = 0.7
"""Correlation over pairs; 0.88 and 0.94 over twelve pairs of a SoundFont (measured)."""

LOUDNESS_TOLERANCE_LU = 2.0
"""Bands overlap where they are narrow, and are weighted by their centres: noise and a sine are the worst pair."""


@pytest.fixture(scope="module")
def loss() -> OracleLoss:
    return OracleLoss(RATE_HZ)


@cache
def clip(seed: int) -> Tensor:
    score = random_score(np.random.default_rng(0), 1.0)
    audio = play(score, voice_of(seed), 1.0, RATE_HZ)
    return torch.from_numpy(audio / np.sqrt(np.mean(audio**2)) * 0.1)[None]


def test_equal_audio_has_no_distance_at_any_level(loss: OracleLoss) -> None:
    audio = clip(1)
    for distance in (loss(audio, audio), loss(audio * 0.1, audio)):
        assert distance.lsd80.item() < RMS_FLOOR_DB
        assert distance.lsd50.item() < RMS_FLOOR_DB
        assert distance.wide.item() == pytest.approx(0.0, abs=1e-3)
        assert distance.short.item() == pytest.approx(0.0, abs=1e-3)


def test_the_distance_falls_on_the_way_to_the_oracle(loss: OracleLoss) -> None:
    start, oracle = clip(1), clip(2)
    totals = [loss(torch.lerp(start, oracle, weight), oracle).total().item() for weight in (0.0, 0.9, 0.99, 1.0)]
    assert totals == sorted(totals, reverse=True)
    assert totals[0] > 20 * totals[-1]


def test_a_step_against_the_gradient_lowers_the_distance(loss: OracleLoss) -> None:
    gain = torch.zeros(clip(1).shape, requires_grad=True)
    before = loss(clip(1) * torch.exp(gain), clip(2)).total()
    before.backward()
    assert gain.grad is not None
    assert torch.isfinite(gain.grad).all()
    with torch.no_grad():
        after = loss(clip(1) * torch.exp(-0.05 * gain.grad / gain.grad.abs().max()), clip(2)).total()
    assert after < before


def test_the_first_distances_are_the_measures_of_the_model_card(loss: OracleLoss) -> None:
    output, oracle = clip(1), clip(2)
    distance = loss(output, oracle)
    heard = [Recording(audio[0].numpy(), RATE_HZ) for audio in (output, oracle)]
    for ours, range_db in ((distance.lsd80, 80.0), (distance.lsd50, 50.0)):
        card = log_spectral_distance_db(heard[0], heard[1], range_db)
        assert ours.item() == pytest.approx(card, abs=SAME_MEASURE_DB)


def test_silence_against_sound_is_far_and_finite(loss: OracleLoss) -> None:
    quiet = torch.zeros_like(clip(1)).requires_grad_()
    total = loss(quiet, clip(1)).total()
    total.backward()
    assert total.item() > 20
    assert quiet.grad is not None
    assert torch.isfinite(quiet.grad).all()


def band_power(audio: Tensor) -> Tensor:
    path = SignalPath(RATE_HZ)
    hop = path.geometry.hop
    return path.band_magnitudes(path.spectra(audio[:, : audio.shape[1] // hop * hop])).square()


def test_band_powers_put_pairs_into_the_order_that_the_audio_does(loss: OracleLoss) -> None:
    pairs = [(clip(seed), clip(seed + 1)) for seed in range(1, 9)]
    band_loss = BandLoss(BandLayout())
    ours = [band_loss(*map(band_power, (output, oracle, output))) for output, oracle in pairs]
    theirs = [loss(output, oracle) for output, oracle in pairs]
    for measure in ("lsd80", "lsd50"):
        figures = [[getattr(distance, measure).item() for distance in distances] for distances in (ours, theirs)]
        assert np.corrcoef(figures)[0, 1] > SAME_ORDER


def test_equal_band_powers_have_no_distance_at_any_level() -> None:
    power = band_power(clip(1))
    distance = BandLoss(BandLayout())(power * 0.01, power, power)
    assert distance.lsd80.item() < RMS_FLOOR_DB
    assert distance.lsd50.item() < RMS_FLOOR_DB
    assert distance.short.item() == pytest.approx(0.0, abs=1e-3)
    assert distance.loudness.item() == pytest.approx(20.0, abs=0.01)


def test_the_distance_of_loudness_is_that_of_the_standard() -> None:
    noise = torch.randn(1, RATE_HZ, generator=torch.Generator().manual_seed(0)).cumsum(1)
    noise -= torch.nn.functional.avg_pool1d(noise, 99, stride=1, padding=49)
    sine = torch.sin(torch.arange(RATE_HZ) * (2 * np.pi * 1000 / RATE_HZ))[None]
    heard = [Recording(audio[0].numpy(), RATE_HZ).loudness_lufs for audio in (noise, sine)]
    ours = LoudnessDistance(BandLayout())(band_power(noise), band_power(sine)).item()
    assert ours == pytest.approx(abs(heard[0] - heard[1]), abs=LOUDNESS_TOLERANCE_LU)
