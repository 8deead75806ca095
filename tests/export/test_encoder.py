"""Training and measuring of the audio VGG19."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from deepmusic_export.cli import main
from deepmusic_export.data import Corpus
from deepmusic_export.nets.packed_vgg19 import read_packed
from deepmusic_export.nets.vgg19 import STYLE_LAYERS, Vgg19
from deepmusic_export.training.encoder import (
    TEMPERATURE,
    AudioEncoder,
    EncoderOutput,
    EncoderRecipe,
    EncoderTrainer,
    encoder_losses,
    layer_statistics,
    load_encoder,
    pair_loss,
    picture,
    train_encoder,
)
from deepmusic_export.training.encoder_report import EncoderReport, _instruments, _retrieved, report
from deepmusic_export.training.labelled import N_FAMILIES, N_KEYS, N_PROGRAMS, UNKNOWN, LabelledClips

RECIPE = EncoderRecipe(width=2, n_bands=32, minutes=1e-4, batch_size=4, crop_samples=32768, seed=5)


def bands(batch: int = 2, n_frames: int = 128) -> Tensor:
    return torch.rand(batch, n_frames, RECIPE.n_bands, generator=torch.Generator().manual_seed(0)) * 0.1


def clips_with(program: list[int], family: list[int], has_notes: list[float]) -> LabelledClips:
    n = len(program)
    return LabelledClips(
        audio=torch.zeros(n, 8),
        sample_rate_hz=48000,
        program=torch.tensor(program),
        family=torch.tensor(family),
        instrument=torch.arange(n),
        score=torch.arange(n),
        notes=torch.zeros(n, 2, N_KEYS),
        has_notes=torch.tensor(has_notes),
    )


@pytest.fixture(scope="module")
def checkpoint(soundfont_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("encoder") / "encoder.pt"
    train_encoder(RECIPE, Corpus(soundfont_corpus), Corpus(soundfont_corpus), path)
    return path


def test_the_picture_has_a_column_for_four_frames_and_no_level() -> None:
    soft, loud = picture(bands()), picture(bands() * 8)
    assert soft.shape == (2, 2, 32, RECIPE.n_bands)
    torch.testing.assert_close(loud, soft, atol=1e-3, rtol=0)
    assert 0 <= soft[:, 0].min() < soft[:, 0].max() <= 1.1
    assert torch.equal(soft[:, 1], torch.linspace(-1, 1, RECIPE.n_bands).expand(2, 32, -1))


def test_statistics_are_mean_and_deviation_whatever_the_order_in_time() -> None:
    torch.manual_seed(0)
    layers = Vgg19(width=2)(picture(bands()))
    statistics = layer_statistics(layers)
    assert tuple(statistics) == STYLE_LAYERS
    for name, values in statistics.items():
        mean, deviation = values.chunk(2, dim=1)
        torch.testing.assert_close(mean, layers[name].mean((2, 3)))
        expected = layers[name].std((2, 3), correction=0)
        torch.testing.assert_close(deviation, expected, atol=4e-3, rtol=1e-3)
    turned = layer_statistics({name: value.flip(2) for name, value in layers.items()})
    torch.testing.assert_close(turned["relu3_1"], statistics["relu3_1"])


def test_every_head_answers_for_every_clip() -> None:
    network = AudioEncoder(RECIPE).eval()
    with torch.no_grad():
        output = network(bands(3, 256))
    assert output.program.shape == (3, N_PROGRAMS)
    assert output.family.shape == (3, N_FAMILIES)
    assert output.notes.shape == (3, 16, N_KEYS)
    assert output.statistics.shape == (3, 2 * 2 * 23)


def test_clips_without_a_label_have_no_part_in_the_loss() -> None:
    output = EncoderOutput(
        torch.randn(3, 5), torch.zeros(3, N_PROGRAMS), torch.zeros(3, N_FAMILIES), torch.zeros(3, 2, N_KEYS)
    )
    output.program[1, 7] = 50.0
    losses = encoder_losses(output, clips_with([3, 7, UNKNOWN], [0, UNKNOWN, UNKNOWN], [1, 0, 1]))
    assert losses.program.item() == pytest.approx(math.log(N_PROGRAMS) / 2, rel=1e-4)
    assert losses.family.item() == pytest.approx(math.log(N_FAMILIES), rel=1e-4)
    assert losses.notes.item() == pytest.approx(math.log(2), rel=1e-4)
    nothing = encoder_losses(output, clips_with([UNKNOWN] * 3, [UNKNOWN] * 3, [0, 0, 0]))
    assert nothing.values() == {"program": 0.0, "family": 0.0, "pairs": 0.0, "notes": 0.0}


def test_the_pair_loss_is_that_of_the_paper() -> None:
    statistics = torch.randn(5, 7, generator=torch.Generator().manual_seed(0))
    instrument = torch.tensor([0, 0, 1, 1, 2])
    unit = (statistics / statistics.norm(dim=1, keepdim=True)).numpy()
    parts = []
    for a in range(4):
        others = [b for b in range(5) if b != a]
        total = sum(np.exp(unit[a] @ unit[b] / TEMPERATURE) for b in others)
        found = [b for b in others if instrument[b] == instrument[a]]
        parts.append(-np.mean([np.log(np.exp(unit[a] @ unit[b] / TEMPERATURE) / total) for b in found]))
    assert pair_loss(statistics, instrument).item() == pytest.approx(np.mean(parts), rel=1e-4)


def test_clips_that_lie_together_have_a_small_pair_loss() -> None:
    together = torch.eye(2).repeat_interleave(2, dim=0)
    assert pair_loss(together, torch.tensor([0, 0, 1, 1])) < 1e-3
    assert pair_loss(together, torch.tensor([0, 1, 0, 1])) > 5


def test_training_lowers_the_loss_of_clips_that_it_repeats(soundfont_corpus: Path) -> None:
    trainer = EncoderTrainer(RECIPE, Corpus(soundfont_corpus), None)
    clips = trainer.corpus.batch(np.random.default_rng(0), 8, RECIPE.crop_samples)
    losses = [trainer.train_step(clips).total().item() for _ in range(12)]
    assert losses[-1] < 0.8 * losses[0]


def test_a_run_that_is_gone_on_with_repeats_the_one_that_was_not_stopped(
    soundfont_corpus: Path, tmp_path: Path
) -> None:
    def steps(trainer: EncoderTrainer, count: int) -> list[dict[str, float]]:
        return [
            trainer.train_step(
                trainer.corpus.batch(np.random.default_rng(trainer.step), 4, RECIPE.crop_samples)
            ).values()
            for _ in range(count)
        ]

    straight, resumed = (EncoderTrainer(RECIPE, Corpus(soundfont_corpus), None) for _ in range(2))
    steps(straight, 2)
    straight.save(tmp_path / "encoder.pt")
    resumed.load(tmp_path / "encoder.pt")
    assert steps(resumed, 2) == steps(straight, 2)


def test_a_checkpoint_holds_the_network_its_recipe_and_its_programs(checkpoint: Path, soundfont_corpus: Path) -> None:
    network, data = load_encoder(checkpoint)
    assert EncoderRecipe(**data["recipe"]) == RECIPE
    assert data["step"] == 1
    assert {"train_program", "held_program"} <= set(data["history"][-1])
    assert not network.training
    assert 1 <= len(data["programs"]) <= 6


def test_a_spent_budget_leaves_the_checkpoint_as_it_is(checkpoint: Path, soundfont_corpus: Path) -> None:
    before = checkpoint.read_bytes()
    train_encoder(RECIPE, Corpus(soundfont_corpus), None, checkpoint)
    assert checkpoint.read_bytes() == before


def test_a_checkpoint_of_another_size_is_refused(checkpoint: Path, soundfont_corpus: Path) -> None:
    with pytest.raises(ValueError, match="expected width 2"):
        train_encoder(dataclasses.replace(RECIPE, width=4), Corpus(soundfont_corpus), None, checkpoint)


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    for name, content in (("empty.pt", b""), ("text.pt", b"no checkpoint")):
        (tmp_path / name).write_bytes(content)
    torch.save({"recipe": {"minutes": 1.0, "band_share": 0.75}, "system": {}}, tmp_path / "transfer.pt")
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(ValueError, match=f"expected a checkpoint that .* encoder wrote, got .*{path.name}"):
            load_encoder(path)


def test_a_training_may_start_from_imagenet_weights(soundfont_corpus: Path, tmp_path: Path) -> None:
    indices = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)
    source = Vgg19(n_inputs=3, width=2)
    state = {}
    for index, conv in zip(indices, source.convs.values(), strict=True):
        state |= {f"features.{index}.weight": conv.weight.detach(), f"features.{index}.bias": conv.bias.detach()}
    torch.save(state, tmp_path / "vgg19.pth")
    trainer = EncoderTrainer(
        dataclasses.replace(RECIPE, imagenet=str(tmp_path / "vgg19.pth")), Corpus(soundfont_corpus), None
    )
    trainer.start_from_imagenet(tmp_path)
    assert torch.equal(trainer.network.vgg.convs["conv5_4"].weight, source.convs["conv5_4"].weight)


@pytest.mark.parametrize("wrong", [{"n_bands": 40}, {"batch_size": 6}, {"crop_samples": 40000}])
def test_sizes_that_do_not_fit_the_pools_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} to be a multiple"):
        EncoderRecipe(**wrong)


def test_the_report_has_every_figure_and_prints_it(checkpoint: Path, soundfont_corpus: Path) -> None:
    figures = report(checkpoint, Corpus(soundfont_corpus))
    assert figures == report(checkpoint, Corpus(soundfont_corpus))
    assert figures.n_clips == 12
    assert 2 <= figures.n_instruments <= 6
    shares = [
        figures.program_error,
        figures.family_error,
        figures.note_f1,
        figures.retrieval,
        figures.retrieval_random,
        figures.retrieval_mfcc,
        *[share for _, share in figures.retrieval_layers],
    ]
    assert all(share is not None and 0 <= share <= 1 for share in shares)
    text = "\n".join(figures.lines())
    for name in ("program error", "family error", "notes", "VGG19", "random weights", "MFCC means", "chance"):
        assert name in text


def test_bfloat16_trains_the_same_network(soundfont_corpus: Path) -> None:
    losses = []
    for is_mixed in (False, True):
        trainer = EncoderTrainer(dataclasses.replace(RECIPE, is_mixed=is_mixed), Corpus(soundfont_corpus), None)
        clips = trainer.corpus.batch(np.random.default_rng(0), 4, 32768)
        losses.append(trainer.train_step(clips).total().item())
    assert losses[1] == pytest.approx(losses[0], rel=0.05)
    assert losses[1] != losses[0]


def test_the_command_trains_reports_draws_and_packs(
    soundfont_corpus: Path, synth_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, picture_of_it, packed = (tmp_path / name for name in ("encoder.pt", "confusion.png", "own.npz"))
    corpora = [str(soundfont_corpus), str(synth_corpus), "--held-out", str(soundfont_corpus)]
    sizes = ["--width", "2", "--minutes", "0.0001", "--batch", "4", "--crop", "32768", "--mixed"]
    files = ["-o", str(out), "--confusion", str(picture_of_it), "--packed", str(packed)]
    assert main(["encoder", *corpora, *sizes, *files]) == 0
    assert "family error" in capsys.readouterr().out
    assert picture_of_it.read_bytes().startswith(b"\x89PNG")
    _, facts = read_packed(packed)
    assert (facts["width"], facts["n_bands"], facts["batch_size"]) == (2, 96, 4)


def test_a_figure_that_the_corpus_cannot_give_is_a_dash() -> None:
    figures = EncoderReport(
        n_clips=4,
        n_programs=0,
        program_error=None,
        family_error=None,
        note_f1=None,
        n_instruments=2,
        retrieval=1.0,
        retrieval_random=0.5,
        retrieval_mfcc=0.75,
        retrieval_layers=(),
        confusion=(),
    )
    assert sum(line.split()[-1] == "-" or "-  of" in line or "- of" in line for line in figures.lines()) == 3


def test_another_score_of_the_same_instrument_must_be_nearest() -> None:
    rng = np.random.default_rng(0)
    programs = np.repeat(np.arange(30), 3)
    scores = np.tile(np.arange(3), 30)
    picks = _instruments(programs, scores)
    assert len(picks) == 30
    voices, tunes = rng.standard_normal((30, 12)), rng.standard_normal((3, 12))
    assert _retrieved(voices[programs] + 0.01 * tunes[scores], picks, np.random.default_rng(0)) == 1.0
    assert _retrieved(rng.standard_normal((90, 12)), picks, np.random.default_rng(0)) < 0.15


def test_the_same_score_twice_is_not_another_score() -> None:
    picks = _instruments(np.array([4, 4, 4, 7, 7, UNKNOWN, 9, 9]), np.array([0, 0, 1, 0, 0, 1, 2, 3]))
    assert [pick.tolist() for pick in picks] == [[0, 2], [6, 7]]
    with pytest.raises(ValueError, match="expected two programs"):
        _instruments(np.array([4, 4, UNKNOWN]), np.array([0, 1, 0]))
