"""Training without a part: what is taken out is not there, and rows are compared on the same examples."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from deepmusic.model.manifest import EXCITATIONS
from deepmusic_export.cli import main
from deepmusic_export.data import Corpus
from deepmusic_export.nets.transfer import GAIN_LOW_DB, STEP_FRAMES, TransferConfig
from deepmusic_export.training import ablations
from deepmusic_export.training.ablations import (
    ABLATIONS,
    SILENT_DB,
    Ablation,
    AblationPlan,
    AblationResult,
    run_ablations,
    table,
    take_out,
)
from deepmusic_export.training.system import TransferRecipe, TransferSystem

RECIPE = TransferRecipe(
    network=TransferConfig(n_bands=24, width=4, n_embedding=8, n_modulation=6),
    style_width=4,
    batch_size=2,
    crop_samples=32768,
)

PLAN = AblationPlan(recipe=RECIPE, n_steps=2, n_judged=2)

BANDS = 10 ** torch.empty(2, 8 * STEP_FRAMES, 24).uniform_(-3, -1, generator=torch.Generator().manual_seed(0))


def gains(ablation: Ablation, style_bands: torch.Tensor = BANDS) -> torch.Tensor:
    """Gains of a network with weights that let everything be heard."""
    torch.manual_seed(0)
    system = TransferSystem(RECIPE).eval()
    for name, weight in system.named_parameters():
        if any(part in name for part in ("modulation", "moments", "transfer.head", "project")):
            torch.nn.init.normal_(weight, std=0.3)
    take_out(ablation, system)
    with torch.no_grad():
        return system.gains(BANDS[:, :, None].expand(-1, -1, 3, -1), style_bands)


def named(name: str) -> Ablation:
    return next(ablation for ablation in ABLATIONS if ablation.name == name)


def test_silent_excitations_are_silent_and_the_others_are_not() -> None:
    whole = gains(named("whole"))
    for name, excitations in (("without noise", ("noise",)), ("without overtones", ("odd", "even"))):
        reduced = gains(named(name))
        for row, excitation in enumerate(EXCITATIONS):
            lost = SILENT_DB if excitation in excitations else 0.0
            torch.testing.assert_close(reduced[:, :, row], whole[:, :, row] + lost)
    assert max(GAIN_LOW_DB) + SILENT_DB < -200


def test_a_style_of_which_nothing_is_heard_changes_nothing() -> None:
    deaf = Ablation(name="deaf", has_profile=False, has_embedding=False)
    torch.testing.assert_close(gains(deaf), gains(deaf, BANDS.flip(-1)))
    for name in ("whole", "without the style's profile", "without the style's embedding"):
        assert (gains(named(name)) - gains(named(name), BANDS.flip(-1))).abs().max() > 1e-3


def test_statistics_that_do_not_run_leave_later_frames_as_if_they_were_first() -> None:
    half = BANDS.shape[1] // 2
    for name, is_running in (("whole", True), ("without running statistics", False)):
        torch.manual_seed(0)
        system = TransferSystem(RECIPE).eval()
        take_out(named(name), system)
        states = []
        for bands in (BANDS[:, :half], 0.1 * BANDS[:, half:]):
            with torch.no_grad():
                start = system.transfer.initial_state().expand(2, -1)
                frames = bands[:, :, None].expand(-1, -1, 3, -1)
                states.append(system.transfer(frames, system.style(BANDS), torch.zeros(2, 1), start)[1][:, :2])
        assert torch.equal(states[0], states[1]) != is_running


@pytest.fixture(scope="module")
def results(synth_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[AblationResult]]:
    folder = tmp_path_factory.mktemp("rows")
    corpus = Corpus(synth_corpus)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ablations, "ABLATIONS", (named("whole"), named("without noise")))
        return folder, run_ablations(PLAN, corpus, corpus, folder)


def test_every_row_is_trained_and_judged(results: tuple[Path, list[AblationResult]]) -> None:
    for result in results[1]:
        assert len(result.lsd80_db) == len(result.lsd50_db) == PLAN.n_judged
        assert all(0 < lsd50 < lsd80 < 60 for lsd50, lsd80 in zip(result.lsd50_db, result.lsd80_db, strict=True))
        assert len(result.curve) == 1
    assert results[1][0].lsd80_db != results[1][1].lsd80_db


def test_rows_that_are_there_are_kept(
    results: tuple[Path, list[AblationResult]], synth_corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, rows = results
    monkeypatch.setattr(ablations, "ABLATIONS", (named("whole"), named("without noise")))
    monkeypatch.delattr(ablations, "train_without")
    corpus = Corpus(synth_corpus)
    assert run_ablations(PLAN, corpus, corpus, folder) == rows
    with pytest.raises(ValueError, match=r"rows of 3 steps in .* got one of 2; name another folder"):
        run_ablations(replace(PLAN, n_steps=3), corpus, corpus, folder)


def test_a_run_follows_from_its_seed(results: tuple[Path, list[AblationResult]], synth_corpus: Path) -> None:
    corpus = Corpus(synth_corpus)
    bands = ablations.BandCorpus(corpus, ablations.TransferTrainer(RECIPE, corpus, None).layout)
    again = ablations.train_without(named("whole"), PLAN, corpus, bands, corpus)
    assert again == results[1][0]


def test_the_table_holds_each_row_against_the_first() -> None:
    rows = [
        AblationResult(name="whole", n_steps=2, lsd80_db=(10.0, 12.0), lsd50_db=(6.0, 7.0), curve=()),
        AblationResult(name="less", n_steps=2, lsd80_db=(11.0, 13.5), lsd50_db=(6.0, 7.0), curve=()),
    ]
    assert table(rows)[2:] == [
        "| whole | 11.00 |  | 6.50 |  |",
        "| less | 12.25 | +1.25 ± 0.25 | 6.50 | +0.00 ± 0.00 |",
    ]


def test_the_command_prints_the_table(
    results: tuple[Path, list[AblationResult]],
    synth_corpus: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(ablations, "ABLATIONS", (named("whole"), named("without noise")))
    folder, rows = results
    command = ["ablations", str(synth_corpus), "--held-out", str(synth_corpus), "-o", str(folder), "--steps", "2"]
    assert main(command) == 0
    assert capsys.readouterr().out == "\n".join(table(rows)) + "\n"
    assert json.loads((folder / "row_1.json").read_text())["name"] == "without noise"
    assert main([*command[:-1], "0"]) == 1
    assert "expected --steps and --judged of 1 at least, got 0 and 20" in capsys.readouterr().err
