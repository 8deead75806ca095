"""The tables of an evaluation, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from deepmusic_export.evaluate.evaluation import Evaluation
from deepmusic_export.evaluate.report import CEILING_TAKES_LITTLE_DB, PairReport
from deepmusic_export.evaluate.swaps import N_STYLES, SwapReport

#: How far a stream's loudness may be from the content's, LU.
LOUDNESS_TARGET_LU = 1.0


def summary(evaluation: Evaluation) -> list[str]:
    """What `evaluate` prints: the mean over all pairs, each source in a line, swaps, loudness."""
    pairs = evaluation.pairs
    lines = [*measures(pairs), "", *sources(pairs)]
    if evaluation.slow is not None:
        lines += ["", f"On {len(evaluation.slow.pairs)} of the pairs:", "", *measures(evaluation.slow)]
    if evaluation.swaps is not None:
        lines += ["", *swaps(evaluation.swaps)]
    return [*lines, "", *remarks(evaluation)]


def measures(report: PairReport) -> list[str]:
    """One line a method, in the mean over the report's pairs."""
    heads = ["method", "LSD dB", "LSD, 50 dB floor", "ratio to nothing (median)", "the same, 50 dB floor"]
    heads += ["timbre ratio", "chroma", "onset F1", "F1 to oracle", "seam"]
    rows = [
        [
            method,
            *(_number(report.mean(method, measure)) for measure in ("lsd_db", "lsd50_db")),
            *("-" if method == "oracle" else _number(report.median_ratio(method, m)) for m in ("lsd_db", "lsd50_db")),
            _number(report.timbre_ratio(method)),
            *(_number(report.mean(method, m)) for m in ("chroma", "onset_f1", "onset_f1_to_oracle", "seam")),
        ]
        for method in report.scores
    ]
    return _table(heads, rows)


def sources(report: PairReport) -> list[str]:
    """One line a source: doing nothing beside the bundle."""
    heads = ["held out", "pairs", "nothing", "deepmusic", "nothing, 50 dB", "deepmusic, 50 dB"]
    rows: list[list[str]] = []
    for source in report.sources():
        one = report.of_source(source)
        cells = [one.mean(method, m) for m in ("lsd_db", "lsd50_db") for method in ("nothing", "deepmusic")]
        rows.append([source, str(len(one.pairs)), *(_number(cell) for cell in cells)])
    return _table(heads, rows)


def swaps(report: SwapReport) -> list[str]:
    """One line a method: the share of styles that are heard for what they are, by kind of content and over all."""
    kinds = list(dict.fromkeys(report.kinds))
    heads = [f"named among {N_STYLES}, %", *kinds, "all"]
    rows = [
        [method, *(f"{100 * report.mean(method, 'is_named', kind):.0f}" for kind in (*kinds, None))]
        for method in report.scores
    ]
    return _table(heads, rows)


def unpaired(report: SwapReport, kind: str) -> list[str]:
    """One line a method: what needs no oracle, on contents of one kind."""
    heads = ["method", "named, %", "timbre ratio", "chroma", "onset F1", "loudness error LU (median)", "seam"]
    rows = [
        [
            method,
            f"{100 * report.mean(method, 'is_named', kind):.0f}",
            _number(report.timbre_ratio(method, kind)),
            *("-" if method == "same instrument" else cell for cell in _to_content(report, method, kind)),
        ]
        for method in report.scores
    ]
    return _table(heads, rows)


def _to_content(report: SwapReport, method: str, kind: str) -> list[str]:
    error_lu = float(np.median(np.abs(report.values(method, "loudness_error_lu", kind))))
    notes = [report.mean(method, measure, kind) for measure in ("chroma", "onset_f1")]
    return [_number(value) for value in (*notes, error_lu, report.mean(method, "seam", kind))]


def every_pair(report: PairReport) -> list[str]:
    """One line a pair: doing nothing beside the bundle."""
    heads = ["", "held out", "group, content and style as patch/score", "nothing", "deepmusic", "ratio"]
    heads += ["nothing, 50 dB", "deepmusic, 50 dB", "ratio", "timbre to style, nothing", "deepmusic", "chroma"]
    heads += ["onset F1", "loudness error LU", "ceiling takes dB"]
    columns: list[np.ndarray] = []
    for measure in ("lsd_db", "lsd50_db"):
        columns += [report.values("nothing", measure), report.values("deepmusic", measure)]
        columns.append(report.ratios("deepmusic", measure))
    columns += [report.values(method, "timbre") for method in ("nothing", "deepmusic")]
    columns += [report.values("deepmusic", m) for m in ("chroma", "onset_f1", "loudness_error_lu", "ceiling_db")]
    rows = [
        [str(row), pair.source, pair.name, *(_number(column[row]) for column in columns)]
        for row, pair in enumerate(report.pairs)
    ]
    return _table(heads, rows)


def remarks(evaluation: Evaluation) -> list[str]:
    """Sentences: loudness and peaks, what the timbre measure is worth, what was left out."""
    report = evaluation.pairs
    errors = np.abs(report.values("deepmusic", "loudness_error_lu"))
    free = report.values("deepmusic", "ceiling_db") < CEILING_TAKES_LITTLE_DB
    within = f"{100 * np.mean(errors[free] <= LOUDNESS_TARGET_LU):.0f} % of them" if free.any() else "none"
    lines = [
        (
            f"Loudness of the stream against the content: median {np.median(errors):.2f} LU, 90 % within "
            f"{np.quantile(errors, 0.9):.2f} LU. The ceiling takes under {CEILING_TAKES_LITTLE_DB:g} dB in "
            f"{100 * np.mean(free):.0f} % of the pairs; {within} are within {LOUDNESS_TARGET_LU:g} LU. "
            f"Highest true peak {report.values('deepmusic', 'true_peak_dbtp').max():.2f} dBTP."
        )
    ]
    if evaluation.accuracy is not None:
        accuracy = evaluation.accuracy
        lines += [
            "",
            (
                f"The timbre measure finds the same instrument nearer than another one that plays the same score in "
                f"{100 * accuracy.network:.1f} % of {accuracy.n_triplets} held-out triplets; MFCC means in "
                f"{100 * accuracy.mfcc_means:.1f} %, chance in 50 %."
            ),
        ]
    for sentence in evaluation.left_out:
        lines += ["", sentence]
    return lines


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.2f}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [heads, ["---"] * len(heads), *rows]
    return ["| " + " | ".join(cells) + " |" for cells in lines]
