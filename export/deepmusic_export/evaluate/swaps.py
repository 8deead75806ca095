"""Five styles on one content: is each heard for what it is? No oracle is needed, so the content can be anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from deepmusic.dsp.resample import resample
from deepmusic_export.data import Corpus
from deepmusic_export.evaluate.material import Material
from deepmusic_export.evaluate.methods import Player, methods
from deepmusic_export.evaluate.scores import SwapScores, SwapTransfer, swap_scores
from deepmusic_export.metrics import Recording
from deepmusic_export.training.timbre import TimbreMeasure

#: Styles on one content: chance names one in five.
N_STYLES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """One content and the styles that are tried on it; all float32 (samples,) at one rate."""

    kind: str
    """What the content is: the name of a held-out corpus, or of unpaired material."""
    content: np.ndarray
    styles: tuple[np.ndarray, ...]
    """N_STYLES recordings of different instruments."""
    other_scores: tuple[np.ndarray, ...]
    """Another score on each style's instrument, which names it: no method hears it."""
    sample_rate_hz: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapReport:
    """The scores of all swaps."""

    kinds: tuple[str, ...]
    """The kind of each swap."""
    scores: dict[str, tuple[tuple[SwapScores, ...], ...]]
    """Method -> swap -> style; `same instrument` scores the style's instrument with another score."""

    def values(self, method: str, measure: str, kind: str | None = None) -> np.ndarray:
        """A measure of every style of every swap, of one kind or of all, float64 (n,)."""
        rows = zip(self.kinds, self.scores[method], strict=True)
        return np.array([getattr(s, measure) for k, swap in rows if kind in (None, k) for s in swap], np.float64)

    def mean(self, method: str, measure: str, kind: str | None = None) -> float:
        """Mean of a measure."""
        return float(np.mean(self.values(method, measure, kind)))

    def timbre_ratio(self, method: str, kind: str | None = None) -> float:
        """Mean distance of output and style over mean distance of content and style."""
        return self.mean(method, "timbre", kind) / self.mean("nothing", "timbre", kind)


@dataclass(frozen=True, slots=True)
class _Instrument:
    """A held-out instrument and the scores on which it sounds."""

    corpus: Corpus
    group: Path
    patch: int
    scores: tuple[int, ...]

    def clip(self, score: int, rate_hz: int) -> np.ndarray:
        audio, own_rate_hz = self.corpus.clip(self.group, self.patch, score)
        return resample(audio[None], own_rate_hz, rate_hz)[0]


class SwapDrawer:
    """Draws swaps whose styles come from held-out corpora.

    Args:
        corpora: Name -> corpus.
        seed: Seed of all draws.

    Raises:
        ValueError: A corpus has too few different instruments.
    """

    def __init__(self, corpora: dict[str, Corpus], seed: int) -> None:
        self._instruments = {name: _instruments(corpus) for name, corpus in corpora.items()}
        self._rng = np.random.default_rng((seed, N_STYLES))
        for name, instruments in self._instruments.items():
            if len(instruments) <= N_STYLES:
                raise ValueError(
                    f"expected more than {N_STYLES} different instruments that play two scores in {name}, "
                    f"got {len(instruments)}; render more groups"
                )

    def of_held_out(self, n_contents: int) -> list[Swap]:
        """Contents from each corpus, with other instruments of the same corpus as styles."""
        swaps: list[Swap] = []
        for name, instruments in self._instruments.items():
            for _ in range(n_contents):
                chosen = self._rng.choice(len(instruments), size=N_STYLES + 1, replace=False)
                player, *styles = (instruments[index] for index in chosen)
                score = int(self._rng.choice(player.scores))
                content, rate_hz = player.corpus.clip(player.group, player.patch, score)
                swaps.append(self._swap(name, content, rate_hz, styles))
        return swaps

    def of_material(self, material: Sequence[Material]) -> list[Swap]:
        """Contents from elsewhere, each with the instruments of one corpus, in turn, as styles."""
        names = list(self._instruments)
        swaps: list[Swap] = []
        for number, one in enumerate(material):
            instruments = self._instruments[names[number % len(names)]]
            chosen = self._rng.choice(len(instruments), size=N_STYLES, replace=False)
            swaps.append(self._swap(one.kind, one.audio, one.sample_rate_hz, [instruments[i] for i in chosen]))
        return swaps

    def _swap(self, kind: str, content: np.ndarray, rate_hz: int, instruments: list[_Instrument]) -> Swap:
        picks = [self._rng.choice(instrument.scores, size=2, replace=False) for instrument in instruments]
        clips = [
            [one.clip(int(score), rate_hz) for score in pick] for one, pick in zip(instruments, picks, strict=True)
        ]
        styles, other_scores = zip(*clips, strict=True)
        return Swap(
            kind=kind, content=content, styles=tuple(styles), other_scores=tuple(other_scores), sample_rate_hz=rate_hz
        )


def evaluate_swaps(player: Player, swaps: Sequence[Swap], measure: TimbreMeasure) -> SwapReport:
    """Runs a bundle and every baseline on each style of each swap.

    Args:
        player: The bundle.
        swaps: What a `SwapDrawer` gave.
        measure: Names the style of an output.
    """
    rows = methods(player)
    scores: dict[str, list[tuple[SwapScores, ...]]] = {name: [] for name in (*rows, "same instrument")}
    for swap in tqdm(swaps, unit="swap", disable=None):
        rate = swap.sample_rate_hz
        styles, others = (tuple(Recording(clip, rate) for clip in clips) for clips in (swap.styles, swap.other_scores))
        transfer = SwapTransfer(content=Recording(swap.content, rate), styles=styles, measure=measure)
        for name, method in rows.items():
            outputs = (Recording(method(swap.content, style, rate), rate) for style in swap.styles)
            scores[name].append(
                tuple(swap_scores(output, transfer, right, others) for right, output in enumerate(outputs))
            )
        scores["same instrument"].append(
            tuple(swap_scores(other, transfer, right, styles) for right, other in enumerate(others))
        )
    return SwapReport(
        kinds=tuple(swap.kind for swap in swaps), scores={name: tuple(entries) for name, entries in scores.items()}
    )


def _instruments(corpus: Corpus) -> list[_Instrument]:
    """Every sound of a corpus once, with the scores on which it is audible, at least two."""
    found: dict[str, _Instrument] = {}
    for group in corpus.groups():
        heard: dict[int, list[int]] = {}
        for patch, score, _, _ in corpus.audible_clips(group):
            heard.setdefault(patch, []).append(score)
        for patch, scores in heard.items():
            if len(scores) > 1:
                found.setdefault(corpus.sounds(group)[patch], _Instrument(corpus, group, patch, tuple(scores)))
    return list(found.values())
