"""Distillation: the student comes nearer to its teacher and leaves the shared style encoder alone."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from deepmusic_export.band_corpus import BandBatch, BandCorpus
from deepmusic_export.data import Corpus
from deepmusic_export.losses import AUDIBLE_DB, teacher_distance
from deepmusic_export.nets.segment_plan import SegmentPlan
from deepmusic_export.nets.transfer import TransferConfig
from deepmusic_export.training.bundled import read_networks
from deepmusic_export.training.system import TransferRecipe, TransferSystem, load_system, recipe_from_dict
from deepmusic_export.training.transfer import TransferTrainer

RECIPE = TransferRecipe(
    network=TransferConfig(n_bands=96, width=4, n_embedding=8, n_modulation=6),
    style_width=4,
    batch_size=2,
    crop_samples=32768,
)
STUDENT = dataclasses.replace(RECIPE, network=dataclasses.replace(RECIPE.network, width=2))


@pytest.fixture
def teacher() -> TransferSystem:
    torch.manual_seed(1)
    system = TransferSystem(RECIPE).eval()
    torch.nn.init.constant_(system.transfer.head.conv.bias, -0.5)  # a teacher that has something to say: 10 dB less
    return system


@pytest.fixture
def folder(synth_corpus: Path, tmp_path: Path) -> Path:
    """A copy of two rendered groups, into which band levels may be written."""
    return Path(shutil.copytree(synth_corpus, tmp_path / "corpus", ignore=shutil.ignore_patterns("bands_*")))


@pytest.fixture
def student(folder: Path, teacher: TransferSystem) -> TransferTrainer:
    return TransferTrainer(STUDENT, Corpus(folder), None, teacher=teacher)


@pytest.fixture
def batch(folder: Path, student: TransferTrainer) -> BandBatch:
    return BandCorpus(Corpus(folder), student.layout).batch(np.random.default_rng(0), 2, RECIPE.crop_frames)


def gains_of(system: TransferSystem, batch: BandBatch) -> torch.Tensor:
    with torch.no_grad():
        return system.gains(torch.pow(10.0, batch.content[:, :, :3] / 20), torch.pow(10.0, batch.style / 20))


def distance(teacher: TransferSystem, trainer: TransferTrainer, batch: BandBatch) -> float:
    return float(teacher_distance(batch.content, gains_of(trainer.system, batch), gains_of(teacher, batch)))


def test_a_student_comes_nearer_to_its_teacher_on_bands_and_on_audio(
    folder: Path, teacher: TransferSystem, student: TransferTrainer, batch: BandBatch
) -> None:
    before = distance(teacher, student, batch)
    for _ in range(6):
        student.train_on_bands(batch)
    halfway = distance(teacher, student, batch)
    audio = Corpus(folder).batch(np.random.default_rng(0), 2, RECIPE.crop_samples)
    for _ in range(6):
        student.train_on_audio(audio)
    assert halfway < before
    assert distance(teacher, student, batch) < halfway


def test_the_style_encoder_of_the_teacher_is_shared_and_stays_as_it_is(
    teacher: TransferSystem, student: TransferTrainer, batch: BandBatch
) -> None:
    before = {name: value.clone() for name, value in teacher.style.state_dict().items()}
    student.train_on_bands(batch)
    for state in (student.system.style.state_dict(), student.average.style.state_dict()):
        assert all(torch.equal(value, before[name]) for name, value in state.items())


def test_a_student_that_starts_from_another_run_keeps_the_style_encoder_of_its_teacher(
    folder: Path, teacher: TransferSystem, student: TransferTrainer, tmp_path: Path
) -> None:
    path = tmp_path / "start.pt"
    start = TransferTrainer(dataclasses.replace(STUDENT, seed=8), Corpus(folder), None)
    start.save(path)
    student.start_from(read_networks(path))
    for ours in (student.system, student.average):
        for name, value in ours.style.state_dict().items():
            assert torch.equal(value, teacher.style.state_dict()[name]), name
        weight = start.average.transfer.head.conv.weight
        assert torch.equal(ours.transfer.head.conv.weight, weight)


def test_a_student_is_not_gone_on_with_without_its_teacher(
    folder: Path, teacher: TransferSystem, student: TransferTrainer, tmp_path: Path
) -> None:
    path = tmp_path / "student.pt"
    student.save(path)
    TransferTrainer(STUDENT, Corpus(folder), None, teacher=teacher).load(path)
    alone = TransferTrainer(dataclasses.replace(STUDENT, is_style_held=True), Corpus(folder), None)
    with pytest.raises(ValueError, match=r"style encoder of width \d+ and a teacher, got"):
        alone.load(path)


def test_the_distance_hears_what_is_audible_alone(teacher: TransferSystem, batch: BandBatch) -> None:
    gains = gains_of(teacher, batch)
    taught = batch.content + gains
    quiet = taught < taught.amax((1, 2, 3), keepdim=True) - AUDIBLE_DB
    assert quiet.any()
    assert float(teacher_distance(batch.content, gains, gains)) == 0
    assert float(teacher_distance(batch.content, torch.where(quiet, gains - 30.0, gains), gains)) == 0
    assert float(teacher_distance(batch.content, torch.where(quiet, gains, gains + 3.0), gains)) > 0.5


def test_a_checkpoint_of_a_teacher_is_read_with_its_size(student: TransferTrainer, tmp_path: Path) -> None:
    path = tmp_path / "teacher.pt"
    student.save(path)
    read, data = load_system(path)
    assert recipe_from_dict(data["recipe"]) == dataclasses.replace(STUDENT, is_style_held=True, is_taught=True)
    for name, value in read.style.state_dict().items():
        assert torch.equal(value, student.average.style.state_dict()[name])


def test_a_bundle_is_named_after_what_it_is_for(student: TransferTrainer) -> None:
    segments = dataclasses.replace(RECIPE.network, segment=SegmentPlan())
    assert (RECIPE.profile, student.recipe.profile) == ("live", "lite")
    assert dataclasses.replace(RECIPE, network=segments).profile == "studio"
