"""A corpus made from recordings of one's own, in the form of a rendered one.

In a group, four sections of one recording stand for the scores, and the patches are the recording as it is and the same
sections in disguises. So another section of a patch is its style, and the same section on another patch is an oracle.
Beside the groups lies `recordings.json`: what was found in the folder, so that a run which goes on hears nothing anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np

from deepmusic.errors import RequestError
from deepmusic_export.render.corpus import missing_groups, render_groups, write_group
from deepmusic_export.render.disguises import Disguise, apply_disguise, random_disguise
from deepmusic_export.render.recordings import OwnRecording, SkippedFile, Survey, read_section, survey
from deepmusic_export.whole_file import whole_file

#: Format of `recordings.json`.
FILE_FORMAT = 1
#: Rates of the groups, in turn: hosts run at both with the same hop.
RATES_HZ = (44100, 48000)
_RECORD_NAME = "recordings.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedPlan:
    """What to make."""

    source: Path
    """Folder of the recordings."""
    hours: float
    """Length of the corpus, disguises included."""
    seed: int = 0
    """Seed of the order of sections, and of the disguises."""
    n_patches: int = 6
    """The recording itself, and disguises of it."""
    n_scores: int = 4
    """Sections in a group; fewer where a recording has no more."""


def render_recordings(plan: RecordedPlan, folder: Path, n_processes: int = 2) -> Survey:
    """Makes what is missing of a corpus; a group that is already there is kept, so the run can be stopped.

    Returns:
        What was found in the folder.

    Raises:
        RequestError: Nothing in the folder can be used, or the corpus was made of other recordings, or of none.
    """
    found = _survey(plan, folder)
    places = _places(plan, found)
    numbers = missing_groups(folder, len(places))
    render_groups(partial(_render_group, plan, folder, places), numbers, n_processes)
    return found


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the sections of a group come from."""

    recording: OwnRecording
    starts: tuple[int, ...]


def _survey(plan: RecordedPlan, folder: Path) -> Survey:
    """The survey that the corpus was made with, or a new one."""
    record = folder / _RECORD_NAME
    made_with = {"format": FILE_FORMAT, "seed": plan.seed, "n_patches": plan.n_patches, "n_scores": plan.n_scores}
    if not record.exists():
        if any(folder.glob("group_*.npy")):
            raise RequestError(f"expected pairs of recordings in {folder}, or nothing, got a corpus; name another")
        found = survey(plan.source)
        with whole_file(record) as partial:
            partial.write_text(json.dumps(made_with | asdict(found), indent=1))
        return found
    data: dict[str, Any] = json.loads(record.read_text())
    if any(data.get(name) != value for name, value in made_with.items()):
        raise RequestError(
            f"expected pairs in {folder} that were made in the same way, got others; name another folder"
        )
    kept = Survey(
        recordings=tuple(OwnRecording(**{**one, "starts": tuple(one["starts"])}) for one in data["recordings"]),
        skipped=tuple(SkippedFile(**one) for one in data["skipped"]),
    )
    if not kept.is_of(plan.source):
        raise RequestError(
            f"expected in {plan.source} the files that the pairs in {folder} were made of, found others; "
            "remove that folder to make the pairs anew, or name another one"
        )
    return kept


def _places(plan: RecordedPlan, found: Survey) -> list[_Place]:
    """Where each group's sections come from, as many groups as the plan has hours for."""
    places: list[_Place] = []
    seconds = 0.0
    for place in _turns(plan, found):
        if places and seconds >= 3600 * plan.hours:
            return places
        places.append(place)
        seconds += plan.n_patches * len(place.starts) * place.recording.section_s
    raise AssertionError("turns never end")


def _turns(plan: RecordedPlan, found: Survey) -> Iterator[_Place]:
    """Every section once, then every section again with other neighbours, without end.

    Every recording has its first turn before any has its second; then long ones have more turns than short ones.
    """
    for turn in count():
        rng = np.random.default_rng((plan.seed, turn))
        first: list[_Place] = []
        later: list[_Place] = []
        for recording in found.recordings:
            starts = [recording.starts[index] for index in rng.permutation(len(recording.starts))]
            n_scores = min(plan.n_scores, len(starts))
            # The last group takes sections of the first one again, rather than being smaller.
            groups = [
                _Place(recording, tuple(sorted(islice((starts * 2)[at:], n_scores))))
                for at in range(0, len(starts), n_scores)
            ]
            first.append(groups[0])
            later += groups[1:]
        for places in (first, later):
            for index in rng.permutation(len(places)):
                yield places[index]


def _render_group(plan: RecordedPlan, folder: Path, places: list[_Place], index: int) -> None:
    rng = np.random.default_rng((plan.seed, index))
    rate_hz = RATES_HZ[index % len(RATES_HZ)]
    place = places[index]
    disguises = [Disguise(), *(random_disguise(rng) for _ in range(plan.n_patches - 1))]
    sections = [read_section(plan.source, place.recording, start, rate_hz) for start in place.starts]
    clips = np.stack([[apply_disguise(section, worn, rate_hz) for section in sections] for worn in disguises])
    number = place.recording.number
    patches = [
        {"source": "recording", "program": number, "accompaniment": number, "name": place.recording.name}
        | worn.as_dict()
        for worn in disguises
    ]
    starts_s = [round(start / place.recording.sample_rate_hz, 3) for start in place.starts]
    meta = {"sample_rate_hz": rate_hz, "kind": "recording", "patches": patches, "starts_s": starts_s}
    write_group(folder, index, clips, meta)
