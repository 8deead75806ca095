"""A picture of which families of instruments an audio VGG19 takes for which."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

#: General MIDI's families of eight programs, and the two of the corpus.
FAMILIES = (
    "piano", "mallets", "organ", "guitar", "bass", "strings", "ensemble", "brass", "reed", "pipe", "synth lead",
    "synth pad", "synth effects", "ethnic", "percussive", "sound effects", "drum kits", "own synthesis",
)  # fmt: skip


def draw_confusion(path: Path, confusion: Sequence[Sequence[int]]) -> None:
    """Draws the share of each family's clips that were taken for each family; families without clips are left out.

    Args:
        path: PNG file.
        confusion: Clips by family, and by the family that they were taken for.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    counts = np.array(confusion)
    rows = np.flatnonzero(counts.sum(1))
    columns = np.flatnonzero(counts.sum(0) + counts.sum(1))
    share = counts[np.ix_(rows, columns)] / counts[rows].sum(1, keepdims=True)
    figure = Figure(figsize=(7.5, 6.5), dpi=90, layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(share, cmap="magma", vmin=0, vmax=1)
    axes.set_xticks(range(len(columns)), [FAMILIES[n] for n in columns], rotation=60, ha="right")
    axes.set_yticks(range(len(rows)), [f"{FAMILIES[n]} ({counts[n].sum()})" for n in rows])
    axes.set_xlabel("taken for")
    for y, x in zip(*np.nonzero(share >= 0.005), strict=True):
        colour = "black" if share[y, x] > 0.5 else "white"
        axes.text(x, y, f"{100 * share[y, x]:.0f}", ha="center", va="center", color=colour, fontsize=8)
    FigureCanvasAgg(figure).print_png(path, pil_kwargs={"optimize": True})
