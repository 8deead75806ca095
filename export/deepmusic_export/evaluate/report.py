"""All scores of a bundle and its baselines on pairs whose oracle is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest

import numpy as np
from tqdm import tqdm

from deepmusic_export.evaluate.methods import Method, Player, methods
from deepmusic_export.evaluate.pairs import Pair
from deepmusic_export.evaluate.parts import PART_NAMES, without_parts
from deepmusic_export.evaluate.random_filters import N_ITERATIONS, random_filters
from deepmusic_export.evaluate.scores import PairScores, Transfer, pair_scores
from deepmusic_export.metrics import Recording
from deepmusic_export.training.timbre import TimbreMeasure

#: A loudness target holds where the ceiling takes less than this, dB.
CEILING_TAKES_LITTLE_DB = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class PairReport:
    """All scores of some pairs, by method and pair."""

    pairs: tuple[Pair, ...]
    scores: dict[str, tuple[PairScores, ...]]
    """Method -> one entry a pair; the bundle's own row is called `deepmusic`."""

    def only(self, rows: Sequence[int]) -> PairReport:
        """The report of some of the pairs."""
        return PairReport(
            pairs=tuple(self.pairs[row] for row in rows),
            scores={method: tuple(scores[row] for row in rows) for method, scores in self.scores.items()},
        )

    def of_source(self, source: str) -> PairReport:
        """The report of one source's pairs."""
        return self.only([row for row, pair in enumerate(self.pairs) if pair.source == source])

    def sources(self) -> list[str]:
        """Names of the sources, sorted."""
        return sorted({pair.source for pair in self.pairs})

    def values(self, method: str, measure: str) -> np.ndarray:
        """A measure of all pairs, float64 (pairs,)."""
        return np.array([getattr(scores, measure) for scores in self.scores[method]], np.float64)

    def mean(self, method: str, measure: str) -> float:
        """Mean of a measure over the pairs."""
        return float(np.mean(self.values(method, measure)))

    def ratios(self, method: str, measure: str) -> np.ndarray:
        """Each pair's ratio to doing nothing, float64 (pairs,); NaN where doing nothing has 0."""
        nothing = self.values("nothing", measure)
        return self.values(method, measure) / np.where(nothing > 0, nothing, np.nan)

    def median_ratio(self, method: str, measure: str) -> float:
        """Median over the pairs of the measure's ratio to doing nothing."""
        return float(np.nanmedian(self.ratios(method, measure)))

    def timbre_ratio(self, method: str) -> float:
        """Mean distance of output and style over mean distance of content and style (Cifka et al. 2021)."""
        return self.mean(method, "timbre") / self.mean("nothing", "timbre")


def evaluate_pairs(
    player: Player, pairs: Sequence[Pair], measure: TimbreMeasure | None = None, *, has_parts: bool = False
) -> PairReport:
    """Runs a bundle and every baseline on the pairs.

    Args:
        player: The bundle.
        pairs: What `draw_pairs` gave.
        measure: The timbre measure; None leaves timbre out.
        has_parts: Whether the bundle also plays with each of its parts taken out.
    """
    rows = methods(player) | (without_parts(player, pairs) if has_parts else {})
    return _evaluate(player, rows, pairs, measure)


def with_random_filters(
    player: Player,
    report: PairReport,
    n_pairs: int,
    measure: TimbreMeasure | None = None,
    n_iterations: int = N_ITERATIONS,
) -> PairReport:
    """The report of some pairs, as many of each source, with the row of Ulyanov & Lebedev beside the others.

    Args:
        player: The bundle.
        report: All pairs.
        n_pairs: How many; the row costs minutes a pair.
        measure: As in `evaluate_pairs`.
        n_iterations: Of the row's optimisation.
    """
    by_source = [[row for row, pair in enumerate(report.pairs) if pair.source == name] for name in report.sources()]
    in_turn = [row for turn in zip_longest(*by_source) for row in turn if row is not None]
    some = report.only(sorted(in_turn[:n_pairs]))
    method = partial(random_filters, n_iterations=n_iterations)
    slow = _evaluate(player, {"random filters": method}, some.pairs, measure).scores
    oracle = {"oracle": some.scores["oracle"]}
    others = {method: scores for method, scores in some.scores.items() if method != "oracle"}
    return PairReport(pairs=some.pairs, scores={**others, "random filters": slow["random filters"], **oracle})


def _evaluate(
    player: Player, rows: dict[str, Method], pairs: Sequence[Pair], measure: TimbreMeasure | None
) -> PairReport:
    scores: dict[str, list[PairScores]] = {name: [] for name in (*rows, "oracle")}
    for pair in tqdm(pairs, unit="pair", disable=None):
        rate = pair.sample_rate_hz
        content, style, oracle = (Recording(audio, rate) for audio in (pair.content, pair.style, pair.oracle))
        transfer = Transfer(content=content, style=style, oracle=oracle, measure=measure)
        for name, method in rows.items():
            output = method(pair.content, pair.style, rate)
            # Only the session has a ceiling; what it takes from a bundle without a part is not looked for.
            taken_db = np.nan if name in PART_NAMES else 0.0
            if method is player:
                taken_db = player.ceiling_db(output, pair.content, pair.style, rate)
            scores[name].append(pair_scores(Recording(output, rate), transfer, taken_db))
        scores["oracle"].append(pair_scores(oracle, transfer, 0.0))
    return PairReport(pairs=tuple(pairs), scores={name: tuple(entries) for name, entries in scores.items()})


def summary_metrics(report: PairReport) -> dict[str, float]:
    """The figures that a manifest carries."""
    names = ("lsd_db", "lsd50_db", "chroma", "onset_f1", "onset_f1_to_oracle", "seam")
    figures = {name: round(report.mean("deepmusic", name), 3) for name in names}
    figures |= {f"nothing_{name}": round(report.mean("nothing", name), 3) for name in ("lsd_db", "lsd50_db")}
    figures |= {f"ratio_{name}": round(report.median_ratio("deepmusic", name), 3) for name in ("lsd_db", "lsd50_db")}
    timbre_ratio = report.timbre_ratio("deepmusic")
    figures |= {} if np.isnan(timbre_ratio) else {"timbre_ratio": round(timbre_ratio, 3)}
    return figures | {"pairs": float(len(report.pairs))}
