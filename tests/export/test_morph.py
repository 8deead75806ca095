"""Style morph with the bundle that ships: a blend sounds in between, and a fader that moves makes no click."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from deepmusic.audio import Audio, AudioFormat
from deepmusic.model.bundle import Bundle
from deepmusic.model.catalog import DEFAULT_BUNDLE, PACKAGE_FOLDER
from deepmusic.model.runtime import StyleEncoder, TransferModel
from deepmusic.model.style_vector import StyleVector, blend
from deepmusic.session.config import SessionConfig, model_facts
from deepmusic.session.events import ChangeStyle
from deepmusic.session.offline import render
from deepmusic.session.session import Session
from deepmusic.styles.learn import learn
from deepmusic_export.data import Corpus
from deepmusic_export.evaluate.scores import seam
from deepmusic_export.metrics import Recording, log_spectral_distance_db, seam_ratio
from deepmusic_export.nets.timbre import timbre_distance
from deepmusic_export.render.patches import Patch
from deepmusic_export.render.scores import random_score
from deepmusic_export.render.soundfont import render_clips
from deepmusic_export.training.timbre import TimbreMeasure, TimbreRecipe, train_timbre
from tests.session.streams import play_through

RATE_HZ = 48000

CLIP_S = 3.0

WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Of the far end."""

SOUNDFONT = Path("/usr/share/sounds/sf2/sf_GMbank.sf2")
"""Debian's csound-soundfont, which no training heard; scripts/test installs it."""

CONTENTS, STYLES = (0, 40, 73), (24, 61, 11)
"""General MIDI programs: piano, violin and flute in the sound of guitar, brass and vibraphone."""

RANGE_DB = 50.0
"""Range of the log-spectral distance that added noise cannot fool."""

SEAM_LIMIT = 1.15
"""Largest second difference within 4 samples of a join, over the same half a period away; untouched audio has 1.11."""

LEVEL_SAMPLES = 240
"""As many to either side make the level at a sample: 5 ms."""

QUIET = 0.1
"""A level below this part of the peak counts as this much: out of silence every attack is sharp."""

CLICK = 0.1
"""Step that must be found, against the peak."""

#: Weights of the three styles at the near and at the far end.
PATHS = {
    "one to another": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
    "one to two": ((0.0, 0.0, 1.0), (0.5, 0.5, 0.0)),
    "with a third that stays": ((0.7, 0.3, 0.0), (0.0, 0.3, 0.7)),
}


@cache
def model() -> TransferModel:
    return TransferModel.load(Bundle.open(PACKAGE_FOLDER / DEFAULT_BUNDLE), precision="float")


@cache
def sound(program: int) -> Audio:
    """A score on an instrument, (1, samples)."""
    patch = Patch(source="soundfont", program=program, accompaniment=program)
    score = random_score(np.random.default_rng(program), CLIP_S)
    audio = render_clips(SOUNDFONT, [(patch, score)], CLIP_S, RATE_HZ)
    return (0.1 * audio / np.sqrt(np.mean(audio**2))).astype(np.float32)


@cache
def drone() -> Audio:
    """A chord over noise that never changes: every moment is as rough as the next."""
    at = np.arange(3 * RATE_HZ) / RATE_HZ
    chord = sum(np.sin(2 * np.pi * hz * k * at) / k for hz in (211.3, 277.2, 329.6) for k in range(1, 9))
    noise = np.random.default_rng(0).standard_normal(len(at))
    return (0.04 * chord + 0.01 * noise)[np.newaxis].astype(np.float32)


@cache
def styles() -> tuple[StyleVector, ...]:
    encoder = StyleEncoder.load(Bundle.open(PACKAGE_FOLDER / DEFAULT_BUNDLE))
    return tuple(learn(sound(program), RATE_HZ, encoder, name=str(program)) for program in STYLES)


def mixed(path: str, weight: float) -> StyleVector:
    near, far = PATHS[path]
    return blend((style, (1 - weight) * a + weight * b) for style, a, b in zip(styles(), near, far, strict=True))


def config() -> SessionConfig:
    return SessionConfig(audio_format=AudioFormat(sample_rate_hz=RATE_HZ, n_channels=1), backlog_s=np.inf)


@cache
def morph(content: int, path: str) -> tuple[Recording, ...]:
    """The content at every weight."""
    outputs = (render(config(), model(), mixed(path, weight), sound(content)) for weight in WEIGHTS)
    return tuple(Recording(output[0], RATE_HZ) for output in outputs)


@pytest.fixture(scope="module")
def measure(timbre_corpus: Path) -> TimbreMeasure:
    return train_timbre(TimbreRecipe(steps=60, groups_a_step=3, n_frames=32), Corpus(timbre_corpus))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("content", CONTENTS)
def test_a_morph_leaves_one_end_and_nears_the_other_at_every_step(content: int, path: str, measure: TimbreMeasure):
    outputs = morph(content, path)
    for end, sign in ((outputs[0], 1.0), (outputs[-1], -1.0)):
        spectral = [log_spectral_distance_db(output, end, RANGE_DB) for output in outputs]
        timbre = [timbre_distance(measure.embed(output), measure.embed(end)) for output in outputs]
        assert (sign * np.diff(spectral) > 0.0).all(), spectral
        assert (sign * np.diff(timbre) > 0.0).all(), timbre


def sweep(content: Audio, every: int, path: str) -> Audio:
    """The content while the fader goes from one end to the other and back, a move every so many samples."""
    positions = range(RATE_HZ // 4, content.shape[1] - RATE_HZ // 4, every)
    moves = [
        ChangeStyle(vector=mixed(path, 1.0 - abs(2.0 * n / (len(positions) - 1) - 1.0)), at_sample=at)
        for n, at in enumerate(positions)
    ]
    stream = Session(config(), model_facts(model()), mixed(path, 0.0))
    return play_through(stream, content, *moves).audio[:, stream.latency_samples :]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("every", [1024, 2400, 4800])
def test_a_live_sweep_has_no_seams_where_the_fader_moves_and_no_more_where_steps_meet(path: str, every: int):
    audio = sweep(drone(), every, path)[0]
    assert seam_ratio(audio, every, RATE_HZ // 4) <= SEAM_LIMIT
    assert seam(Recording(audio, RATE_HZ)) <= max(SEAM_LIMIT, step_seam_at_rest(path))


@cache
def step_seam_at_rest(path: str) -> float:
    """Of the drone in a style that stays, the roughest of three."""
    outputs = (render(config(), model(), mixed(path, weight), drone())[0] for weight in (0.0, 0.5, 1.0))
    return max(seam(Recording(output, RATE_HZ)) for output in outputs)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("content", CONTENTS)
def test_a_live_sweep_bends_no_sharper_than_the_styles_at_rest(content: int, path: str):
    at_rest = max(sharpest_bend(output.audio) for output in morph(content, path))
    swept = sweep(sound(content), 2400, path)[0]
    assert sharpest_bend(swept) <= SEAM_LIMIT * at_rest
    clicked = swept.copy()
    clicked[len(clicked) // 2 :] += CLICK * np.abs(clicked).max()
    assert sharpest_bend(clicked) > SEAM_LIMIT * at_rest


def sharpest_bend(audio: Audio) -> float:
    """Largest second difference of (samples,) against the level around it: a louder note bends no sharper."""
    power = np.convolve(audio.astype(np.float64) ** 2, np.ones(2 * LEVEL_SAMPLES) / (2 * LEVEL_SAMPLES), mode="same")
    level = np.maximum(np.sqrt(power), QUIET * np.abs(audio).max())
    return float((np.abs(np.diff(audio, 2)) / level[1:-1]).max())
