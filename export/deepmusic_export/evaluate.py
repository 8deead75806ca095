"""The model card's table: a bundle on held-out renders, as a stream plays it, beside what signal processing can do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from deepmusic.audio import AudioFormat
from deepmusic.dsp.true_peak import true_peak_dbtp
from deepmusic.dsp.windows import StftGeometry
from deepmusic.model.bundle import Bundle
from deepmusic.model.runtime import Precision, StyleEncoder, TransferModel
from deepmusic.session.config import SessionConfig
from deepmusic.session.offline import render
from deepmusic.styles.learn import learn
from deepmusic_export import metrics
from deepmusic_export.baselines import BASELINES, apply_baseline
from deepmusic_export.data import QUIET_DBFS, Corpus, level_dbfs
from deepmusic_export.features import SignalPath
from deepmusic_export.metrics import Recording

#: Signal-to-noise ratio of the noise that the row "nothing + noise" adds, dB: noise fools the 80 dB distance.
ADDED_NOISE_DB = 50.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One held-out transfer: a score on one patch, another score on another patch, and what the first should become."""

    source: str
    """Name of the corpus that it came from."""
    content: np.ndarray
    style: np.ndarray
    oracle: np.ndarray
    """All float32 (samples,)."""
    sample_rate_hz: int


@dataclass(frozen=True, slots=True)
class _Heard:
    """What every method's output of a pair is compared with."""

    content: Recording
    oracle: Recording


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Measures of one output."""

    lsd_db: float
    lsd50_db: float
    chroma: float
    onset_f1: float
    onset_f1_to_oracle: float
    seam: float
    loudness_error_lu: float
    true_peak_dbtp: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All scores of an evaluation, by method and pair."""

    bundle: str
    digest: str
    precision: str
    pairs: tuple[Pair, ...]
    scores: dict[str, tuple[Scores, ...]]
    """Method -> one entry a pair; the bundle's own row is called `deepmusic`."""

    def mean(self, method: str, measure: str, source: str | None = None) -> float:
        """Mean of a measure over the pairs, of one source or of all."""
        rows = zip(self.pairs, self.scores[method], strict=True)
        return float(np.mean([getattr(s, measure) for pair, s in rows if source in (None, pair.source)]))

    def median_ratio(self, method: str, measure: str) -> float:
        """Median over the pairs of the measure's ratio to doing nothing."""
        rows = zip(self.scores[method], self.scores["nothing"], strict=True)
        ratios = [getattr(s, measure) / getattr(n, measure) for s, n in rows if getattr(n, measure) > 0]
        return float(np.median(ratios))


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
            pairs.append(Pair(source=source, content=content, style=style, oracle=oracle, sample_rate_hz=rate))
    return pairs


def evaluate(folder: Path, pairs: list[Pair], precision: Precision = "float") -> Report:
    """Runs a bundle and every baseline on the pairs.

    Args:
        folder: The bundle.
        pairs: What `draw_pairs` gave.
        precision: Which transfer file to judge.
    """
    bundle = Bundle.open(folder)
    model, encoder = TransferModel.load(bundle, precision=precision), StyleEncoder.load(bundle)

    def deepmusic(pair: Pair) -> np.ndarray:
        style = learn(pair.style[None], pair.sample_rate_hz, encoder)
        config = SessionConfig(audio_format=AudioFormat(sample_rate_hz=pair.sample_rate_hz, n_channels=1))
        return render(config, model, style, pair.content[None])[0]

    methods: dict[str, Callable[[Pair], np.ndarray]] = {
        "nothing": lambda pair: pair.content,
        "nothing + noise": _with_noise,
        **{name: _baseline(name) for name in BASELINES},
        "deepmusic": deepmusic,
        "oracle": lambda pair: pair.oracle,
    }
    scores: dict[str, list[Scores]] = {name: [] for name in methods}
    for pair in tqdm(pairs, unit="pair", disable=None):
        rate = pair.sample_rate_hz
        heard = _Heard(Recording(pair.content, rate), Recording(pair.oracle, rate))
        for name, method in methods.items():
            scores[name].append(_score(Recording(method(pair), rate), heard))
    return Report(
        bundle=model.manifest.name,
        digest=bundle.digest,
        precision=model.precision,
        pairs=tuple(pairs),
        scores={name: tuple(rows) for name, rows in scores.items()},
    )


def markdown_table(report: Report) -> str:
    """The table of the model card."""
    head = (
        "| method | LSD dB | LSD, 50 dB floor | ratio to nothing (median) | chroma | onset F1 | F1 to oracle | seam |"
    )
    lines = [head, "|" + "---|" * 8]
    for method in report.scores:
        cells = [f"{report.mean(method, measure):.2f}" for measure in ("lsd_db", "lsd50_db")]
        cells.append("-" if method == "oracle" else f"{report.median_ratio(method, 'lsd_db'):.2f}")
        cells += [
            f"{report.mean(method, measure):.2f}" for measure in ("chroma", "onset_f1", "onset_f1_to_oracle", "seam")
        ]
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    sources = sorted({pair.source for pair in report.pairs})
    lines += ["", "| held out | pairs | nothing | deepmusic | nothing, 50 dB | deepmusic, 50 dB |", "|" + "---|" * 6]
    for source in sources:
        n_pairs = sum(pair.source == source for pair in report.pairs)
        cells = [
            f"{report.mean(method, measure, source):.2f}"
            for measure in ("lsd_db", "lsd50_db")
            for method in ("nothing", "deepmusic")
        ]
        lines.append(f"| {source} | {n_pairs} | " + " | ".join(cells) + " |")
    errors = np.abs([s.loudness_error_lu for s in report.scores["deepmusic"]])
    peaks = [s.true_peak_dbtp for s in report.scores["deepmusic"]]
    lines += [
        "",
        (
            f"Loudness of the stream against the content: median {np.median(errors):.2f} LU, 90 % within "
            f"{np.quantile(errors, 0.9):.2f} LU. Highest true peak {max(peaks):.2f} dBTP."
        ),
    ]
    return "\n".join(lines)


def summary_metrics(report: Report) -> dict[str, float]:
    """The figures that a manifest carries."""
    names = ("lsd_db", "lsd50_db", "chroma", "onset_f1", "onset_f1_to_oracle", "seam")
    figures = {name: round(report.mean("deepmusic", name), 3) for name in names}
    figures |= {f"nothing_{name}": round(report.mean("nothing", name), 3) for name in ("lsd_db", "lsd50_db")}
    return figures | {"pairs": float(len(report.pairs))}


def _score(output: Recording, pair: _Heard) -> Scores:
    rate = output.sample_rate_hz
    return Scores(
        lsd_db=metrics.log_spectral_distance_db(output, pair.oracle, 80.0),
        lsd50_db=metrics.log_spectral_distance_db(output, pair.oracle, 50.0),
        chroma=metrics.chroma_cosine(output, pair.content),
        onset_f1=metrics.onset_f1(output, pair.content),
        onset_f1_to_oracle=metrics.onset_f1(output, pair.oracle),
        seam=metrics.seam_ratio(output.audio, StftGeometry.for_rate(rate).step_samples),
        loudness_error_lu=output.loudness_lufs - pair.content.loudness_lufs,
        true_peak_dbtp=true_peak_dbtp(output.audio[None], rate),
    )


def _with_noise(pair: Pair) -> np.ndarray:
    noise = np.random.default_rng(0).standard_normal(len(pair.content)).astype(np.float32)
    level = np.sqrt(np.mean(pair.content**2)) * 10 ** (-ADDED_NOISE_DB / 20)
    return pair.content + np.float32(level) * noise


def _baseline(name: str) -> Callable[[Pair], np.ndarray]:
    def run(pair: Pair) -> np.ndarray:
        path = _signal_path(pair.sample_rate_hz)
        with torch.no_grad():
            output = apply_baseline(BASELINES[name], path, torch.from_numpy(pair.content), torch.from_numpy(pair.style))
        return output.numpy()

    return run


@lru_cache
def _signal_path(sample_rate_hz: int) -> SignalPath:
    """The path of a rate: its matrices are the same for every baseline and pair."""
    return SignalPath(sample_rate_hz)
