"""Band levels of a corpus: worked out once, equal to what the networks hear, and augmented in pairs that stay pairs."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from deepmusic.dsp.gains import BandLayout
from deepmusic_export import band_corpus, data
from deepmusic_export.band_corpus import BandBatch, BandCorpus
from deepmusic_export.data import LEVEL_SPREAD_DB, Corpus
from deepmusic_export.features import SignalPath

LAYOUT = BandLayout(n_bands=24)

HALF_FLOAT_DB = 0.07
"""Levels are kept as float16, which has steps of 1/16 dB between 64 and 128 dB."""

ALTERATIONS = (
    "LAYER_SHARE", "STYLE_HYBRID_SHARE", "CONTENT_HYBRID_SHARE", "STYLE_EQ_SHARE", "CONTENT_EQ_SHARE", "NOISE_SHARE",
    "IDENTITY_SHARE",
)  # fmt: skip


@pytest.fixture
def folder(synth_corpus: Path, tmp_path: Path) -> Path:
    """A copy of two rendered groups, into which the levels may be written."""
    return Path(shutil.copytree(synth_corpus, tmp_path / "corpus", ignore=shutil.ignore_patterns("bands_*")))


def only(monkeypatch: pytest.MonkeyPatch, *shares: str) -> None:
    """Every alteration off but these, which are always on."""
    for name in ALTERATIONS:
        module = data if name == "IDENTITY_SHARE" else band_corpus
        monkeypatch.setattr(module, name, 1.0 if name in shares else 0.0)


def draw(folder: Path, size: int = 4, n_frames: int = 96) -> BandBatch:
    return BandCorpus(Corpus(folder), LAYOUT).batch(np.random.default_rng(1), size, n_frames)


def mean_dbfs(levels: torch.Tensor) -> torch.Tensor:
    return 10 * torch.log10(torch.pow(10.0, levels / 10).sum(-1).mean(1))


def test_levels_are_those_that_the_network_hears(folder: Path) -> None:
    BandCorpus(Corpus(folder), LAYOUT)
    corpus = Corpus(folder)
    group = corpus.groups()[0]
    levels = np.load(folder / "bands_024" / group.name)
    clip, rate_hz = corpus.clip(group, 1, 0)
    path = SignalPath(rate_hz, LAYOUT)
    audio = torch.from_numpy(clip[: len(clip) // path.geometry.hop * path.geometry.hop])[None]
    heard = 20 * torch.log10(path.excite(audio).bands)[0].transpose(0, 1)
    loud = heard > -70.0
    ours = torch.from_numpy(levels[1, 0, :, :3].astype(np.float32)).transpose(0, 1)
    assert (ours - heard).abs()[loud].max() <= HALF_FLOAT_DB


def test_levels_are_worked_out_once_and_leave_nothing_half_written(folder: Path) -> None:
    BandCorpus(Corpus(folder), LAYOUT)
    files = sorted((folder / "bands_024").iterdir())
    assert [file.name for file in files] == ["group_00000.npy", "group_00001.npy"]
    before = [file.stat().st_mtime_ns for file in files]
    BandCorpus(Corpus(folder), LAYOUT)
    assert [file.stat().st_mtime_ns for file in files] == before


def test_batches_have_their_shapes_and_levels_and_repeat(folder: Path) -> None:
    batch, again = draw(folder), draw(folder)
    assert batch.content.shape == (4, 96, 4, 24)
    assert batch.style.shape == batch.oracle.shape == (4, 96, 24)
    for levels in (batch.content[:, :, 0], batch.style):
        assert ((mean_dbfs(levels) + 20).abs() <= LEVEL_SPREAD_DB + 0.1).all()
    for ours, theirs in zip(
        (batch.content, batch.style, batch.oracle), (again.content, again.style, again.oracle), strict=True
    ):
        assert torch.equal(ours, theirs)
        assert torch.isfinite(ours).all()


def test_an_instrument_in_its_own_style_has_itself_as_the_oracle(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "IDENTITY_SHARE")
    batch = draw(folder)
    difference = batch.oracle - batch.content[:, :, 0]  # a level for the whole example
    loud = batch.oracle > -80.0
    spread = [row[heard].max() - row[heard].min() for row, heard in zip(difference, loud, strict=True)]
    assert max(spread) < 1e-3


def test_an_equaliser_of_the_style_is_one_curve_for_style_and_oracle(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(monkeypatch)
    plain = draw(folder, size=1)
    only(monkeypatch, "STYLE_EQ_SHARE")
    shaped = draw(folder, size=1)
    curves = [(ours - theirs)[0] for ours, theirs in ((shaped.oracle, plain.oracle), (shaped.style, plain.style))]
    for curve in curves:
        assert curve.std(0).max() < 1e-3
        assert curve.mean(0).std() > 0.5
    shapes = [curve.mean(0) - curve.mean() for curve in curves]
    assert (shapes[0] - shapes[1]).abs().max() < 1e-3


@pytest.mark.parametrize("share", ["LAYER_SHARE", "NOISE_SHARE"])
def test_layers_and_noise_add_power_to_the_oracle(folder: Path, monkeypatch: pytest.MonkeyPatch, share: str) -> None:
    only(monkeypatch)
    plain = draw(folder, size=1)
    only(monkeypatch, share)
    fuller = draw(folder, size=1)
    assert (fuller.oracle - plain.oracle).min() > -1e-3
    assert (fuller.oracle - plain.oracle).max() > 1.0


def test_a_hybrid_changes_style_and_oracle_or_the_content_alone(
    timbre_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(timbre_corpus, tmp_path / "six", ignore=shutil.ignore_patterns("bands_*")))
    batches: dict[str, BandBatch] = {}
    for share in ("", "STYLE_HYBRID_SHARE", "CONTENT_HYBRID_SHARE"):
        only(monkeypatch, share)
        batches[share] = draw(folder, size=1)

    def change_db(share: str, part: str) -> float:
        """Deviation from a change of level alone."""
        return float((getattr(batches[share], part) - getattr(batches[""], part)).std())

    assert min(change_db("STYLE_HYBRID_SHARE", part) for part in ("style", "oracle")) > 0.5
    assert change_db("STYLE_HYBRID_SHARE", "content") < 1e-3
    assert change_db("CONTENT_HYBRID_SHARE", "content") > 0.5
    assert max(change_db("CONTENT_HYBRID_SHARE", part) for part in ("style", "oracle")) < 1e-3


def test_groups_that_were_rendered_since_are_taken_in(folder: Path, tmp_path: Path) -> None:
    later = tmp_path / "later"
    later.mkdir()
    for file in folder.glob("group_00001.*"):
        file.rename(later / file.name)
    corpus = Corpus(folder)
    bands = BandCorpus(corpus, LAYOUT)
    for file in later.iterdir():
        file.rename(folder / file.name)
    corpus.refresh()
    bands.refresh()
    assert (folder / "bands_024" / "group_00001.npy").exists()
    bands.batch(np.random.default_rng(0), 8, 96)


def test_levels_of_a_group_that_was_rendered_anew_are_worked_out_anew(folder: Path) -> None:
    group = folder / "group_00000.npy"
    levels = folder / "bands_024" / group.name
    BandCorpus(Corpus(folder), LAYOUT)
    before = np.load(levels)
    np.save(group, np.load(group) // 2)
    later_ns = levels.stat().st_mtime_ns + 1_000_000_000
    os.utime(group, ns=(later_ns, later_ns))
    BandCorpus(Corpus(folder), LAYOUT)
    loud = before > -60.0
    difference = before[loud].astype(np.float32) - np.load(levels)[loud].astype(np.float32)
    assert np.median(difference) == pytest.approx(6.02, abs=0.1)


def test_a_corpus_of_two_folders_has_the_groups_of_both(folder: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    assert len(Corpus(folder, other).groups()) == 4
    BandCorpus(Corpus(folder, other), LAYOUT)
    assert (other / "bands_024" / "group_00001.npy").exists()
