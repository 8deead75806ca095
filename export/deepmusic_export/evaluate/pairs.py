"""Held-out transfers whose right answer is known: the content's score, rendered on the style's instrument."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepmusic_export.data import QUIET_DBFS, Corpus, level_dbfs

#: Draws from one group that found nothing to hear, after which it is given up.
MOST_DRAWS_IN_VAIN = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One held-out transfer: a score on one patch, another score on another patch, and what the first should become."""

    source: str
    """Name of the corpus that it came from."""
    name: str
    """Group, and patch/score of content and style in it."""
    content: np.ndarray
    style: np.ndarray
    oracle: np.ndarray
    """All float32 (samples,)."""
    sample_rate_hz: int


def draw_pairs(corpus: Corpus, source: str, n_pairs: int, seed: int) -> list[Pair]:
    """Draws transfers from a held-out corpus: whole clips, two scores, two different instruments, none silent.

    Raises:
        ValueError: There are no such clips.
    """
    rng = np.random.default_rng(seed)
    pairs: list[Pair] = []
    groups = [group for group in corpus.groups() if _n_sounds(corpus, group) > 1]
    if not groups:
        raise ValueError(f"expected a group with two different instruments in {source}, found none")
    n_in_vain = 0
    while len(pairs) < n_pairs:
        if n_in_vain > MOST_DRAWS_IN_VAIN:
            raise ValueError(f"expected two different instruments that sound in every group of {source}, found none")
        n_in_vain += 1
        group = groups[len(pairs) % len(groups)]
        n_scores = corpus.shape(group)[1]
        p, q = rng.choice(corpus.instruments(group), size=2, replace=False)
        a, b = rng.choice(n_scores, size=2, replace=False)
        if corpus.sounds(group)[p] == corpus.sounds(group)[q]:
            continue
        (content, rate), (style, _), (oracle, _) = (corpus.clip(group, *clip) for clip in ((p, a), (q, b), (q, a)))
        if min(level_dbfs(x) for x in (content, style, oracle)) > QUIET_DBFS:
            n_in_vain = 0
            name = f"{group.stem} {p}/{a} as {q}/{b}"
            pairs.append(
                Pair(source=source, name=name, content=content, style=style, oracle=oracle, sample_rate_hz=rate)
            )
    return pairs


def _n_sounds(corpus: Corpus, group: Path) -> int:
    return len({corpus.sounds(group)[patch] for patch in corpus.instruments(group)})
