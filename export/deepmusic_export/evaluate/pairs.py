"""Held-out transfers whose right answer is known: the content's score, rendered on the style's instrument."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deepmusic_export.data import QUIET_DBFS, Corpus, level_dbfs


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
    """Draws transfers from a held-out corpus: whole clips, two instruments, two scores, none of them silent."""
    rng = np.random.default_rng(seed)
    pairs: list[Pair] = []
    groups = [group for group in corpus.groups() if len(corpus.instruments(group)) > 1]
    if not groups:
        raise ValueError(f"expected a group with two instruments in {source}, found none")
    while len(pairs) < n_pairs:
        group = groups[len(pairs) % len(groups)]
        n_scores = corpus.shape(group)[1]
        p, q = rng.choice(corpus.instruments(group), size=2, replace=False)
        a, b = rng.choice(n_scores, size=2, replace=False)
        (content, rate), (style, _), (oracle, _) = (corpus.clip(group, *clip) for clip in ((p, a), (q, b), (q, a)))
        if min(level_dbfs(x) for x in (content, style, oracle)) > QUIET_DBFS:
            name = f"{group.stem} {p}/{a} as {q}/{b}"
            pairs.append(
                Pair(source=source, name=name, content=content, style=style, oracle=oracle, sample_rate_hz=rate)
            )
    return pairs
