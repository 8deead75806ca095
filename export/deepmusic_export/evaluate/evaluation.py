"""One evaluation: what to measure, and everything that was found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import isnan
from typing import Any

from deepmusic_export.data import Corpus
from deepmusic_export.evaluate.material import unpaired_material
from deepmusic_export.evaluate.methods import Player
from deepmusic_export.evaluate.pairs import draw_pairs
from deepmusic_export.evaluate.report import PairReport, evaluate_pairs, summary_metrics, with_random_filters
from deepmusic_export.evaluate.swaps import Swap, SwapDrawer, SwapReport, evaluate_swaps
from deepmusic_export.training.timbre import TimbreMeasure
from deepmusic_export.training.timbre_report import TripletAccuracy, triplet_accuracy


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationPlan:
    """What to measure."""

    n_pairs: int = 50
    """Pairs of each corpus."""
    n_swaps: int = 6
    """Contents of each kind on which styles are tried; only with a timbre measure, which names them."""
    material_s: float = 6.0
    """Length of contents that come from no corpus, seconds."""
    n_slow_pairs: int = 0
    """Pairs on which random filters are tried, minutes each."""
    has_parts: bool = False
    """Whether the pairs are also played with each part of the network taken out."""
    seed: int = 3
    """Seed of all draws."""

    def __post_init__(self) -> None:
        if self.n_pairs < 1:
            raise ValueError(f"expected at least one pair of each corpus to measure on, got {self.n_pairs}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The findings of one run."""

    bundle: str
    digest: str
    precision: str
    seed: int
    """Seed of all draws."""
    pairs: PairReport
    slow: PairReport | None = None
    """Some of the pairs with the row of random filters; None where it was not asked for."""
    swaps: SwapReport | None = None
    """None without a timbre measure."""
    accuracy: TripletAccuracy | None = None
    """Of the timbre measure, on the held-out corpora; None without one."""
    left_out: tuple[str, ...] = ()
    """Sentences that say what could not be measured."""

    def summary(self) -> dict[str, float]:
        """The figures that a manifest carries."""
        figures = summary_metrics(self.pairs)
        if self.swaps is not None:
            figures["style_swap"] = round(self.swaps.mean("deepmusic", "is_named"), 3)
        return figures

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready: every pair's and every swap's scores."""
        data: dict[str, Any] = {
            "bundle": self.bundle,
            "digest": self.digest,
            "precision": self.precision,
            "seed": self.seed,
            "summary": self.summary(),
            "pairs": [{"source": pair.source, "name": pair.name} for pair in self.pairs.pairs],
            "scores": _rows(self.pairs),
        }
        if self.slow is not None:
            data["slow"] = {"pairs": [pair.name for pair in self.slow.pairs], "scores": _rows(self.slow)}
        if self.swaps is not None:
            data["swaps"] = {
                "kinds": list(self.swaps.kinds),
                "scores": {
                    method: [[asdict(style) for style in swap] for swap in swaps]
                    for method, swaps in self.swaps.scores.items()
                },
            }
        if self.accuracy is not None:
            data["timbre"] = asdict(self.accuracy)
        return data


def evaluate(
    plan: EvaluationPlan, player: Player, corpora: dict[str, Corpus], measure: TimbreMeasure | None
) -> Evaluation:
    """Measures a bundle beside all baselines.

    Args:
        plan: What to measure.
        player: The bundle.
        corpora: Name -> held-out corpus.
        measure: The timbre measure; None leaves timbre and style-swap out.

    Raises:
        ValueError: A corpus has too few instruments, or the measure was trained on one.
    """
    # All draws come first: a corpus that cannot serve is refused before hours of measuring.
    drawn = [pair for name, corpus in corpora.items() for pair in draw_pairs(corpus, name, plan.n_pairs, plan.seed)]
    swaps: list[Swap] = []
    left_out = ["Timbre and style-swap are not measured; --timbre adds them."]
    accuracy = None
    if measure is not None:
        accuracy = triplet_accuracy(measure, list(corpora.values()), seed=plan.seed)
        swaps, left_out = _draw_swaps(plan, corpora)
    pairs = evaluate_pairs(player, drawn, measure, has_parts=plan.has_parts)
    return Evaluation(
        bundle=player.name,
        digest=player.digest,
        precision=player.precision,
        seed=plan.seed,
        pairs=pairs,
        slow=with_random_filters(player, pairs, plan.n_slow_pairs, measure) if plan.n_slow_pairs > 0 else None,
        swaps=evaluate_swaps(player, swaps, measure) if measure is not None and swaps else None,
        accuracy=accuracy,
        left_out=tuple(left_out),
    )


def _draw_swaps(plan: EvaluationPlan, corpora: dict[str, Corpus]) -> tuple[list[Swap], list[str]]:
    """The swaps of a plan, and a sentence for each kind of content that had to be left out."""
    if plan.n_swaps < 1:
        return [], []
    drawer = SwapDrawer(corpora, plan.seed)
    material, left_out = unpaired_material(plan.n_swaps, plan.material_s, plan.seed)
    return [*drawer.of_held_out(plan.n_swaps), *drawer.of_material(material)], left_out


def _rows(report: PairReport) -> dict[str, list[dict[str, float | None]]]:
    """JSON has no NaN: a measure that was not taken is null."""
    return {
        method: [{name: None if isnan(value) else value for name, value in asdict(scores).items()} for scores in rows]
        for method, rows in report.scores.items()
    }
