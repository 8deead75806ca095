"""The bundles that ship: golden steps, the laws of every model, and no breathing of running statistics."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from deepmusic.audio import Audio, AudioFormat
from deepmusic.model.bundle import Bundle
from deepmusic.model.catalog import DEFAULT_BUNDLE, PACKAGE_FOLDER
from deepmusic.model.golden import golden_snr_db
from deepmusic.model.runtime import Precision, StyleEncoder, TransferModel
from deepmusic.model.style_vector import StyleVector
from deepmusic.session.config import SessionConfig, Setting, model_facts
from deepmusic.session.offline import render
from deepmusic.session.session import Session
from deepmusic.styles.learn import learn
from tests.session.streams import play_through
from tests.support.laws import RANDOM, music

RATE_HZ = 48000
LATENCY = 1855

FLOAT_SNR_DB = 80.0
"""The float file computes what the golden steps hold, but for the order of sums."""

INT8_SNR_DB = 20.0
"""As the runtime asks at load."""

STREAM_TOLERANCE = 1e-4
"""Promised for the bundle on audio; every split runs the same steps, so on one host it is 0."""

SETTLED_DB = 1.5
"""How near to its earlier level a pad is once the statistics have settled."""

LOUDEST_RETURN_DB = 9.0
"""How far above its level a pad is for a moment where it comes back after loud drums and a rest."""

SILENT_DBFS = -90.0
"""Below the noise of any converter on a stage."""


SHIPPED = sorted(path.name for path in PACKAGE_FOLDER.iterdir() if path.is_dir())


@cache
def opened(name: str = DEFAULT_BUNDLE) -> Bundle:
    return Bundle.open(PACKAGE_FOLDER / name)


@cache
def model(name: str = DEFAULT_BUNDLE, precision: Precision = "float") -> TransferModel:
    return TransferModel.load(opened(name), precision=precision)


@cache
def style(name: str = DEFAULT_BUNDLE) -> StyleVector:
    return learn(music(1, 4 * RATE_HZ, seed=5), RATE_HZ, StyleEncoder.load(opened(name)))


def config(n_channels: int = 2, rate_hz: int = RATE_HZ, **settings: float) -> SessionConfig:
    return SessionConfig(
        audio_format=AudioFormat(sample_rate_hz=rate_hz, n_channels=n_channels),
        settings=tuple(Setting(name=name, value=value) for name, value in settings.items()),
    )


def play(audio: Audio, name: str = DEFAULT_BUNDLE, rate_hz: int = RATE_HZ, **settings: float) -> Audio:
    return render(config(audio.shape[0], rate_hz, **settings), model(name), style(name), audio)


def test_the_default_bundle_ships():
    assert DEFAULT_BUNDLE in SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_the_float_file_gives_its_golden_gains(name: str):
    assert golden_snr_db(model(name), model(name).initial_state(), opened(name).golden()) >= FLOAT_SNR_DB


@pytest.mark.parametrize("name", SHIPPED)
def test_the_int8_file_is_near_its_golden_gains(name: str):
    int8 = model(name, "int8")
    assert golden_snr_db(int8, int8.initial_state(), opened(name).golden()) >= INT8_SNR_DB


@pytest.mark.parametrize("name", SHIPPED)
def test_the_manifest_says_what_it_is_for_and_how_good_it_is(name: str):
    manifest = opened(name).manifest
    assert (manifest.name, manifest.profile) == (name, name)
    assert {"lsd_db", "lsd50_db"} <= manifest.metrics.keys()


@pytest.mark.parametrize("name", SHIPPED)
def test_every_bundle_has_the_style_encoder_of_the_default_one(name: str):
    """So a style sounds alike in all of them; one that has it in float16 differs by the rounding of its weights."""
    ours, theirs = style().values, style(name).values
    assert np.linalg.norm(theirs - ours) < 0.01 * np.linalg.norm(ours)


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize(
    ("block_samples", "rate_hz", "n_channels"), [(64, 48000, 2), (441, 44100, 1), (8193, 96000, 2), (RANDOM, 48000, 1)]
)
def test_a_stream_equals_the_offline_pass(name: str, block_samples: int, rate_hz: int, n_channels: int):
    audio = music(n_channels, 2 * rate_hz, rate_hz)
    offline = play(audio, name, rate_hz)
    of = Session(config(n_channels, rate_hz), model_facts(model(name)), style(name))
    streamed = play_through(of, audio, block_samples=block_samples).audio[:, of.latency_samples :]
    np.testing.assert_allclose(streamed, offline, rtol=0, atol=STREAM_TOLERANCE)


def test_the_sound_depends_on_the_past_alone():
    audio = music(1, 2 * RATE_HZ)
    changed = audio.copy()
    changed[:, RATE_HZ:] = music(1, 2 * RATE_HZ, seed=9)[:, RATE_HZ:]
    before, after = play(audio), play(changed)
    np.testing.assert_array_equal(before[:, : RATE_HZ - LATENCY], after[:, : RATE_HZ - LATENCY])
    assert np.abs(before[:, RATE_HZ:] - after[:, RATE_HZ:]).max() > 1e-3


@pytest.mark.parametrize("name", SHIPPED)
def test_two_passes_give_the_same_samples(name: str):
    audio = music(2, RATE_HZ)
    np.testing.assert_array_equal(play(audio, name), play(audio, name))


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("kind", ["silence", "dc", "full scale", "impulse", "far above full scale"])
def test_extremes_stay_finite_and_under_the_ceiling(kind: str, name: str):
    audio = np.zeros((1, RATE_HZ), np.float32)
    if kind == "dc":
        audio[:] = 0.5
    elif kind == "full scale":
        audio[:] = np.sign(np.sin(np.arange(RATE_HZ) * 0.05))
    elif kind == "impulse":
        audio[:, RATE_HZ // 2] = 1.0
    elif kind == "far above full scale":
        audio[:] = 1e30 * np.sin(np.arange(RATE_HZ) * 0.05)
    out = play(audio, name)
    assert np.isfinite(out).all()
    assert np.abs(out).max() <= 10 ** (-1 / 20) + 1e-3


def test_strength_zero_gives_the_input_back_bit_for_bit():
    audio = music(2, RATE_HZ) * np.float32(1.7)
    np.testing.assert_array_equal(play(audio, strength=0.0), audio)


def test_a_style_of_noise_leaves_silence_silent():
    noise = 0.1 * np.random.default_rng(2).standard_normal((1, 4 * RATE_HZ)).astype(np.float32)
    noisy = learn(noise + music(1, 4 * RATE_HZ, seed=5), RATE_HZ, StyleEncoder.load(opened()))
    rest = np.zeros((1, RATE_HZ), np.float32)
    out = render(config(1), model(), noisy, np.concatenate([music(1, RATE_HZ), rest], axis=1))
    assert 10 * np.log10(np.mean(out[:, -RATE_HZ // 2 :] ** 2)) < SILENT_DBFS


@pytest.mark.parametrize("name", SHIPPED)
def test_the_style_changes_the_sound(name: str):
    audio = music(1, 2 * RATE_HZ)
    assert np.sqrt(np.mean((play(audio, name) - audio) ** 2)) > 0.05 * np.sqrt(np.mean(audio**2))


def test_each_part_of_a_style_changes_the_sound():
    """Version 3 had a learned part that was the same for every recording (decision 20)."""
    n_profile = 3 * opened().manifest.features.n_bands
    seconds = np.arange(4 * RATE_HZ) / RATE_HZ
    plucked = (np.exp(-8 * (seconds % 0.5)) * np.sin(2 * np.pi * 220 * seconds))[np.newaxis].astype(np.float32)
    other = learn(plucked, RATE_HZ, StyleEncoder.load(opened()))
    audio = music(1, 2 * RATE_HZ)
    ours = play(audio)
    for part in (slice(0, n_profile), slice(n_profile, None)):
        values = style().values.copy()
        values[part] = other.values[part]
        mixed = StyleVector(values=values, bundle_digest=style().bundle_digest, name="mixed")
        theirs = render(config(1), model(), mixed, audio)
        assert np.mean((theirs - ours) ** 2) > 1e-3 * np.mean(ours**2)


def test_frozen_runs_that_began_at_different_places_agree_after_the_receptive_field():
    golden = opened().golden()
    bands = np.concatenate([golden.bands, golden.bands])  # the receptive field is longer than one second
    n_steps, late = len(bands), 12
    held = np.ones((1, 1), np.float32)
    gains: list[list[np.ndarray]] = []
    for first in (0, late):
        state, heard = model().initial_state()[np.newaxis], []
        for step in range(first, n_steps):
            gain_db, state = model().step(bands[step], golden.style, held, state)
            heard.append(gain_db)
        gains.append(heard[-8:])
    np.testing.assert_allclose(np.stack(gains[0]), np.stack(gains[1]), rtol=0, atol=1e-3)


def test_a_pad_comes_back_at_its_level_within_the_time_constant():
    window = RATE_HZ // 10
    at = np.arange(4 * RATE_HZ) / RATE_HZ
    chord = sum(np.sin(2 * np.pi * hz * k * at) / k for hz in (220.0, 277.2, 329.6) for k in range(1, 6))
    pad = (0.01 * chord)[np.newaxis].astype(np.float32)
    hits = np.random.default_rng(1).standard_normal((1, 3 * RATE_HZ)) * 0.2
    drums = (hits * np.exp(-(np.arange(hits.shape[1]) % (RATE_HZ // 4)) / 1500.0)).astype(np.float32)
    silence = np.zeros((1, 2 * RATE_HZ), np.float32)
    out = play(np.concatenate([pad, drums, silence, pad], axis=1))
    level = 10 * np.log10((out[0, : out.shape[1] // window * window].reshape(-1, window) ** 2).mean(1) + 1e-14)
    settled = level[20:40].mean()
    # A frame is as long as the synthesis window, so what comes back rings up to 21 ms before, in the last of 0.1 s.
    silent, before = level[70 + 10 : 89], level[89]
    returned = level[90 + round(10 * opened().manifest.statistics_time_constant_s) :]
    assert np.abs(returned[:-1] - settled).max() <= SETTLED_DB
    assert level[90:].max() < settled + LOUDEST_RETURN_DB
    assert silent.max() < -60.0
    assert before < settled - 6.0
