"""What the networks hear of a corpus, worked out once and kept beside it: training in bands needs no transform.

A file holds the levels of every clip of a group in dB: float16 (patches, scores, frames, 4, bands), of the content and
of the other three excitations made from it. An instrument that is content in one example is style or oracle in another,
so the first of the four serves all three.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from deepmusic.dsp.gains import BandLayout
from deepmusic_export.data import LEVEL_SPREAD_DB, QUIET_DBFS, Corpus, check_length, draw_patches
from deepmusic_export.features import signal_path
from deepmusic_export.hybrids import random_eq, random_hybrid
from deepmusic_export.whole_file import whole_file

#: Levels below this are silence, dB.
SILENCE_DB = -140.0
#: Share of examples whose style is two patches at once: any two instruments of a group make a third.
LAYER_SHARE = 0.15
#: The quieter one of two layers is this far below the other at most, dB.
LAYER_DEPTH_DB = 15.0
#: Share of examples whose style, and whose content, is between two instruments.
STYLE_HYBRID_SHARE, CONTENT_HYBRID_SHARE = 0.5, 0.25
#: Share of examples whose style, and whose content, goes through an equaliser.
STYLE_EQ_SHARE, CONTENT_EQ_SHARE = 0.5, 0.3
#: Share of examples whose style has stationary noise under it, and its level below the style's mean, dB.
NOISE_SHARE, NOISE_RANGE_DB = 0.15, (20.0, 60.0)


@dataclass(frozen=True, slots=True)
class BandBatch:
    """Band levels in dB, float32: content and oracle are the same score at the same time."""

    content: Tensor
    """(batch, frames, 4, bands): content, odd, even, noise."""
    style: Tensor
    """(batch, frames, bands)."""
    oracle: Tensor
    """(batch, frames, bands)."""


class BandCorpus:
    """Band levels of the groups of a corpus; missing ones are worked out and written first.

    Args:
        corpus: Its audio.
        layout: The bands.
    """

    def __init__(self, corpus: Corpus, layout: BandLayout) -> None:
        self._corpus, self._layout = corpus, layout
        self._levels: dict[Path, np.ndarray] = {}
        self.refresh()

    def refresh(self) -> None:
        """Takes in groups that the corpus has found since; levels older than their audio are worked out anew."""
        for group in tqdm([g for g in self._corpus.groups() if g not in self._levels], unit="group", disable=None):
            path = group.parent / f"bands_{self._layout.n_bands:03d}" / group.name
            if not path.exists() or path.stat().st_mtime_ns < group.stat().st_mtime_ns:
                with whole_file(path) as partial, partial.open("wb") as file:
                    np.save(file, self._measure(group))
            self._levels[group] = np.load(path, mmap_mode="r")

    def batch(self, rng: np.random.Generator, size: int, n_frames: int, is_varied: bool = True) -> BandBatch:
        """Draws examples.

        Args:
            rng: Source of randomness.
            size: Number of examples.
            n_frames: Frames of each part, at most a clip's.
            is_varied: Whether instruments may be mixed, layered and equalised.
        """
        groups = list(self._levels)
        rows: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        while len(rows) < size:
            example = self._example(rng, self._corpus.draw(rng, groups), n_frames, is_varied)
            if example is not None:
                rows.append(example)
        content, style, oracle = (torch.from_numpy(np.stack(column)) for column in zip(*rows, strict=True))
        return BandBatch(content, style, oracle)

    def _measure(self, group: Path) -> np.ndarray:
        n_patches, n_scores = self._corpus.shape(group)
        generator = torch.Generator().manual_seed(0)
        rows = []
        for patch in range(n_patches):
            clips = [self._corpus.clip(group, patch, score) for score in range(n_scores)]
            path = signal_path(clips[0][1], self._layout)
            audio = torch.from_numpy(np.stack([clip for clip, _ in clips]))
            audio = audio[:, : audio.shape[1] // path.geometry.hop * path.geometry.hop]
            with torch.no_grad():
                bands = path.band_magnitudes(path.excite(audio, generator).spectra)
            levels = 20.0 * torch.log10(bands.transpose(1, 2))
            rows.append(levels.clamp(min=SILENCE_DB).to(torch.float16).numpy())
        return np.stack(rows)

    def _example(
        self, rng: np.random.Generator, group: Path, n_frames: int, is_varied: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        levels, styles = self._levels[group], self._corpus.styles(group)
        n_patches, n_scores, length = levels.shape[:3]
        pair = draw_patches(rng, n_patches, styles)
        if pair is None:
            return None
        p, q = pair
        r = rng.choice(styles)
        a, b = rng.choice(n_scores, size=2, replace=False)
        check_length(length, n_frames, "frames")
        start, style_start = rng.integers(0, length - n_frames + 1, size=2)
        content = levels[p, a, start : start + n_frames].astype(np.float32)
        parts = [(b, style_start), (a, start)]

        def played(patch: int) -> list[np.ndarray]:
            """What the style hears and what the oracle is, on a patch."""
            return [levels[patch, score, at : at + n_frames, 0].astype(np.float32) for score, at in parts]

        heard = played(q)
        if min(map(_mean_dbfs, [content[:, 0], *heard])) < QUIET_DBFS:
            return None
        if p != q and is_varied:
            hybrid = random_hybrid(rng, styles[styles != q], STYLE_HYBRID_SHARE, STYLE_EQ_SHARE)
            if hybrid is not None:
                others = [None, None] if hybrid.other is None else played(hybrid.other)
                heard = [hybrid.of_levels(one, two) for one, two in zip(heard, others, strict=True)]
            if rng.random() < LAYER_SHARE:
                below_db = np.float32(rng.uniform(0.0, LAYER_DEPTH_DB))
                heard = [_sum_db(one, two - below_db) for one, two in zip(heard, played(r), strict=True)]
            if rng.random() < NOISE_SHARE:
                floor = random_eq(rng, self._layout.n_bands) - np.float32(rng.uniform(*NOISE_RANGE_DB))
                floor += np.float32(_mean_dbfs(heard[1]) - 10 * np.log10(self._layout.n_bands))
                heard = [_sum_db(one, floor + _noise_db(rng, one.shape)) for one in heard]
            others = styles[(styles != p) & (styles != q)]
            hybrid = random_hybrid(rng, others, CONTENT_HYBRID_SHARE, CONTENT_EQ_SHARE)
            if hybrid is not None:
                two = None if hybrid.other is None else levels[hybrid.other, a, start : start + n_frames, 0]
                before = content[:, 0].copy()
                content[:, :3] += (hybrid.of_levels(before, two) - before)[:, None]
        style, oracle = heard
        targets = -20.0 + rng.uniform(-LEVEL_SPREAD_DB, LEVEL_SPREAD_DB, size=2)
        content += np.float32(targets[0] - _mean_dbfs(content[:, 0]))
        style += np.float32(targets[1] - _mean_dbfs(style))
        return content, style, oracle


def _mean_dbfs(levels: np.ndarray) -> float:
    """Level in dB of the mean power of frames (frames, bands), summed over bands."""
    return float(10 * np.log10(np.mean(np.sum(10 ** (levels / 10), axis=1)) + 1e-12))


def _sum_db(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    return 10 * np.log10(10 ** (one / 10) + 10 ** (two / 10))


def _noise_db(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Levels of stationary noise about their mean: a band of one frame has the power of about two real Gaussians."""
    return (10 * np.log10(rng.exponential(size=shape) + 1e-3)).astype(np.float32)
