"""The timbre measure: what a short training makes of a tiny corpus, and what it refuses to judge."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from deepmusic_export.cli import main
from deepmusic_export.data import Corpus
from deepmusic_export.metrics import Recording
from deepmusic_export.nets.timbre import MIN_FRAMES, N_MFCC, mfcc_frames, timbre_distance
from deepmusic_export.render.scores import random_score
from deepmusic_export.render.synthesis import play, voice_of
from deepmusic_export.training.timbre import MARGIN, TimbreMeasure, TimbreRecipe, train_timbre, triplet_loss
from deepmusic_export.training.timbre_report import triplet_accuracy

RECIPE = TimbreRecipe(steps=60, groups_a_step=3, n_frames=32)

CLIP_S = 1.2

RIGHT = 0.7
"""Share of right triplets that sixty steps reach at least; chance is a half."""


@pytest.fixture(scope="module")
def measure(timbre_corpus: Path) -> TimbreMeasure:
    return train_timbre(RECIPE, Corpus(timbre_corpus))


def test_an_instrument_is_nearer_to_itself_than_to_another_that_plays_the_same(
    measure: TimbreMeasure, timbre_corpus: Path
):
    """Heard in scores that training never heard."""
    corpus = Corpus(timbre_corpus)
    voices = sorted({json.loads(sound)["program"] for group in corpus.groups() for sound in corpus.sounds(group)})
    scores = [random_score(np.random.default_rng(seed), CLIP_S) for seed in (1, 2)]
    first, second = (
        [measure.embed(Recording(play(score, voice_of(voice), CLIP_S, 44100), 44100)) for voice in voices]
        for score in scores
    )
    right = [
        timbre_distance(first[one], second[one]) < timbre_distance(first[one], first[other])
        for one in range(len(voices))
        for other in range(len(voices))
        if one != other
    ]
    assert np.mean(right) > RIGHT, np.mean(right)


def test_accuracy_is_counted_on_other_instruments_beside_what_needs_no_training(
    measure: TimbreMeasure, held_out_corpus: Path
):
    accuracy = triplet_accuracy(measure, [Corpus(held_out_corpus)])
    # Two groups of 60; the wrong answer plays the anchor's notes, so MFCC means are worse than chance.
    assert accuracy.n_triplets == 120
    assert accuracy.mfcc_means < 0.5
    assert accuracy.network > accuracy.mfcc_means + 0.1


def test_a_recording_has_no_distance_to_itself_at_any_level(measure: TimbreMeasure, held_out_corpus: Path):
    corpus = Corpus(held_out_corpus)
    audio, rate_hz = corpus.clip(corpus.groups()[0], 0, 0)
    loud, soft = (measure.embed(Recording(gain * audio, rate_hz)) for gain in (1.0, 0.1))
    assert timbre_distance(loud, loud) == pytest.approx(0.0, abs=1e-6)
    assert timbre_distance(loud, soft) < 0.01


def test_the_same_recipe_gives_the_same_network_and_a_file_keeps_it(
    measure: TimbreMeasure, timbre_corpus: Path, tmp_path: Path
):
    measure.save(tmp_path / "timbre.pt")
    kept, again = TimbreMeasure.load(tmp_path / "timbre.pt"), train_timbre(RECIPE, Corpus(timbre_corpus))
    for other in (kept, again):
        assert other.trained_on == measure.trained_on
        for name, values in measure.network.state_dict().items():
            assert torch.equal(other.network.state_dict()[name], values), name


def test_a_file_of_another_format_is_refused(tmp_path: Path):
    torch.save({"format": 0}, tmp_path / "timbre.pt")
    with pytest.raises(ValueError, match="expected a timbre file of format 1"):
        TimbreMeasure.load(tmp_path / "timbre.pt")


def test_a_file_that_is_no_measure_is_refused_in_one_line(
    held_out_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    for name, content in (("report.md", "# A report"), ("empty.pt", "")):
        other = tmp_path / name
        other.write_text(content)
        assert main(["evaluate", "lite", str(held_out_corpus), "--timbre", str(other)]) == 1
        assert capsys.readouterr().err == (
            f"deepmusic-export evaluate: expected a file that deepmusic-export timbre wrote, got {other}\n"
        )


def test_a_held_out_corpus_cannot_be_what_the_measure_was_trained_on(
    measure: TimbreMeasure, timbre_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Neither by its name, nor as a copy, nor through a file."""
    measure.save(tmp_path / "timbre.pt")
    copy = shutil.copytree(timbre_corpus, tmp_path / "copy")
    for held_out, named in ((timbre_corpus, timbre_corpus), (copy, timbre_corpus), (copy, tmp_path / "timbre.pt")):
        assert main(["evaluate", "lite", str(held_out), "--timbre", str(named)]) == 1
        captured = capsys.readouterr()
        assert "expected a timbre measure that never heard" in captured.err
        assert captured.out == ""


def test_the_loss_is_zero_once_every_other_instrument_is_far_enough_away():
    a, b = (torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]))
    labels = torch.tensor([0, 0, 1, 1])
    assert triplet_loss(torch.stack([a, a, b, b]), labels).item() == 0.0
    # All four alike: every triplet violates by the whole margin.
    assert triplet_loss(torch.stack([a, a, a, a]), labels).item() == pytest.approx(MARGIN, rel=1e-3)


def test_rests_tell_no_timbre():
    sounding = np.random.default_rng(0).random((128, 40)) + 0.1
    with_rests = np.concatenate([sounding, np.full((128, 30), 1e-9), sounding], axis=1)
    np.testing.assert_allclose(mfcc_frames(with_rests), np.tile(mfcc_frames(sounding), (2, 1)), rtol=1e-4, atol=1e-3)


def test_a_short_recording_has_enough_frames():
    assert mfcc_frames(np.ones((128, 1))).shape == (MIN_FRAMES, N_MFCC)
