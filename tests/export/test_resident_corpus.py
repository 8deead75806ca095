"""A corpus on a device gives the examples that the one on disk gives."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from deepmusic_export import resident_corpus
from deepmusic_export.data import Corpus
from deepmusic_export.resident_corpus import ResidentCorpus, corpus_for

N_SAMPLES = 32768


@pytest.mark.parametrize("is_varied", [False, True])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_batch_is_the_one_on_disk(synth_corpus: Path, seed: int, is_varied: bool) -> None:
    resident = ResidentCorpus(synth_corpus, device="cpu")
    ours, theirs = (
        corpus.batch(np.random.default_rng(seed), 8, N_SAMPLES, is_varied=is_varied)
        for corpus in (resident, Corpus(synth_corpus))
    )
    assert ours.sample_rate_hz == theirs.sample_rate_hz
    for name in ("content", "style", "oracle"):
        torch.testing.assert_close(getattr(ours, name), getattr(theirs, name), atol=1e-5, rtol=0)


def test_quiet_examples_are_left_out_while_there_are_others(
    synth_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resident_corpus, "SPARE", 16.0)
    folder = tmp_path / "corpus"
    shutil.copytree(synth_corpus, folder)
    for path in folder.glob("group_*.npy"):
        audio = np.load(path)
        audio[0, 0] //= 4096  # a clip that is next to silent
        np.save(path, audio)
    resident, on_disk = ResidentCorpus(folder, device="cpu"), Corpus(folder)
    for seed in range(4):
        ours, theirs = (c.batch(np.random.default_rng(seed), 8, N_SAMPLES) for c in (resident, on_disk))
        torch.testing.assert_close(ours.content, theirs.content, atol=1e-5, rtol=0)


def test_groups_that_appear_are_taken_to_the_device(synth_corpus: Path, tmp_path: Path) -> None:
    first, *others = sorted(synth_corpus.glob("group_*.npy"))
    for path in (first, first.with_suffix(".json")):
        shutil.copy(path, tmp_path)
    corpus = ResidentCorpus(tmp_path, device="cpu")
    hours = corpus.hours
    for path in others:
        shutil.copy(path, tmp_path)
        shutil.copy(path.with_suffix(".json"), tmp_path)
    corpus.refresh()
    assert corpus.hours > hours
    for seed in range(8):
        ours, theirs = (c.batch(np.random.default_rng(seed), 2, N_SAMPLES) for c in (corpus, Corpus(tmp_path)))
        torch.testing.assert_close(ours.oracle, theirs.oracle, atol=1e-5, rtol=0)


def test_the_processor_reads_files_and_another_device_holds_the_clips(synth_corpus: Path) -> None:
    assert not isinstance(corpus_for("cpu", synth_corpus), ResidentCorpus)
    held = corpus_for("meta", synth_corpus)
    assert isinstance(held, ResidentCorpus)
    assert held.n_bytes == Corpus(synth_corpus).n_bytes > 0
