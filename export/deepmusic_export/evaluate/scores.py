"""The measures of one output, with an oracle or without."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deepmusic.dsp.true_peak import true_peak_dbtp
from deepmusic.dsp.windows import StftGeometry
from deepmusic_export import metrics
from deepmusic_export.metrics import Recording
from deepmusic_export.nets.timbre import timbre_distance
from deepmusic_export.training.timbre import TimbreMeasure


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """What needs no oracle."""

    chroma: float
    """Cosine to the content, 0 to 1."""
    onset_f1: float
    """To the content, 0 to 1."""
    seam: float
    """Roughness at step borders over roughness between them; 1 without seams."""
    loudness_error_lu: float
    """Output less content, LU."""
    timbre: float
    """Distance to the style by the timbre measure, 0 to 2; NaN where there is no measure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairScores(Scores):
    """All measures of an output whose oracle is known."""

    lsd_db: float
    """Log-spectral distance to the oracle, dB."""
    lsd50_db: float
    """The same with 50 dB of range."""
    onset_f1_to_oracle: float
    """0 to 1."""
    true_peak_dbtp: float
    """dB over full scale."""
    ceiling_db: float
    """The most that the true-peak ceiling took, dB; 0 for methods without one, NaN where it was not looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapScores(Scores):
    """The measures of one of several styles on one content."""

    is_named: bool
    """Whether, of all styles' instruments, the nearest by the timbre measure is the right one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """What an output is compared with; each recording is heard once for all methods."""

    content: Recording
    style: Recording
    oracle: Recording
    measure: TimbreMeasure | None
    """None leaves timbre out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapTransfer:
    """What the outputs of all styles on one content are compared with."""

    content: Recording
    styles: tuple[Recording, ...]
    measure: TimbreMeasure


def pair_scores(output: Recording, transfer: Transfer, ceiling_db: float) -> PairScores:
    """All measures of an output.

    Args:
        output: As long as the content and at its rate.
        transfer: What it is compared with.
        ceiling_db: What the ceiling took from it, dB.
    """
    return PairScores(
        lsd_db=metrics.log_spectral_distance_db(output, transfer.oracle, 80.0),
        lsd50_db=metrics.log_spectral_distance_db(output, transfer.oracle, 50.0),
        chroma=metrics.chroma_cosine(output, transfer.content),
        onset_f1=metrics.onset_f1(output, transfer.content),
        onset_f1_to_oracle=metrics.onset_f1(output, transfer.oracle),
        seam=seam(output),
        loudness_error_lu=output.loudness_lufs - transfer.content.loudness_lufs,
        true_peak_dbtp=true_peak_dbtp(output.audio[None], output.sample_rate_hz),
        ceiling_db=ceiling_db,
        timbre=np.nan if transfer.measure is None else timbre(output, transfer.style, transfer.measure),
    )


def swap_scores(output: Recording, swap: SwapTransfer, right: int, references: tuple[Recording, ...]) -> SwapScores:
    """The measures of one of several styles on one content.

    Args:
        output: At the content's rate.
        swap: What it is compared with.
        right: Index of the style that was asked for.
        references: A recording of each style's instrument that the output was not made from, so that copying the
            spectrum of the style's very recording does not help; the nearest one is the style that is named.
    """
    distances = [timbre(output, reference, swap.measure) for reference in references]
    return SwapScores(
        chroma=metrics.chroma_cosine(output, swap.content),
        onset_f1=metrics.onset_f1(output, swap.content),
        seam=seam(output),
        loudness_error_lu=output.loudness_lufs - swap.content.loudness_lufs,
        timbre=timbre(output, swap.styles[right], swap.measure),
        is_named=int(np.argmin(distances)) == right,
    )


def seam(output: Recording) -> float:
    """Roughness at the borders of steps, where the pieces of a stream join."""
    geometry = StftGeometry.for_rate(output.sample_rate_hz)
    # A step's piece lies so much before the step: overlap-add hands a sample out when its last frame is there.
    early = geometry.n_synthesis - geometry.hop
    return metrics.seam_ratio(output.audio, geometry.step_samples, geometry.step_samples - early)


def timbre(output: Recording, style: Recording, measure: TimbreMeasure) -> float:
    """Distance of an output to its style by the timbre measure."""
    return timbre_distance(measure.embed(output), measure.embed(style))
