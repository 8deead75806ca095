"""Training goes on from what ships: the networks of a bundle, had back from its ONNX files."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from deepmusic.errors import BundleInvalid
from deepmusic.model.bundle import Bundle
from deepmusic.model.catalog import PACKAGE_FOLDER
from deepmusic_export.bundle import write_bundle
from deepmusic_export.cli import main
from deepmusic_export.data import Corpus
from deepmusic_export.nets.segment_plan import SegmentPlan
from deepmusic_export.nets.transfer import TransferConfig
from deepmusic_export.packing import PackingPlan, pack
from deepmusic_export.render.corpus import CorpusPlan, render_corpus
from deepmusic_export.training.bundled import networks_of_bundle, read_networks, renormalise
from deepmusic_export.training.system import TransferRecipe, TransferSystem
from deepmusic_export.training.transfer import TransferTrainer
from tests.export.worn import worn

pytestmark = [
    pytest.mark.filterwarnings(r"ignore:`isinstance\(treespec, LeafSpec\)` is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:# The axis name:UserWarning"),
    pytest.mark.timeout(300),  # an export takes half a minute of processor time, and the cores may be shared
]

NETWORK = TransferConfig(n_bands=24, width=4, n_embedding=8, n_modulation=6, time_constant_s=0.75)
PLAN = SegmentPlan(segment_frames=24, overlap_frames=4, context_frames=16)
RECIPE = TransferRecipe(network=NETWORK, style_width=5, batch_size=2, crop_samples=32768)
GAIN_TOLERANCE_DB = 2e-3
"""float32, normalisations folded into seventeen convolutions; gains are up to 110 dB."""


def system_of(recipe: TransferRecipe) -> TransferSystem:
    """Networks whose every part does something."""
    torch.manual_seed(5)
    system = TransferSystem(recipe)
    worn(system.transfer)
    worn(system.style)
    with torch.no_grad():
        for name, value in system.state_dict().items():
            if name.endswith((".mean", ".start", "start_profile")):
                value.add_(0.1 * torch.randn_like(value))
            if name.endswith(".variance"):
                value.uniform_(0.5, 2.0)
    return system.eval()


def packed(system: TransferSystem, corpus: Path, folder: Path, *, half: bool = False) -> Path:
    training = {"data": "tests", "steps": 0, "hours": 0.0, "seed": 5, "host": "tests", "note": "none"}
    plan = PackingPlan(
        name="own", version="1", profile="live", half=half, int8=False, clip_samples=32768, training=training
    )
    pack(system.transfer, system.style, Corpus(corpus), plan, folder)
    return folder


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, synth_corpus: Path) -> Path:
    return packed(system_of(RECIPE), synth_corpus, tmp_path_factory.mktemp("bundles") / "own")


def heard(n_bands: int = 24) -> tuple[torch.Tensor, torch.Tensor]:
    """Bands of two contents and of two styles."""
    generator = torch.Generator().manual_seed(2)
    return torch.rand(2, 64, 3, n_bands, generator=generator), torch.rand(2, 64, n_bands, generator=generator)


def gains(system: TransferSystem) -> torch.Tensor:
    with torch.no_grad():
        return system.gains(*heard(system.transfer.config.n_bands))


@pytest.mark.parametrize(
    ("segment", "half"), [(None, False), (None, True), (PLAN, False)], ids=["stream", "float16", "segment"]
)
def test_a_bundle_gives_back_the_networks_that_it_was_made_of(
    segment: SegmentPlan | None, half: bool, synth_corpus: Path, tmp_path: Path
) -> None:
    recipe = dataclasses.replace(RECIPE, network=dataclasses.replace(NETWORK, segment=segment))
    system = system_of(recipe)
    networks = read_networks(packed(system, synth_corpus, tmp_path / "own", half=half))
    assert networks.is_folded
    assert (networks.recipe.network, networks.recipe.style_width) == (recipe.network, recipe.style_width)
    tolerance = 0.5 if half else GAIN_TOLERANCE_DB  # the weights were rounded to eleven bits
    torch.testing.assert_close(gains(networks.system), gains(system), atol=tolerance, rtol=0)
    assert torch.equal(networks.system.transfer.initial_state(), system.transfer.initial_state())


def test_the_networks_that_ship_can_be_trained_on() -> None:
    networks = read_networks(PACKAGE_FOLDER / "live")
    assert networks.recipe.network == TransferConfig(width=networks.recipe.network.width)
    assert gains(networks.system).std() > 1.0


def test_a_zipped_bundle_is_one_too(bundle: Path, tmp_path: Path) -> None:
    archive = shutil.make_archive(str(tmp_path / "own"), "zip", bundle)
    assert torch.equal(gains(read_networks(Path(archive)).system), gains(read_networks(bundle).system))


def test_a_checkpoint_keeps_its_normalisations(synth_corpus: Path, tmp_path: Path) -> None:
    trainer = TransferTrainer(dataclasses.replace(RECIPE), Corpus(synth_corpus), None)
    trainer.save(tmp_path / "own.pt")
    networks = read_networks(tmp_path / "own.pt")
    assert not networks.is_folded
    assert networks.recipe == RECIPE


def test_renormalised_networks_play_as_before_and_normalise_what_they_hear(bundle: Path) -> None:
    system = networks_of_bundle(bundle).system
    before = gains(system)
    renormalise(system, [heard()])
    torch.testing.assert_close(gains(system), before, atol=GAIN_TOLERANCE_DB, rtol=0)
    # In training a batch's own moments take their place: those of the same batch change nothing but the last digits.
    system.train()
    system.transfer.project.eval()
    system.style.head.eval()
    torch.testing.assert_close(gains(system), before, atol=0.05, rtol=0)
    system.eval()
    convolved: dict[nn.Module, torch.Tensor] = {}
    norms = [module for module in system.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.register_forward_pre_hook(lambda module, inputs: convolved.__setitem__(module, inputs[0]))
    gains(system)
    assert len(convolved) == len(norms) == 16 + 7
    for norm in norms:
        assert norm.running_mean is not None
        torch.testing.assert_close(convolved[norm].mean((0, 2, 3)), norm.running_mean, atol=0.3, rtol=0.3)


def test_a_held_style_encoder_stays_to_the_bit(bundle: Path) -> None:
    system = networks_of_bundle(bundle).system
    before = {name: value.clone() for name, value in system.style.state_dict().items()}
    renormalise(system, [heard()], is_style_held=True)
    assert all(torch.equal(value, before[name]) for name, value in system.style.state_dict().items())


def test_a_run_starts_from_a_bundle_and_moves_every_weight(bundle: Path, synth_corpus: Path) -> None:
    corpus = Corpus(synth_corpus)
    trainer = TransferTrainer(RECIPE, corpus, None)
    networks = read_networks(bundle)
    before = gains(networks.system)
    trainer.start_from(networks)
    torch.testing.assert_close(gains(trainer.average), before, atol=GAIN_TOLERANCE_DB, rtol=0)
    started = {name: value.detach().clone() for name, value in trainer.system.named_parameters()}
    for step in range(2):
        trainer.train_on_audio(corpus.batch(np.random.default_rng(step), 2, RECIPE.crop_samples))
    assert [name for name, value in trainer.system.named_parameters() if torch.equal(value, started[name])] == []


def test_a_bundle_whose_files_compute_something_else_is_refused(bundle: Path, tmp_path: Path) -> None:
    """Its golden steps are what another network gives: as of a version that computes in another way."""
    opened = Bundle.open(bundle)
    golden = opened.golden()
    arrays = {"bands": golden.bands, "style": golden.style, "gain_db": golden.gain_db + np.float32(0.5)}
    np.savez(tmp_path / "golden.npz", **arrays)
    fields = _fields(bundle)
    files = {name: bundle / name for name in opened.manifest.files} | {"golden.npz": tmp_path / "golden.npz"}
    write_bundle(tmp_path / "other", fields, files)
    with pytest.raises(BundleInvalid, match="golden steps"):
        read_networks(tmp_path / "other")


def test_a_bundle_of_other_networks_is_refused(bundle: Path, tmp_path: Path) -> None:
    opened = Bundle.open(bundle)
    files = {name: bundle / name for name in opened.manifest.files}
    files["transfer.onnx"] = files["style_encoder.onnx"]
    write_bundle(tmp_path / "other", _fields(bundle), files)
    with pytest.raises(BundleInvalid, match="start from the checkpoint"):
        read_networks(tmp_path / "other")


def test_the_command_starts_from_a_bundle_at_its_width(bundle: Path, synth_plan: CorpusPlan, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    render_corpus(dataclasses.replace(synth_plan, n_groups=1, clip_s=3.0), corpus, n_processes=1)
    arguments = ["transfer", corpus, "-o", tmp_path / "own.pt", "--from", bundle, "--minutes", "1e-4", "--batch", "1"]
    assert main([str(argument) for argument in arguments]) == 0
    assert read_networks(tmp_path / "own.pt").recipe.network == NETWORK


def test_a_name_that_no_bundle_has_is_refused_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["transfer", str(tmp_path), "-o", str(tmp_path / "own.pt"), "--from", "nowhere"])
    assert "expected a file, a bundle or a bundle's name, got 'nowhere'" in capsys.readouterr().err


def _fields(bundle: Path) -> dict[str, object]:
    """A manifest's members without the files."""
    fields = json.loads((bundle / "manifest.json").read_text())
    del fields["files"]
    return fields
