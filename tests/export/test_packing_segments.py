"""A segment network becomes a bundle by the same commands as a stream, and every file of it is verified."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from deepmusic.audio import AudioFormat
from deepmusic.model.bundle import Bundle
from deepmusic.model.golden import golden_snr_db
from deepmusic.model.manifest import BundleKind
from deepmusic.model.runtime import StyleEncoder, TransferModel
from deepmusic.session.config import SessionConfig
from deepmusic.session.offline import render
from deepmusic.styles.learn import learn
from deepmusic_export.cli import main
from deepmusic_export.data import Corpus
from deepmusic_export.graph import export_style, folded, halve, rounded
from deepmusic_export.metrics import seam_ratio
from deepmusic_export.nets.segment_plan import SegmentPlan
from deepmusic_export.nets.transfer import TransferConfig
from deepmusic_export.training.bundled import read_networks
from deepmusic_export.training.system import TransferRecipe, load_system
from deepmusic_export.training.transfer import TransferTrainer
from deepmusic_export.verify import chords, verify

pytestmark = [
    pytest.mark.filterwarnings(r"ignore:`isinstance\(treespec, LeafSpec\)` is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:# The axis name:UserWarning"),
    pytest.mark.timeout(300),  # two exports take half a minute of processor time each, and the cores may be shared
]

PLAN = SegmentPlan(segment_frames=24, overlap_frames=4, context_frames=16)
STREAM = TransferRecipe(
    network=TransferConfig(n_bands=24, width=4, n_embedding=8, n_modulation=6),
    style_width=4,
    minutes=1e-4,
    batch_size=1,
    crop_samples=49152,
)
SEAM_LIMIT = 1.15
"""Roughness at joins over roughness half a segment away; untouched audio has 0.90 to 1.11."""

SEGMENT = replace(STREAM, network=replace(STREAM.network, segment=PLAN), is_style_held=True)


@pytest.fixture(scope="module")
def stream_checkpoint(tmp_path_factory: pytest.TempPathFactory, soundfont_corpus: Path) -> Path:
    """One step of training, and a last convolution that does something."""
    path = tmp_path_factory.mktemp("run") / "live.pt"
    trainer = TransferTrainer(STREAM, Corpus(soundfont_corpus), None)
    trainer.run(path)
    with torch.no_grad():
        for system in (trainer.system, trainer.average):
            nn.init.normal_(system.transfer.head.conv.weight, std=0.1)
    trainer.save(path)
    return path


@pytest.fixture(scope="module")
def checkpoint(stream_checkpoint: Path, soundfont_corpus: Path) -> Path:
    """The stream's network, trained on as a segment's for a step, with weights for what follows."""
    path = stream_checkpoint.parent / "studio.pt"
    trainer = TransferTrainer(SEGMENT, Corpus(soundfont_corpus), None)
    trainer.start_from(read_networks(stream_checkpoint))
    trainer.run(path)
    with torch.no_grad():
        for conv in trainer.average.transfer.convolutions:
            conv.conv.weight[:, :, -1] += 0.05 * torch.randn_like(conv.conv.weight[:, :, -1])
    trainer.save(path)
    return path


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path, soundfont_corpus: Path) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "studio"
    arguments = ["onnx", checkpoint, "-o", folder, "--calibration", soundfont_corpus]
    arguments += ["--weights", "float16", "--clip-samples", "49152"]
    assert main([str(argument) for argument in arguments]) == 0
    return folder


def test_the_bundle_is_a_segment_bundle_that_the_runtime_loads(packed: Path):
    bundle = Bundle.open(packed)
    manifest = bundle.manifest
    assert (manifest.name, manifest.profile, manifest.kind) == ("studio", "studio", BundleKind.SEGMENT)
    assert (manifest.features.step_frames, manifest.look_ahead_frames) == (24, 20)
    assert len(bundle.golden().bands) == 8  # as many as the clip has
    for precision, at_least_db in (("float", 60.0), ("int8", 15.0)):
        model = TransferModel.load(bundle, precision=precision)
        assert golden_snr_db(model, model.initial_state(), bundle.golden()) >= at_least_db


def test_a_style_encoder_that_was_held_is_the_same_file(packed: Path, stream_checkpoint: Path, tmp_path: Path):
    style = rounded(folded(load_system(stream_checkpoint)[0].style))
    export_style(style, tmp_path / "float.onnx")
    halve(tmp_path / "float.onnx", tmp_path / "style_encoder.onnx")
    assert (tmp_path / "style_encoder.onnx").read_bytes() == (packed / "style_encoder.onnx").read_bytes()


def test_torch_and_every_file_in_every_split_agree(packed: Path, checkpoint: Path):
    system, _ = load_system(checkpoint)
    findings = verify(packed, (system.transfer, system.style), seconds=2.0)
    exact = [finding for finding in findings if finding.unit == "max abs"]
    assert len(exact) >= 12
    assert all(finding.passed for finding in exact), exact


def test_joins_of_segments_are_no_rougher_than_the_rest(packed: Path):
    bundle = Bundle.open(packed)
    style = learn(chords(2.0, 48000, seed=1)[:1], 48000, StyleEncoder.load(bundle))
    config = SessionConfig(audio_format=AudioFormat(sample_rate_hz=48000, n_channels=1))
    noise = np.random.default_rng(0).normal(0, 0.1, (1, 20 * 48000)).astype(np.float32)  # as rough everywhere
    played = render(config, TransferModel.load(bundle, precision="float"), style, noise)[0]
    hop, segment = 256, bundle.manifest.features.step_frames
    first_join = (segment - bundle.manifest.look_ahead_frames) * hop
    assert seam_ratio(played, segment * hop, first_join) <= SEAM_LIMIT
