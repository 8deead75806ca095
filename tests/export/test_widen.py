"""A widened network is the narrow one until training tells its copied channels apart."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from deepmusic_export.data import Corpus
from deepmusic_export.nets.segment_plan import SegmentPlan
from deepmusic_export.nets.transfer import TransferConfig, TransferNet
from deepmusic_export.nets.widen import widened
from deepmusic_export.training.bundled import read_networks
from deepmusic_export.training.system import TransferRecipe
from deepmusic_export.training.transfer import TransferTrainer
from tests.export.worn import worn

NARROW = TransferConfig(n_bands=24, width=3, n_embedding=8, n_modulation=6)
RECIPE = TransferRecipe(
    network=dataclasses.replace(NARROW, n_bands=96), style_width=4, batch_size=2, crop_samples=32768, seed=3
)
#: float32 in another order through seventeen convolutions; gains are up to 110 dB.
GAIN_TOLERANCE_DB = 2e-3


def narrow(config: TransferConfig = NARROW) -> TransferNet:
    """A network whose every part does something."""
    torch.manual_seed(0)
    net = worn(TransferNet(config))
    generator = torch.Generator().manual_seed(9)
    for adain in (net.adain2, net.adain3, net.adain4):
        adain.norm.start.add_(torch.rand(adain.norm.start.shape, generator=generator))
    return net


def played(net: TransferNet) -> Tensor:
    generator = torch.Generator().manual_seed(4)
    bands = torch.rand(2, 160, 3, 24, generator=generator)
    style = torch.rand(2, net.config.n_style, generator=generator)
    with torch.no_grad():
        return net(bands, style, torch.zeros(2, 1), net.initial_state().expand(2, -1))[0]


@pytest.mark.parametrize("factor", [1, 2, 3])
@pytest.mark.parametrize("segment", [None, SegmentPlan()], ids=["stream", "segment"])
def test_a_widened_network_gives_the_gains_of_the_narrow_one(factor: int, segment: SegmentPlan | None) -> None:
    net = narrow(dataclasses.replace(NARROW, segment=segment))
    wide = widened(net, 3 * factor)
    assert wide.config == dataclasses.replace(net.config, width=3 * factor)
    torch.testing.assert_close(played(wide.eval()), played(net), rtol=0, atol=GAIN_TOLERANCE_DB)


def test_copies_of_a_channel_are_read_with_weights_of_their_own() -> None:
    first, second = widened(narrow(), 6).encoder[1].conv.conv.weight.unflatten(1, (3, 2)).unbind(2)
    assert (first - second).abs().mean() > 0.1 * first.abs().mean()


def test_a_width_that_is_no_multiple_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of the width 3"):
        widened(narrow(), 8)


def test_a_wide_run_starts_from_a_narrow_one_and_its_copies_learn_apart(synth_corpus: Path, tmp_path: Path) -> None:
    corpus = Corpus(synth_corpus)
    TransferTrainer(RECIPE, corpus, None).save(tmp_path / "narrow.pt")
    wider = dataclasses.replace(RECIPE, network=dataclasses.replace(RECIPE.network, width=6))
    trainer = TransferTrainer(wider, corpus, None)
    trainer.start_from(read_networks(tmp_path / "narrow.pt"))

    def apart() -> float:
        one, other = trainer.system.transfer.encoder[0].conv.conv.weight.unflatten(0, (3, 2)).unbind(1)
        return float((one - other).detach().abs().max())

    assert apart() == 0.0
    for step in range(2):
        rng = np.random.default_rng(step)
        trainer.train_on_audio(corpus.batch(rng, wider.batch_size, wider.crop_samples))
    assert apart() > 0.0
