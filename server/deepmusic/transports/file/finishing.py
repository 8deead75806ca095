"""The finishing pass of a remix: the content's loudness, and no peak above -1 dBTP, measured on the file itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepmusic.audio import Audio
from deepmusic.dsp.finishing import (
    CEILING_DBTP,
    MARGIN_DB,
    MAX_GAIN_DB,
    LimitedPass,
    blocks_of,
    clamped_db,
    gain_between_db,
)
from deepmusic.dsp.loudness import integrated_loudness_lufs
from deepmusic.dsp.true_peak import N_TAPS, oversampling_factor, peak_readings
from deepmusic.transports.file.reader import AudioReader
from deepmusic.transports.file.spool import Spool
from deepmusic.transports.file.writer import AudioWriter

LOUDNESS_TOLERANCE_LU = 0.1
"""A file within this of the content is not written again."""

_MAX_PASSES = 4
"""Passes over the file; a lossy encoding moves its peaks anew each time, by ever less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishReport:
    """What the finishing pass did, measured on the file."""

    content_lufs: float
    """Integrated loudness of the content; minus infinity for silence."""

    loudness_lufs: float
    """The same of the file."""

    true_peak_dbtp: float
    """True peak of the file."""

    gain_db: float
    """Gain that was applied."""

    ceiling_db: float
    """The most that the ceiling took from any moment."""


def finish(
    rendered: Audio,
    content: Audio,
    sample_rate_hz: int,
    open_writer: Callable[[], AudioWriter],
    *,
    on_progress: Callable[[int], None] | None = None,
) -> FinishReport:
    """Write `rendered` with the loudness of `content`, measure the file, and let it appear when it is right.

    Args:
        rendered: what the session gave, `(channels, samples)`; may lie on disk.
        content: the original at the same rate.
        sample_rate_hz: Hz.
        open_writer: opens the output; called once for each pass.
        on_progress: called with the number of samples of each block that was written.

    Raises:
        StorageFull: the disk did not take it; nothing is left of it.
    """
    content_lufs = integrated_loudness_lufs(content, sample_rate_hz)
    gain_db = gain_between_db(integrated_loudness_lufs(rendered, sample_rate_hz), content_lufs)
    ceiling_dbtp = CEILING_DBTP - MARGIN_DB
    n_passes = 0
    while True:
        n_passes += 1
        with open_writer() as writer:
            limited = LimitedPass(rendered, sample_rate_hz, gain_db, ceiling_dbtp)
            for block in limited:
                writer.write(block)
                if on_progress is not None:
                    on_progress(block.shape[1])
            loudness_lufs, peak_dbtp = measure_file(writer.finish(), folder=writer.path.parent)
            error_lu = gain_between_db(loudness_lufs, content_lufs)
            excess_db = peak_dbtp - CEILING_DBTP
            is_loud_enough = (
                abs(error_lu) <= LOUDNESS_TOLERANCE_LU or abs(gain_db) >= MAX_GAIN_DB or limited.taken_db > 0.0
            )
            if (excess_db <= 0.0 and is_loud_enough) or n_passes == _MAX_PASSES:
                writer.commit()
                return FinishReport(
                    content_lufs=content_lufs,
                    loudness_lufs=loudness_lufs,
                    true_peak_dbtp=peak_dbtp,
                    gain_db=gain_db,
                    ceiling_db=limited.taken_db,
                )
        if excess_db > 0.0:
            ceiling_dbtp -= excess_db + MARGIN_DB
        else:
            gain_db = clamped_db(gain_db + error_lu)


def measure_file(path: Path, *, folder: Path) -> tuple[float, float]:
    """Integrated loudness in LUFS and true peak in dBTP of a file, as anyone who decodes it hears it.

    Args:
        path: the file.
        folder: where there is room to decode it.
    """
    with AudioReader(path) as reader, Spool(folder, reader.info.n_channels) as spool:
        for block in reader.blocks():
            spool.append(block)
        audio, rate_hz = spool.audio(), reader.info.sample_rate_hz
        return integrated_loudness_lufs(audio, rate_hz), true_peak_of_long_dbtp(audio, rate_hz)


def true_peak_of_long_dbtp(audio: Audio, sample_rate_hz: int) -> float:
    """`deepmusic.dsp.true_peak.true_peak_dbtp` of audio that does not fit into memory."""
    factor = oversampling_factor(sample_rate_hz)
    edge = np.zeros((audio.shape[0], N_TAPS - 1), np.float32)
    peak, last = 0.0, edge
    for block in (*blocks_of(audio), np.zeros((audio.shape[0], N_TAPS), np.float32)):
        samples = np.concatenate([last, block], axis=1)
        peak = max(peak, float(peak_readings(samples, factor).max()))
        last = samples[:, -(N_TAPS - 1) :]
    return 20.0 * math.log10(peak) if peak > 0.0 else -math.inf
