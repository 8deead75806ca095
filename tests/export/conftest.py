"""Tiny corpora, rendered once, and torch kept to one thread: the tests share their cores with others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from deepmusic_export.render.corpus import CorpusPlan, render_corpus

SOUNDFONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
"""Debian's fluid-soundfont-gm; scripts/test installs it."""

CLIP_S = 1.2
"""Long enough for four notes and for a crop of 32768 samples."""


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def soundfont() -> Path:
    assert SOUNDFONT.exists(), f"expected {SOUNDFONT}; install fluid-soundfont-gm"
    return SOUNDFONT


@pytest.fixture(scope="session")
def synth_plan() -> CorpusPlan:
    return CorpusPlan(
        soundfont=Path("none.sf2"),
        n_groups=2,
        seed=4,
        n_patches=2,
        n_scores=2,
        clip_s=CLIP_S,
        synth_share=1.0,
        drum_share=0.0,
    )


@pytest.fixture(scope="session")
def synth_corpus(tmp_path_factory: pytest.TempPathFactory, synth_plan: CorpusPlan) -> Path:
    """Two groups of our own synthesis."""
    folder = tmp_path_factory.mktemp("synth")
    render_corpus(synth_plan, folder, n_processes=1)
    return folder


@pytest.fixture(scope="session")
def soundfont_corpus(tmp_path_factory: pytest.TempPathFactory, soundfont: Path) -> Path:
    """Two groups through FluidSynth, at 48 and at 44.1 kHz: three patches without effects, two scores."""
    folder = tmp_path_factory.mktemp("soundfont")
    plan = CorpusPlan(
        soundfont=soundfont,
        n_groups=2,
        seed=1,
        n_patches=3,
        n_scores=2,
        clip_s=CLIP_S,
        synth_share=0.0,
        drum_share=0.0,
        effects=False,
    )
    render_corpus(plan, folder, n_processes=1)
    return folder


@pytest.fixture(scope="session")
def timbre_corpus(tmp_path_factory: pytest.TempPathFactory, synth_plan: CorpusPlan) -> Path:
    """Three groups of our own synthesis to train the timbre measure on: six dry instruments, three scores."""
    folder = tmp_path_factory.mktemp("timbre")
    render_corpus(
        replace(synth_plan, n_groups=3, n_patches=6, n_scores=3, seed=11, effects=False), folder, n_processes=1
    )
    return folder


@pytest.fixture(scope="session")
def held_out_corpus(tmp_path_factory: pytest.TempPathFactory, synth_plan: CorpusPlan) -> Path:
    """Two groups like those of `timbre_corpus`, of other instruments and scores."""
    folder = tmp_path_factory.mktemp("held")
    render_corpus(replace(synth_plan, n_groups=2, n_patches=6, n_scores=3, seed=12), folder, n_processes=1)
    return folder
