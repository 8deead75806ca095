"""The corpus on disk: groups of clips in which every score is played on every patch.

A group file holds int16 audio (patches, scores, samples). Any two patches p, q and two scores a, b of a group give a
training example: content = a on p, style = b on q, oracle = a on q. The JSON file beside it says what is in it:
rate, patches and the notes of every score. `plan.json` says what all groups were made with.
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from deepmusic_export.render.patches import (
    DRUM_KITS,
    HELD_OUT_PROGRAMS,
    Edit,
    Patch,
    apply_effects,
    random_body,
    random_edit,
    random_effects,
)
from deepmusic_export.render.scores import Note, random_drum_score, random_score
from deepmusic_export.render.singing import sing, singer_of, syllables_of
from deepmusic_export.render.soundfont import render_clips
from deepmusic_export.render.synthesis import play, voice_of
from deepmusic_export.whole_file import whole_file

#: Level that every clip is brought to, RMS over its loudest half, dBFS.
CLIP_LEVEL_DBFS = -20.0
_PLAN_NAME = "plan.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusPlan:
    """What to render."""

    soundfont: Path
    """SF2 or SF3 file."""
    n_groups: int
    """Number of groups, each `n_patches * n_scores * clip_s` seconds of sound."""
    seed: int = 0
    """Seed of the corpus: scores, patches and effects follow from it."""
    n_patches: int = 6
    n_scores: int = 4
    clip_s: float = 6.0
    """Length of a clip, seconds."""
    programs: str = "train"
    """`train` leaves HELD_OUT_PROGRAMS out, `held-out` plays nothing else, `all` plays every program. Singers that
    training hears sing for `train`, others for the rest."""
    synth_share: float = 0.22
    """Share of groups that come from our own synthesis."""
    drum_share: float = 0.08
    """Share of groups that are drum kits."""
    voice_share: float = 0.0
    """Share of groups in which every other patch is a singer, beside instruments of the SoundFont."""
    effects: bool = True
    """Whether patches may have effects."""
    bodies: bool = True
    """Whether SoundFont patches may be made smaller and larger than their samples."""
    edit_share: float = 0.0
    """Share of SoundFont patches whose filter and envelope are changed."""


def render_corpus(plan: CorpusPlan, folder: Path, n_processes: int = 2) -> None:
    """Renders what is missing of a corpus; a group that is already there is kept, so the run can be stopped.

    Raises:
        ValueError: The groups that are there were made in another way.
        RuntimeError: FluidSynth is missing, or it or espeak-ng failed.
        FileNotFoundError: espeak-ng is missing and there are to be voices.
    """
    _hold_to_plan(plan, folder)
    render_groups(partial(_render_group, plan, folder), missing_groups(folder, plan.n_groups), n_processes)


def _hold_to_plan(plan: CorpusPlan, folder: Path) -> None:
    """Writes down what a new corpus is made with; groups of another plan are not gone on with.

    A corpus of an earlier version has no record, and is gone on with as it was.
    """
    record = folder / _PLAN_NAME
    made_with = {**asdict(plan), "soundfont": plan.soundfont.name}
    del made_with["n_groups"]  # more hours go on from the groups that are there
    if record.exists():
        begun_with = json.loads(record.read_text())
        # What an earlier version could not do, it did not do.
        begun_with = {"voice_share": 0.0, **begun_with}
        if other := [name for name, value in made_with.items() if begun_with.get(name) != value]:
            raise ValueError(
                f"expected in {folder} groups that were made in the same way, got some with "
                + " and ".join(f"{name} {begun_with.get(name)} instead of {made_with[name]}" for name in other)
                + "; name another folder"
            )
    elif not any(folder.glob("group_*.npy")):
        with whole_file(record) as partial:
            partial.write_text(json.dumps(made_with, indent=1))


def missing_groups(folder: Path, n_groups: int) -> list[int]:
    """Numbers of the groups that a folder does not hold yet, of the first `n_groups`."""
    return [index for index in range(n_groups) if not _group_path(folder, index).exists()]


def render_groups(render: Callable[[int], None], numbers: list[int], n_processes: int) -> None:
    """Renders groups in processes of their own, with a progress bar.

    Args:
        render: Writes the group of a number; can be pickled.
        numbers: Which.
        n_processes: At most so many at a time.
    """
    if not numbers:
        return
    # Fresh processes: a fork would copy the locks of threads that are not copied.
    with ProcessPoolExecutor(n_processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        futures = [pool.submit(render, number) for number in numbers]
        for future in tqdm(as_completed(futures), total=len(futures), unit="group", disable=None):
            future.result()


def write_group(folder: Path, index: int, clips: np.ndarray, meta: dict[str, Any]) -> None:
    """Writes a group, whole or not at all.

    Args:
        folder: Of the corpus.
        index: Number of the group.
        clips: float32 (patches, scores, samples), at any level: each clip is brought to CLIP_LEVEL_DBFS.
        meta: What the JSON file says: `sample_rate_hz`, `kind`, `patches`, and `scores` where there are notes.
    """
    out = np.stack([[_to_int16(clip) for clip in scores] for scores in clips])
    path = _group_path(folder, index)
    path.with_suffix(".json").write_text(json.dumps(meta))
    with whole_file(path) as partial, partial.open("wb") as file:
        np.save(file, out)


def _group_path(folder: Path, index: int) -> Path:
    return folder / f"group_{index:05d}.npy"


def _render_group(plan: CorpusPlan, folder: Path, index: int) -> None:
    rng = np.random.default_rng((plan.seed, index))
    kind = rng.choice(
        ["soundfont", "synth", "drums", "voices"],
        p=[
            1 - plan.synth_share - plan.drum_share - plan.voice_share,
            plan.synth_share,
            plan.drum_share,
            plan.voice_share,
        ],
    )
    # Hosts run at 44.1 and at 48 kHz with the same hop, so the network must know both frame rates.
    sample_rate_hz = int(rng.choice([44100, 48000]))
    patches = [_random_patch(rng, plan, _source(str(kind), number)) for number in range(plan.n_patches)]
    make_score = random_drum_score if kind == "drums" else random_score
    scores = [make_score(rng, plan.clip_s) for _ in range(plan.n_scores)]
    raw = _played(plan, patches, scores, sample_rate_hz)
    played = [
        [apply_effects(audio, patch.effects, sample_rate_hz) for audio in clips]
        for patch, clips in zip(patches, raw, strict=True)
    ]
    meta = {
        "sample_rate_hz": sample_rate_hz,
        "kind": str(kind),
        "patches": [patch.as_dict() for patch in patches],
        "scores": [[_as_row(note) for note in score] for score in scores],
    }
    write_group(folder, index, np.array(played), meta)


def _source(kind: str, number: int) -> str:
    """What plays a patch of a group; every other one of a group of voices is an instrument."""
    if kind != "voices":
        return kind
    return "soundfont" if number % 2 else "voice"


def _played(plan: CorpusPlan, patches: list[Patch], scores: list[list[Note]], sample_rate_hz: int) -> np.ndarray:
    """Every score on every patch without effects: float32 (patches, scores, samples)."""
    out = np.empty((len(patches), len(scores), round(plan.clip_s * sample_rate_hz)), np.float32)
    in_soundfont = [row for row, patch in enumerate(patches) if patch.source in ("soundfont", "drums")]
    if in_soundfont:
        clips = [(patches[row], score) for row in in_soundfont for score in scores]
        played = render_clips(plan.soundfont, clips, plan.clip_s, sample_rate_hz)
        out[in_soundfont] = played.reshape(len(in_soundfont), len(scores), -1)
    for row, patch in enumerate(patches):
        if patch.source == "synth":
            voice = voice_of(patch.program)
            out[row] = [play(score, voice, plan.clip_s, sample_rate_hz) for score in scores]
        elif patch.source == "voice":
            singer = singer_of(patch.program, is_held_out=plan.programs != "train")
            syllables = syllables_of(singer, sample_rate_hz)
            out[row] = [sing(score, singer, syllables, plan.clip_s, sample_rate_hz) for score in scores]
    return out


def _random_patch(rng: np.random.Generator, plan: CorpusPlan, source: str) -> Patch:
    effects = random_effects(rng)
    if not plan.effects:
        effects = Patch(source=source, program=0, accompaniment=0).effects
    if source == "drums":
        kit = int(rng.choice(DRUM_KITS))
        return Patch(source=source, program=kit, accompaniment=kit, effects=effects)
    if source in ("synth", "voice"):
        seed = int(rng.integers(2**31))
        return Patch(source=source, program=seed, accompaniment=seed, effects=effects)
    if plan.programs == "held-out":
        allowed = list(HELD_OUT_PROGRAMS)
    else:
        allowed = [p for p in range(128) if plan.programs == "all" or p not in HELD_OUT_PROGRAMS]
    program, other = (int(p) for p in rng.choice(allowed, size=2))
    return Patch(
        source=source,
        program=program,
        accompaniment=other if rng.random() < 0.15 else program,
        body_semitones=random_body(rng) if plan.bodies else 0,
        # No draw without edits: corpora of earlier versions come out as they were.
        edit=random_edit(rng) if plan.edit_share and rng.random() < plan.edit_share else Edit(),
        effects=effects,
    )


def _as_row(note: Note) -> list[float]:
    """A note for the JSON file: start and duration in seconds, pitch, velocity, part."""
    return [note.start_s, note.duration_s, note.pitch, note.velocity, note.part]


def _to_int16(audio: np.ndarray) -> np.ndarray:
    frames = audio[: len(audio) // 1024 * 1024].reshape(-1, 1024)
    power = np.sort(np.mean(frames**2, axis=1))[len(frames) // 2 :].mean()
    gain = 10 ** (CLIP_LEVEL_DBFS / 20) / np.sqrt(power + 1e-9)
    peak = np.abs(audio).max() * gain
    gain *= min(1.0, 0.98 / max(peak, 1e-9))
    return np.round(audio * gain * 32767).astype(np.int16)
