"""Recordings of one's own, as verbs take them: pairs are made of them, and what was skipped is said."""

from __future__ import annotations

import os
import sys
from pathlib import Path

#: Length of the pairs that are made of a folder, hours.
DEFAULT_HOURS = 1.0


def make_pairs(source: Path, folder: Path, hours: float, seed: int, n_processes: int = os.cpu_count() or 1) -> None:
    """Makes what is missing of the pairs of a folder of recordings, and tells what it is made of.

    Args:
        source: Folder of the recordings.
        folder: Where the pairs go; those that are there are kept.
        hours: Length of all pairs.
        seed: Seed of sections and disguises.
        n_processes: At most so many at a time.

    Raises:
        RequestError: Nothing in the folder can be used, or the pairs were made of other recordings.
    """
    from deepmusic_export.data import Corpus
    from deepmusic_export.render.recorded_corpus import RecordedPlan, render_recordings

    found = render_recordings(RecordedPlan(source=source, hours=hours, seed=seed), folder, n_processes)
    for one in found.skipped:
        print(f"skipped {one.reason}", file=sys.stderr)
    print(
        f"{len(found.recordings)} recordings, {found.sounding_s / 60:.1f} minutes of sound in them; "
        f"{Corpus(folder).hours:.2f} hours of pairs in {folder}",
        file=sys.stderr,
    )
