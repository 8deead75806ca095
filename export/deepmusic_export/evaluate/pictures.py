"""Pictures of an evaluation: spectrograms side by side, and a scatter of distances. Drawn without a display."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import librosa
import numpy as np

from deepmusic_export.evaluate.report import PairReport

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Dots an inch of all pictures.
DPI = 100
#: Size of one spectrogram, inches.
PANEL_WIDTH, PANEL_HEIGHT = 2.9, 2.6
#: Bands of a spectrogram, its range in Hz and in dB below its loudest point.
N_BANDS, LOW_HZ, HIGH_HZ, RANGE_DB = 128, 40.0, 16000.0, 70.0
#: Colours of a spectrogram, 2 dB each: more would only make the files larger.
N_COLOURS = 35
#: Frequencies that are written at the side, Hz.
TICKS_HZ = (100, 500, 1000, 2000, 5000, 10000)


def draw_spectrograms(path: Path, panels: Sequence[tuple[str, np.ndarray]], sample_rate_hz: int, title: str) -> None:
    """Draws mel spectrograms side by side, each relative to its own loudest point.

    Args:
        path: PNG file to write.
        panels: What each is, and its audio, float32 (samples,).
        sample_rate_hz: Rate of all.
        title: Stands above; empty for none.
    """
    from matplotlib import colormaps

    figure = _figure(PANEL_WIDTH * len(panels) + 0.5, PANEL_HEIGHT + (0.3 if title else 0.0))
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    colours = colormaps["magma"].resampled(N_COLOURS)
    for axis, (name, audio) in zip(axes, panels, strict=True):
        level_db = librosa.power_to_db(_mel_power(audio, sample_rate_hz), ref=np.max, top_db=RANGE_DB)
        length_s = len(audio) / sample_rate_hz
        extent = (0.0, length_s, 0.0, float(N_BANDS))
        axis.imshow(
            level_db,
            origin="lower",
            aspect="auto",
            extent=extent,
            vmin=-RANGE_DB,
            vmax=0.0,
            cmap=colours,
            interpolation="nearest",
        )
        axis.set_title(name, fontsize=10)
        axis.set_xlabel("seconds", fontsize=8)
        axis.tick_params(labelsize=8)
    mel = librosa.hz_to_mel([LOW_HZ, *TICKS_HZ, HIGH_HZ])
    axes[0].set_yticks(
        (mel[1:-1] - mel[0]) / (mel[-1] - mel[0]) * N_BANDS,
        [f"{hz / 1000:g} kHz" if hz >= 1000 else f"{hz} Hz" for hz in TICKS_HZ],
    )
    if title:
        figure.suptitle(title, fontsize=10)
    _save(figure, path)


def draw_scatter(path: Path, report: PairReport, measure: str, label: str) -> None:
    """Draws the distance of the bundle's output over that of doing nothing: below the diagonal is better.

    Args:
        path: PNG file to write.
        report: All pairs.
        measure: A distance to the oracle, by its name in the scores.
        label: What it is called in the picture.
    """
    figure = _figure(4.6, 4.4)
    axis = figure.subplots()
    nothing, output = report.values("nothing", measure), report.values("deepmusic", measure)
    for source in report.sources():
        rows = np.array([pair.source == source for pair in report.pairs])
        axis.scatter(nothing[rows], output[rows], s=18, label=source)
    highest = 1.05 * float(max(nothing.max(), output.max()))
    axis.plot([0, highest], [0, highest], color="grey", linewidth=0.8)
    axis.set(xlim=(0, highest), ylim=(0, highest), xlabel=f"{label} of nothing", ylabel=f"{label} of deepmusic")
    axis.legend(fontsize=8)
    _save(figure, path)


def _mel_power(audio: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    return librosa.feature.melspectrogram(
        y=audio, sr=sample_rate_hz, n_fft=2048, hop_length=1024, n_mels=N_BANDS, fmin=LOW_HZ, fmax=HIGH_HZ
    )


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def _save(figure: Figure, path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure).print_png(path, pil_kwargs={"optimize": True})
