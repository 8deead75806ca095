"""Recordings of any length go through the very session of a stream."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from deepmusic.audio import AudioFormat
from deepmusic.model.catalog import BundleCatalog, LoadedBundle
from deepmusic.model.runtime import TransferModel
from deepmusic.model.style_vector import StyleVector
from deepmusic.session.config import SessionConfig, Setting
from deepmusic.session.offline import rehearsed, render
from deepmusic.styles.learn import learn
from deepmusic.transports.file.render import RenderPlan, render_blocks
from tests.file.recordings import melody

RESAMPLED_TOLERANCE = 2e-3
"""What two resamplers may change of the middle of a melody far below half the rate."""


def plan_for(model: TransferModel, **settings: float) -> RenderPlan:
    style = StyleVector(values=np.zeros(8, np.float32), bundle_digest=model.bundle_digest, name="test")
    first = tuple(Setting(name=name, value=value) for name, value in settings.items())
    return RenderPlan(model=model, style=style, settings=first)


@pytest.fixture(scope="module")
def live() -> LoadedBundle:
    return BundleCatalog(device="cpu").get("live")


def settled_style(bundle: LoadedBundle) -> StyleVector:
    """A sound of its own: what the networks make of the melody depends on what they know of it."""
    return learn(melody(2.0, n_channels=1) ** 3, 48_000, bundle.encoder)


@pytest.mark.parametrize("block_samples", [997, 16_384, 40_000])
def test_blocks_of_any_size_give_the_samples_of_an_offline_render(block_samples: int, model: TransferModel) -> None:
    audio, plan = melody(1.1), plan_for(model)
    cuts = range(block_samples, audio.shape[1], block_samples)
    out = np.concatenate(list(render_blocks(plan, np.split(audio, cuts, axis=1), 48_000, 2)), axis=1)
    config = SessionConfig(audio_format=AudioFormat(sample_rate_hz=48_000, n_channels=2))
    assert np.array_equal(out, render(config, model, plan.style, audio))


@pytest.mark.parametrize("block_samples", [997, 40_000])
def test_a_rehearsal_hears_the_beginning_and_plays_it_all(block_samples: int, live: LoadedBundle) -> None:
    audio, style = melody(1.6), settled_style(live)
    plan = RenderPlan(model=live.transfer, style=style, rehearsal_s=1.0)
    cuts = range(block_samples, audio.shape[1], block_samples)
    out = np.concatenate(list(render_blocks(plan, np.split(audio, cuts, axis=1), 48_000, 2)), axis=1)
    config = SessionConfig(audio_format=AudioFormat(sample_rate_hz=48_000, n_channels=2))
    known = rehearsed(config, live.transfer, style, audio[:, :48_000])
    assert known.statistics is not None
    assert np.array_equal(out, render(known, live.transfer, style, audio))


def test_a_rehearsed_beginning_sounds_as_it_does_where_the_stream_has_settled(live: LoadedBundle) -> None:
    audio, style = melody(4.0), settled_style(live)
    config = SessionConfig(audio_format=AudioFormat(sample_rate_hz=48_000, n_channels=2))
    n_samples = audio.shape[1]
    settled = render(config, live.transfer, style, np.concatenate([audio, audio], axis=1))[:, n_samples:]
    known = rehearsed(config, live.transfer, style, audio)
    off = [
        float(np.square(render(begun, live.transfer, style, audio) - settled)[:, 12_000:48_000].mean())
        for begun in (config, known)
    ]
    assert off[1] < 0.3 * off[0]


@pytest.mark.parametrize("n_samples", [0, 1, 1023, 5000])
def test_what_is_too_short_for_a_rehearsal_is_played_as_a_stream_plays_it(n_samples: int, model: TransferModel) -> None:
    audio, plan = melody(0.2)[:, :n_samples], plan_for(model)
    blocks = [audio] if n_samples else []
    known = list(render_blocks(replace(plan, rehearsal_s=4.0), blocks, 48_000, 2))
    assert sum(block.shape[1] for block in known) == n_samples


def test_statistics_that_are_given_outlive_a_rehearsal(live: LoadedBundle) -> None:
    audio, style = melody(1.0), settled_style(live)
    config = SessionConfig(audio_format=AudioFormat(sample_rate_hz=48_000, n_channels=2))
    known = rehearsed(config, live.transfer, style, audio)
    assert rehearsed(known, live.transfer, style, np.zeros_like(audio)) is known


@pytest.mark.parametrize("rate_hz", [8000, 11_025, 22_050, 32_000, 37_800, 176_400])
@pytest.mark.parametrize("n_samples", [1, 2, 777, 20_001])
def test_the_length_is_the_recordings_at_every_rate(rate_hz: int, n_samples: int, model: TransferModel) -> None:
    audio = melody(n_samples / rate_hz, rate_hz, 1)
    assert audio.shape[1] == n_samples
    out = list(render_blocks(plan_for(model), [audio], rate_hz, 1))
    assert sum(block.shape[1] for block in out) == n_samples


@pytest.mark.parametrize("rate_hz", [8000, 22_050, 64_000])
def test_at_strength_0_a_rate_that_no_stream_has_only_costs_the_resampling(rate_hz: int, model: TransferModel) -> None:
    audio = melody(1.0, rate_hz)
    out = np.concatenate(list(render_blocks(plan_for(model, strength=0.0), [audio], rate_hz, 2)), axis=1)
    middle = slice(rate_hz // 10, -rate_hz // 10)
    assert np.abs(out - audio)[:, middle].max() < RESAMPLED_TOLERANCE


def test_no_blocks_give_no_sound(model: TransferModel) -> None:
    assert list(render_blocks(plan_for(model), [], 48_000, 2)) == []


def test_an_endless_recording_is_never_held_as_a_whole(model: TransferModel) -> None:
    endless = itertools.repeat(melody(0.25))
    out = render_blocks(plan_for(model), endless, 48_000, 2)
    n_samples = sum(block.shape[1] for block in itertools.islice(out, 20))
    assert n_samples > 0
