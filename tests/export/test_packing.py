"""A checkpoint becomes a bundle; the bundle is verified, measured and played; a broken one is refused aloud."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from deepmusic.model.bundle import Bundle
from deepmusic.model.golden import golden_snr_db
from deepmusic.model.runtime import TransferModel
from deepmusic_export.cli import main
from deepmusic_export.cli.arguments import bundle_path
from deepmusic_export.data import Corpus
from deepmusic_export.evaluate.pairs import draw_pairs
from deepmusic_export.nets.transfer import TransferConfig
from deepmusic_export.packing import PackingPlan
from deepmusic_export.training.system import TransferRecipe, load_system
from deepmusic_export.training.transfer import TransferTrainer
from deepmusic_export.verify import chords, drift_db, verify

pytestmark = [
    pytest.mark.filterwarnings(r"ignore:`isinstance\(treespec, LeafSpec\)` is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:# The axis name:UserWarning"),
    pytest.mark.timeout(300),  # two exports take half a minute of processor time each, and the cores may be shared
]

RECIPE = TransferRecipe(
    network=TransferConfig(n_bands=24, width=4, n_embedding=8, n_modulation=6),
    style_width=4,
    minutes=1e-4,
    batch_size=1,
    crop_samples=32768,
)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, soundfont_corpus: Path) -> Path:
    """One step of training, and a last convolution that does something."""
    path = tmp_path_factory.mktemp("run") / "transfer.pt"
    trainer = TransferTrainer(RECIPE, Corpus(soundfont_corpus), None)
    trainer.run(path)
    with torch.no_grad():
        for system in (trainer.system, trainer.average):
            nn.init.normal_(system.transfer.head.conv.weight, std=0.1)
    trainer.save(path)
    return path


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path, soundfont_corpus: Path) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "small"
    arguments = ["onnx", checkpoint, "-o", folder, "--calibration", soundfont_corpus, "--name", "small"]
    arguments += ["--weights", "float16", "--clip-samples", "32768"]
    assert main([str(argument) for argument in arguments]) == 0
    return folder


def test_the_bundle_is_what_the_runtime_loads(packed: Path):
    bundle = Bundle.open(packed)
    assert bundle.manifest.name == "small"
    assert bundle.manifest.training.steps == 1
    for precision, at_least_db in (("float", 60.0), ("int8", 15.0)):
        model = TransferModel.load(bundle, precision=precision)
        assert golden_snr_db(model, model.initial_state(), bundle.golden()) >= at_least_db


def test_torch_and_every_file_in_every_split_agree(packed: Path, checkpoint: Path):
    system, _ = load_system(checkpoint)
    findings = verify(packed, (system.transfer, system.style), seconds=2.0)
    exact = [finding for finding in findings if finding.unit == "max abs"]
    assert len(exact) >= 12
    assert all(finding.passed for finding in exact), exact


def test_a_network_that_the_bundle_was_not_made_of_is_found_out(packed: Path, checkpoint: Path):
    system, _ = load_system(checkpoint)
    with torch.no_grad():
        system.transfer.head.conv.weight.mul_(1.05)
    findings = verify(packed, (system.transfer, system.style), seconds=1.0)
    assert not next(finding for finding in findings if "against torch, audio" in finding.what).passed


def test_a_broken_bundle_is_refused_in_one_line(packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in packed.iterdir():
        content = file.read_bytes()
        (broken / file.name).write_bytes(content[:-100] if file.name == "transfer.onnx" else content)
    assert main(["verify", str(broken)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("deepmusic-export verify: ")
    assert captured.err.count("\n") == 1


def test_evaluate_prints_every_baseline_and_writes_figures(
    packed: Path, soundfont_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    figures = tmp_path / "figures.json"
    assert main(["evaluate", str(packed), str(soundfont_corpus), "--pairs", "1", "--json", str(figures)]) == 0
    table = capsys.readouterr().out
    for method in ("nothing", "nothing + noise", "match EQ", "AdaIN gains", "channel vocoder", "deepmusic", "oracle"):
        assert f"| {method} |" in table
    data = json.loads(figures.read_text())
    assert data["scores"]["oracle"][0]["lsd_db"] == 0.0
    assert data["summary"]["lsd_db"] == round(data["scores"]["deepmusic"][0]["lsd_db"], 3)


def test_pairs_are_the_same_for_the_same_seed(soundfont_corpus: Path):
    first, again = (draw_pairs(Corpus(soundfont_corpus), "x", 3, seed=2) for _ in range(2))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a.oracle, b.oracle)


def test_int8_does_not_drift_over_windows(packed: Path):
    ratios = drift_db(packed, minutes=0.1, window_s=1.0)
    assert len(ratios) == 5
    assert min(ratios) > 0.5 * max(ratios)
    assert drift_db(packed, minutes=0.01, window_s=1.0) == ratios[:1]


def test_the_test_signal_peaks_at_minus_one_decibel():
    audio = chords(1.0, 48000)
    assert audio.shape == (2, 48000)
    assert 20 * np.log10(np.abs(audio).max()) == pytest.approx(-1.0, abs=1e-3)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["onnx", "FILE", "-o", "x", "--calibration", "FOLDER", "--no-int8", "--full-range"], "expected an int8 file"),
        (["encoder", "FOLDER", "-o", "x", "--held-out", "FOLDER", "--imagenet-sha256", "0"], "expected --imagenet"),
        (["optimise", "FILE", "FILE", "-o", "x.wav", "--sha256", "0"], "expected ImageNet weights"),
    ],
    ids=["full range", "encoder's checksum", "optimise's checksum"],
)
def test_an_option_that_would_do_nothing_is_refused(
    arguments: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "file").touch()
    places = {"FILE": str(tmp_path / "file"), "FOLDER": str(tmp_path)}
    assert main([places.get(argument, argument) for argument in arguments]) == 1
    assert told in capsys.readouterr().err


def test_pairs_without_recordings_are_usage(synth_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit, match="2"):
        main(["transfer", str(synth_corpus), "-o", str(tmp_path / "x.pt"), "--pairs", str(synth_corpus)])
    assert "expected --audio-folder beside --pairs" in capsys.readouterr().err


@pytest.mark.parametrize("clip_samples", [0, 50000])
def test_a_calibration_clip_is_whole_steps(clip_samples: int):
    with pytest.raises(ValueError, match=f"a multiple of 1024, got {clip_samples}"):
        PackingPlan(name="x", version="1", profile="live", clip_samples=clip_samples)


def test_figures_that_evaluate_did_not_write_are_refused(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "figures.json").write_text('{"lsd_db": 12.0}')
    bundle = ["-o", str(tmp_path / "bundle"), "--calibration", str(tmp_path)]
    assert main(["onnx", str(checkpoint), *bundle, "--metrics", str(tmp_path / "figures.json")]) == 1
    assert "expected the file that evaluate --json wrote, got" in capsys.readouterr().err


def test_a_folder_in_place_of_a_file_is_one_line_and_status_1(
    synth_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    small = ["--width", "4", "--batch", "1", "--minutes", "0.0001"]
    assert main(["transfer", str(synth_corpus), "-o", str(tmp_path), *small]) == 1
    captured = capsys.readouterr().err
    assert captured.startswith("deepmusic-export transfer: ")
    assert captured.count("\n") == 1


@pytest.mark.parametrize("arguments", [["render"], ["onnx", "missing.pt"], ["evaluate"], []])
def test_a_wrong_command_line_is_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "usage: deepmusic-export" in capsys.readouterr().err


def test_a_bundle_may_be_named(packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert bundle_path("live").name == "live"
    assert bundle_path(str(packed)) == packed
    for verb in (["verify", "nothing"], ["evaluate", "nothing", str(tmp_path)], ["picture", "--bundle", "nothing"]):
        with pytest.raises(SystemExit) as ended:
            main(verb)
        assert ended.value.code == 2
        assert "expected a bundle's folder, zip or name, got 'nothing'" in capsys.readouterr().err
