"""The picture of an optimisation: spectrograms of content, style, start and result, and how the terms fell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from deepmusic.audio import Audio
from deepmusic.errors import RequestError, install_extra
from deepmusic_export.optimise.finishing import Finished
from deepmusic_export.optimise.recording import Recording
from deepmusic_export.optimise.run import Optimisation
from deepmusic_export.whole_file import whole_file

#: Range of the spectrograms below their maximum, dB.
RANGE_DB = 80.0
#: Window of the spectrograms, samples.
N_FFT = 2048
#: Most columns of a spectrogram: more than a picture has pixels.
MAX_COLUMNS = 2000


def plot(path: Path, optimisation: Optimisation, style: Recording, finished: Finished) -> None:
    """Draws a PNG.

    Args:
        path: The file, written by rename.
        optimisation: Knows content, start and history.
        style: The style as it was read.
        finished: The result.

    Raises:
        RequestError: matplotlib is missing, or the file cannot be written.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise RequestError(f"{path}: expected matplotlib for a plot, found none; {install_extra('export')}") from error
    content = optimisation.content
    figure = Figure(figsize=(12, 12), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(3, 2)
    start = optimisation.start().audio
    for axes, title, audio, rate_hz in (
        (grid[0, 0], "content", content.audio, content.sample_rate_hz),
        (grid[0, 1], "style", style.audio, style.sample_rate_hz),
        (grid[1, 0], "start", start, content.sample_rate_hz),
        (grid[1, 1], "result", finished.audio, content.sample_rate_hz),
    ):
        _draw_spectrogram(axes, title, audio, rate_hz)
    _draw_terms(grid[2, 0], optimisation.histories())
    grid[2, 1].plot(optimisation.curve())
    grid[2, 1].set(title="loss, mean over chunks", xlabel="round")
    try:
        with whole_file(path) as partial:
            figure.savefig(partial, format="png", dpi=100)
    except OSError as error:
        raise RequestError(f"{path}: cannot be written; choose another name or free some room") from error


def _draw_spectrogram(axes: Any, title: str, audio: Audio, rate_hz: int) -> None:
    # Windows far apart where the recording is long: its whole STFT would take gigabytes.
    hop = max(N_FFT // 4, audio.shape[1] // MAX_COLUMNS)
    mono = np.pad(audio.mean(0, dtype=np.float32), (0, N_FFT))
    frames = np.lib.stride_tricks.sliding_window_view(mono, N_FFT)[::hop]
    level_db = 20 * np.log10(np.abs(np.fft.rfft(frames * np.hanning(N_FFT))) + 1e-9)
    seconds = audio.shape[1] / rate_hz
    axes.imshow(
        level_db.T,
        origin="lower",
        aspect="auto",
        extent=(0, seconds, 0, rate_hz / 2000),
        vmin=level_db.max() - RANGE_DB,
        vmax=level_db.max(),
        cmap="magma",
    )
    axes.set(title=title, xlabel="s", ylabel="kHz", ylim=(0, min(16, rate_hz / 2000)))


def _draw_terms(axes: Any, histories: list[list[dict[str, float]]]) -> None:
    first = histories[0] if histories else []
    for name in first[0] if first else ():
        axes.plot([terms[name] for terms in first], label=name)
    axes.set(title="weighted terms, first chunk", xlabel="round")
    if first:
        axes.legend()
