"""The report as a page: Markdown, with its pictures in a folder beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from deepmusic_export.evaluate import tables
from deepmusic_export.evaluate.evaluation import Evaluation
from deepmusic_export.evaluate.methods import Player
from deepmusic_export.evaluate.pictures import draw_scatter, draw_spectrograms
from deepmusic_export.evaluate.report import PairReport
from deepmusic_export.whole_file import whole_file

#: Pairs that are drawn beside the best, the median and the worst one.
N_OTHER_PAIRS = 3


def write_page(path: Path, evaluation: Evaluation, player: Player) -> None:
    """Writes the page and its pictures.

    Args:
        path: Markdown file; the pictures go into a folder of its name without the ending, and `-pictures`.
        evaluation: What is told.
        player: The bundle that was evaluated: it plays the pairs that are drawn.
    """
    folder = path.parent / f"{path.stem}-pictures"
    folder.mkdir(parents=True, exist_ok=True)
    report = evaluation.pairs
    lines = [
        f"# {evaluation.bundle}: evaluation",
        "",
        (
            f"Bundle `{evaluation.bundle}`, digest `{evaluation.digest[:16]}`, {evaluation.precision} file, "
            f"pairs: {len(report.pairs)}, seed: {evaluation.seed}. Distances are to the oracle, lower is better; a "
            "ratio below 1 is nearer to the style, or to the oracle, than doing nothing."
        ),
        "",
        "## All pairs",
        "",
        *tables.summary(evaluation),
        "",
    ]
    for measure, label, name in (("lsd_db", "LSD, dB", "lsd.png"), ("lsd50_db", "LSD with 50 dB floor", "lsd50.png")):
        draw_scatter(folder / name, report, measure, label)
        lines.append(f"![{label} of nothing against deepmusic]({folder.name}/{name})")
    for source in report.sources():
        lines += ["", f"## {source}", "", *tables.measures(report.of_source(source))]
    if evaluation.swaps is not None:
        for kind in dict.fromkeys(evaluation.swaps.kinds):
            lines += ["", f"## Without an oracle: {kind}", "", *tables.unpaired(evaluation.swaps, kind)]
    lines += ["", "## Spectrograms", ""]
    for title, row in _drawn_pairs(report, evaluation.seed):
        lines += [_picture(folder, title, row, report, player), ""]
    lines += ["## Every pair", "", *tables.every_pair(report), ""]
    with whole_file(path) as partial:
        partial.write_text("\n".join(lines))


def _drawn_pairs(report: PairReport, seed: int) -> list[tuple[str, int]]:
    """The best, the median and the worst pair by ratio, and a few others drawn by the seed."""
    ratios = np.nan_to_num(report.ratios("deepmusic", "lsd_db"), nan=1.0)
    order = np.argsort(ratios, kind="stable")
    titles = {int(order[0]): "best", int(order[len(order) // 2]): "median", int(order[-1]): "worst"}
    others = [row for row in range(len(ratios)) if row not in titles]
    chosen = np.random.default_rng(seed).permutation(others)[:N_OTHER_PAIRS]
    titles |= {int(row): "another" for row in sorted(chosen)}
    return [(f"{title}, ratio {ratios[row]:.2f}", row) for row, title in titles.items()]


def _picture(folder: Path, title: str, row: int, report: PairReport, player: Player) -> str:
    pair = report.pairs[row]
    output = player(pair.content, pair.style, pair.sample_rate_hz)
    lsd_db = {method: report.values(method, "lsd_db")[row] for method in ("nothing", "deepmusic")}
    panels = [
        (f"content, {lsd_db['nothing']:.1f} dB away", pair.content),
        ("style", pair.style),
        (f"output, {lsd_db['deepmusic']:.1f} dB away", output),
        ("oracle", pair.oracle),
    ]
    name = f"pair-{row:03d}.png"
    draw_spectrograms(folder / name, panels, pair.sample_rate_hz, f"pair {row}, {pair.source}, {pair.name}: {title}")
    return f"![pair {row}: {title}]({folder.name}/{name})"
