"""Training of the transfer network: it runs, saves and goes on exactly where it stopped."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from deepmusic.dsp.gains import BandLayout
from deepmusic_export.band_corpus import BandCorpus
from deepmusic_export.data import Corpus
from deepmusic_export.nets.segment_plan import SegmentPlan
from deepmusic_export.nets.transfer import TransferConfig
from deepmusic_export.training.bundled import read_networks
from deepmusic_export.training.schedule import set_learning_rate
from deepmusic_export.training.system import TransferRecipe, load_system, recipe_from_dict
from deepmusic_export.training.transfer import WARM_UP_STEPS, TransferTrainer

RECIPE = TransferRecipe(
    network=TransferConfig(n_bands=96, width=4, n_embedding=8, n_modulation=6),
    style_width=4,
    batch_size=2,
    crop_samples=32768,
    seed=3,
)


def steps(trainer: TransferTrainer, count: int) -> list[float]:
    losses = []
    for _ in range(count):
        rng = np.random.default_rng((RECIPE.seed, trainer.step))
        torch.manual_seed(trainer.step)  # the noise of the excitation bank comes from torch's own generator
        losses.append(trainer.train_on_audio(trainer.corpus.batch(rng, RECIPE.batch_size, RECIPE.crop_samples)).total())
    return [float(loss.detach()) for loss in losses]


@pytest.fixture
def folder(synth_corpus: Path, tmp_path: Path) -> Path:
    """A copy of two rendered groups, into which band levels may be written."""
    return Path(shutil.copytree(synth_corpus, tmp_path / "corpus", ignore=shutil.ignore_patterns("bands_*")))


@pytest.fixture(scope="module")
def trained(synth_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[TransferTrainer, Path, list[float]]:
    """Three steps, the checkpoint after them, and the losses of the two steps behind it."""
    path = tmp_path_factory.mktemp("training") / "transfer.pt"
    trainer = TransferTrainer(RECIPE, Corpus(synth_corpus), None)
    steps(trainer, 3)
    trainer.save(path)
    return trainer, path, steps(trainer, 2)


def test_a_run_that_is_gone_on_with_repeats_the_one_that_was_not_stopped(
    synth_corpus: Path, trained: tuple[TransferTrainer, Path, list[float]]
) -> None:
    straight, path, losses = trained
    resumed = TransferTrainer(RECIPE, Corpus(synth_corpus), None)
    resumed.load(path)
    assert resumed.step == 3
    assert steps(resumed, 2) == losses
    for ours, theirs in (
        (resumed.system.state_dict(), straight.system.state_dict()),
        (resumed.average.state_dict(), straight.average.state_dict()),
    ):
        for name, value in ours.items():
            assert torch.equal(value, theirs[name]), name
    assert np.isfinite(losses).all()
    assert not list(path.parent.glob("*.part"))


def test_a_step_moves_every_part_of_the_system(trained: tuple[TransferTrainer, Path, list[float]]) -> None:
    trainer, path, _ = trained
    before = torch.load(path, weights_only=True)["system"]
    after = trainer.system.state_dict()
    stuck = [
        name
        for name, value in after.items()
        if torch.equal(value, before[name]) and not name.endswith(("start", "start_level_db", "start_profile"))
    ]
    assert stuck == []


def test_a_checkpoint_holds_the_averaged_network_and_its_recipe(
    trained: tuple[TransferTrainer, Path, list[float]],
) -> None:
    system, data = load_system(trained[1])
    assert recipe_from_dict(data["recipe"]) == RECIPE
    assert data["step"] == 3
    assert data["corpus_hours"] > 0
    assert not system.training
    bands = torch.rand(1, 32, 3, 96) * 0.1
    with torch.no_grad():
        gains = system.gains(bands, bands[:, :, 0])
    assert gains.shape == (1, 32, 4, 96)
    assert torch.isfinite(gains).all()


def test_a_run_may_start_from_the_averaged_networks_of_another(
    synth_corpus: Path, trained: tuple[TransferTrainer, Path, list[float]]
) -> None:
    theirs = torch.load(trained[1], weights_only=True)["average"]
    trainer = TransferTrainer(dataclasses.replace(RECIPE, seed=4, batch_size=1), Corpus(synth_corpus), None)
    trainer.start_from(read_networks(trained[1]))
    assert trainer.step == 0
    for state in (trainer.system.state_dict(), trainer.average.state_dict()):
        assert all(torch.equal(value, theirs[name]) for name, value in state.items())


def test_a_start_of_another_size_is_refused_with_the_width_to_give(
    synth_corpus: Path, trained: tuple[TransferTrainer, Path, list[float]]
) -> None:
    wider = dataclasses.replace(RECIPE, network=dataclasses.replace(RECIPE.network, width=8), style_width=8)
    with pytest.raises(ValueError, match="--width 4"):
        TransferTrainer(wider, Corpus(synth_corpus), None).start_from(read_networks(trained[1]))


def test_a_checkpoint_of_another_version_is_refused_by_what_it_has_too_much() -> None:
    data = dataclasses.asdict(RECIPE)
    data["network"]["n_situations"] = 12
    with pytest.raises(ValueError, match="n_situations; train it again"):
        recipe_from_dict(data)


def test_a_checkpoint_whose_networks_have_other_parts_is_refused(
    trained: tuple[TransferTrainer, Path, list[float]], tmp_path: Path
) -> None:
    data = torch.load(trained[1], weights_only=True)
    del data["average"]["transfer.project.1.weight"]
    torch.save(data, tmp_path / "old.pt")
    with pytest.raises(ValueError, match="train it again"):
        load_system(tmp_path / "old.pt")


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x05\x06" + bytes(18)], ids=["empty", "text", "zip"])
def test_a_file_that_is_no_checkpoint_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(content)
    with pytest.raises(ValueError, match=r"expected a checkpoint that deepmusic-export transfer wrote, got .*x\.pt"):
        load_system(tmp_path / "x.pt")


def test_what_another_verb_wrote_is_no_checkpoint(tmp_path: Path) -> None:
    torch.save({"recipe": {"width": 64}, "network": {}}, tmp_path / "encoder.pt")
    with pytest.raises(ValueError, match=r"expected a checkpoint that deepmusic-export transfer wrote, got .*encoder"):
        load_system(tmp_path / "encoder.pt")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"network": dataclasses.replace(RECIPE.network, segment=SegmentPlan())}, "got segment of width 4"),
        ({"network": dataclasses.replace(RECIPE.network, width=8)}, "got stream of width 8"),
        ({"style_width": 8}, "a trained style encoder of width 8;"),
        ({"is_style_held": True}, "a held style encoder of width 4;"),
    ],
    ids=["kind", "width", "style width", "held"],
)
def test_a_run_does_not_go_on_with_other_networks(
    change: dict[str, object],
    told: str,
    synth_corpus: Path,
    trained: tuple[TransferTrainer, Path, list[float]],
) -> None:
    other = TransferTrainer(dataclasses.replace(RECIPE, **change), Corpus(synth_corpus), None)
    with pytest.raises(ValueError, match=f"to go on with, stream of width 4 with a trained .*{told}.*another file"):
        other.load(trained[1])


def test_styles_are_told_apart_after_steps_that_silence_rectifiers(folder: Path) -> None:
    """Version 3 of the default bundle was trained with such steps, and its modulation heard no style."""
    recipe = dataclasses.replace(RECIPE, learning_rate=0.05)
    trainer = TransferTrainer(recipe, Corpus(folder), Corpus(folder))
    batch = BandCorpus(Corpus(folder), trainer.layout).batch(np.random.default_rng(0), 2, RECIPE.crop_frames)
    for group in trainer.optimiser.param_groups:
        group["lr"] = recipe.learning_rate
    for _ in range(20):
        trainer.train_on_bands(batch)
    trainer.average.load_state_dict(trainer.system.state_dict())
    valid = trainer.validate()
    assert valid["live_style"] > 0.5
    assert valid["live_code"] > 0.5


def test_a_style_path_that_is_dead_is_seen(folder: Path) -> None:
    trainer = TransferTrainer(RECIPE, Corpus(folder), Corpus(folder))
    with torch.no_grad():
        trainer.average.style.head[-1].weight.zero_()
        trainer.average.transfer.project[1].weight.zero_()
    valid = trainer.validate()
    assert valid["live_style"] == 0.0
    assert valid["live_code"] == 0.0


def test_a_step_on_band_powers_lowers_their_distance(folder: Path) -> None:
    trainer = TransferTrainer(RECIPE, Corpus(folder), None)
    batch = BandCorpus(Corpus(folder), trainer.layout).batch(np.random.default_rng(0), 2, RECIPE.crop_frames)
    totals = [trainer.train_on_bands(batch).total().item() for _ in range(8)]
    assert trainer.step == 8
    assert np.isfinite(totals).all()
    assert totals[-1] < totals[0]


def test_bfloat16_convolutions_give_nearly_the_distance_of_float32(folder: Path) -> None:
    bands = BandCorpus(Corpus(folder), BandLayout()).batch(np.random.default_rng(0), 2, RECIPE.crop_frames)
    totals = [
        TransferTrainer(dataclasses.replace(RECIPE, is_mixed=is_mixed), Corpus(folder), None).train_on_bands(bands)
        for is_mixed in (False, True)
    ]
    assert totals[1].total().item() == pytest.approx(totals[0].total().item(), rel=0.02)
    assert totals[1].total().item() != totals[0].total().item()


def test_a_segment_network_starts_from_a_stream_and_keeps_its_style_encoder(
    folder: Path, tmp_path: Path, trained: tuple[TransferTrainer, Path, list[float]]
) -> None:
    network = dataclasses.replace(RECIPE.network, segment=SegmentPlan())
    recipe = dataclasses.replace(RECIPE, network=network, is_style_held=True, crop_samples=49152)
    trainer = TransferTrainer(recipe, Corpus(folder), Corpus(folder))
    trainer.start_from(read_networks(trained[1]))
    batch = BandCorpus(Corpus(folder), trainer.layout).batch(np.random.default_rng(0), 2, recipe.crop_frames)
    totals = [trainer.train_on_bands(batch).total().item() for _ in range(8)]
    audio = trainer.train_on_audio(trainer.corpus.batch(np.random.default_rng(0), 2, recipe.crop_samples))
    assert np.isfinite([*totals, audio.total().item()]).all()
    assert totals[-1] < totals[0]
    trainer.save(tmp_path / "studio.pt")
    system, data = load_system(tmp_path / "studio.pt")
    assert recipe_from_dict(data["recipe"]).network == network
    stream, _ = load_system(trained[1])
    for name, value in system.style.state_dict().items():
        assert torch.equal(value, stream.style.state_dict()[name]), name
    assert system.transfer.head.conv.weight[:, :, -1].abs().max() > 0  # what follows has begun to count


def test_a_stream_does_not_start_from_a_segment_network(
    synth_corpus: Path, tmp_path: Path, trained: tuple[TransferTrainer, Path, list[float]]
) -> None:
    network = dataclasses.replace(RECIPE.network, segment=SegmentPlan())
    TransferTrainer(dataclasses.replace(RECIPE, network=network), Corpus(synth_corpus), None).save(tmp_path / "s.pt")
    with pytest.raises(ValueError, match="the same kind"):
        TransferTrainer(RECIPE, Corpus(synth_corpus), None).start_from(read_networks(tmp_path / "s.pt"))


def test_the_learning_rate_warms_up_and_falls_to_a_fiftieth(synth_corpus: Path) -> None:
    trainer = TransferTrainer(RECIPE, Corpus(synth_corpus), None)

    def rate(step: int, progress: float) -> float:
        trainer.step = step
        set_learning_rate(trainer.optimiser, RECIPE.learning_rate, trainer.step, progress, WARM_UP_STEPS)
        return trainer.optimiser.param_groups[0]["lr"] / RECIPE.learning_rate

    assert rate(0, 0.0) == pytest.approx(1 / 60)
    assert rate(1000, 0.0) == pytest.approx(1.0)
    assert rate(1000, 0.5) == pytest.approx(0.51)
    assert rate(1000, 1.0) == pytest.approx(0.02)


@pytest.mark.parametrize("band_share", [0.0, 1.0], ids=["audio", "bands"])
def test_a_budget_in_minutes_ends_the_run_and_writes_the_checkpoint(
    folder: Path, tmp_path: Path, band_share: float
) -> None:
    recipe = dataclasses.replace(RECIPE, batch_size=1, minutes=1e-4, seed=1, band_share=band_share)
    trainer = TransferTrainer(recipe, Corpus(folder), Corpus(folder))
    trainer.run(tmp_path / "transfer.pt")
    assert trainer.step == 1
    assert {"train_lsd80", "valid_lsd80"} <= set(trainer.history[-1])
    assert load_system(tmp_path / "transfer.pt")[1]["step"] == 1
