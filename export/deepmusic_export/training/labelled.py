"""Clips with labels for the audio VGG19: program, family, instrument, notes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deepmusic_export.data import QUIET_DBFS, Corpus, check_length, level_dbfs

#: A clip without this label; it has no part in the loss.
UNKNOWN = -100
N_PROGRAMS = 128
#: Families of eight General MIDI programs, and two more.
N_FAMILIES = 18
DRUM_FAMILY, SYNTH_FAMILY = 16, 17
#: The keys of a piano: MIDI 21 to 108.
LOWEST_KEY, N_KEYS = 21, 88
#: A coarse time frame of the notes: sixteen hops of 256 samples, 85 ms at 48 kHz.
NOTE_FRAME_SAMPLES = 4096
#: The analysis window looks back: what a frame shows lies about this far before its end, samples.
WINDOW_LAG_SAMPLES = 800


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledClips:
    """Clips of one sample rate with what is known of them."""

    audio: Tensor
    """float32 (batch, samples)."""
    sample_rate_hz: int
    program: Tensor
    """int64 (batch,): General MIDI program 0 to 127, or UNKNOWN where two programs sound or none does."""
    family: Tensor
    """int64 (batch,): program // 8, DRUM_FAMILY, SYNTH_FAMILY, or UNKNOWN."""
    instrument: Tensor
    """int64 (batch,): equal for clips of one patch, effects included."""
    score: Tensor
    """int64 (batch,): equal for clips that play the same notes."""
    notes: Tensor
    """float32 (batch, note frames, N_KEYS): 1 where the key is down."""
    has_notes: Tensor
    """float32 (batch,): 0 for drums and where the corpus does not tell the notes."""


@dataclass(frozen=True, slots=True)
class _Labels:
    rate: int
    programs: list[list[int]]
    """[patch][score]"""
    families: list[list[int]]
    instruments: list[int]
    """One for each patch."""
    first_score: int
    """Number of the group's first score among all of the corpus."""
    scores: list[np.ndarray] | None
    """Rows start_s, duration_s, pitch, velocity, part; None where the file does not tell or the group is drums."""


class LabelledCorpus:
    """A rendered corpus, read for its labels."""

    def __init__(self, corpus: Corpus) -> None:
        self.corpus = corpus
        self._instruments: dict[str, int] = {}
        self._n_scores = 0
        self._labels = {path: self._read(path) for path in corpus.groups()}

    @property
    def programs(self) -> tuple[int, ...]:
        """The programs that some clip plays alone, sorted."""
        found = {p for labels in self._labels.values() for row in labels.programs for p in row}
        return tuple(sorted(found - {UNKNOWN}))

    def batch(self, rng: np.random.Generator, size: int, n_samples: int) -> LabelledClips:
        """Draws crops of one sample rate: two scores on two patches of a group, so that pairs and rivals meet.

        Args:
            rng: Source of randomness.
            size: Number of clips, a multiple of 4.
            n_samples: Length of a crop, a multiple of NOTE_FRAME_SAMPLES.
        """
        rate = int(rng.choice([labels.rate for labels in self._labels.values()]))
        paths = [path for path, labels in self._labels.items() if labels.rate == rate]
        places: list[tuple[Path, int, int]] = []
        crops: list[np.ndarray] = []
        starts: list[int] = []
        while len(crops) < size:
            path = paths[rng.integers(len(paths))]
            n_patches, n_scores = self.corpus.shape(path)
            patches, scores = rng.choice(n_patches, 2, replace=False), rng.choice(n_scores, 2, replace=False)
            four = [(path, int(p), int(s)) for p in patches for s in scores]
            cut = [self._crop(rng, place, n_samples) for place in four]
            if all(level_dbfs(crop) > QUIET_DBFS for crop, _ in cut):
                places += four
                crops += [crop for crop, _ in cut]
                starts += [start for _, start in cut]
        return self._clips(places, np.stack(crops), starts)

    def whole(self, group: Path) -> LabelledClips:
        """All clips of a group at their whole length, less what does not fill a note frame; patches first."""
        n_patches, n_scores = self.corpus.shape(group)
        places = [(group, p, s) for p in range(n_patches) for s in range(n_scores)]
        audio = np.stack([self.corpus.clip(*place)[0] for place in places])
        audio = audio[:, : audio.shape[1] // NOTE_FRAME_SAMPLES * NOTE_FRAME_SAMPLES]
        return self._clips(places, audio, [0] * len(places))

    def _crop(self, rng: np.random.Generator, place: tuple[Path, int, int], n_samples: int) -> tuple[np.ndarray, int]:
        clip, _ = self.corpus.clip(*place)
        check_length(len(clip), n_samples)
        start = int(rng.integers(0, len(clip) - n_samples + 1))
        return clip[start : start + n_samples], start

    def _clips(self, places: list[tuple[Path, int, int]], audio: np.ndarray, starts: list[int]) -> LabelledClips:
        labels = [self._labels[path] for path, _, _ in places]
        rate = labels[0].rate
        n_frames = audio.shape[1] // NOTE_FRAME_SAMPLES
        notes = np.zeros((len(places), n_frames, N_KEYS), np.float32)
        has_notes = np.zeros(len(places), np.float32)
        for row, (_, _, score) in enumerate(places):
            known = labels[row].scores
            if known is not None:
                notes[row] = piano_roll(known[score], starts[row], n_frames, rate)
                has_notes[row] = 1.0
        columns = [
            torch.tensor(values)
            for values in (
                [label.programs[p][s] for label, (_, p, s) in zip(labels, places, strict=True)],
                [label.families[p][s] for label, (_, p, s) in zip(labels, places, strict=True)],
                [label.instruments[p] for label, (_, p, _) in zip(labels, places, strict=True)],
                [label.first_score + s for label, (_, _, s) in zip(labels, places, strict=True)],
            )
        ]
        return LabelledClips(
            audio=torch.from_numpy(audio),
            sample_rate_hz=rate,
            program=columns[0],
            family=columns[1],
            instrument=columns[2],
            score=columns[3],
            notes=torch.from_numpy(notes),
            has_notes=torch.from_numpy(has_notes),
        )

    def _read(self, path: Path) -> _Labels:
        meta: dict[str, Any] = json.loads(path.with_suffix(".json").read_text())
        n_scores = self.corpus.shape(path)[1]
        told = meta.get("scores")
        scores = None if told is None else [np.array(score, np.float64).reshape(-1, 5) for score in told]
        programs: list[list[int]] = []
        families: list[list[int]] = []
        for patch in meta["patches"]:
            row = [_program(patch, None if scores is None else scores[index]) for index in range(n_scores)]
            programs.append(row)
            special = {"drums": DRUM_FAMILY, "synth": SYNTH_FAMILY}.get(patch["source"])
            families.append([p if p == UNKNOWN else p // 8 for p in row] if special is None else [special] * n_scores)
        keys = [json.dumps(patch, sort_keys=True) for patch in meta["patches"]]
        instruments = [self._instruments.setdefault(key, len(self._instruments)) for key in keys]
        self._n_scores += n_scores
        return _Labels(
            rate=meta["sample_rate_hz"],
            programs=programs,
            families=families,
            instruments=instruments,
            first_score=self._n_scores - n_scores,
            scores=None if meta["kind"] == "drums" else scores,
        )


def piano_roll(score: np.ndarray, first_sample: int, n_frames: int, sample_rate_hz: int) -> np.ndarray:
    """Keys that are down in the middle of each note frame.

    Args:
        score: Rows start_s, duration_s, pitch, velocity, part.
        first_sample: Where the crop starts in the clip.
        n_frames: Number of note frames.
        sample_rate_hz: Rate of the clip.

    Returns:
        float32 (n_frames, N_KEYS), 0 or 1.
    """
    middle = first_sample + (np.arange(n_frames) + 0.5) * NOTE_FRAME_SAMPLES - WINDOW_LAG_SAMPLES
    middle_s = middle / sample_rate_hz
    roll = np.zeros((n_frames, N_KEYS), np.float32)
    for start_s, duration_s, pitch, _, _ in score:
        key = int(pitch) - LOWEST_KEY
        if 0 <= key < N_KEYS:
            roll[(middle_s >= start_s) & (middle_s < start_s + duration_s), key] = 1.0
    return roll


def _program(patch: dict[str, Any], score: np.ndarray | None) -> int:
    """The one program that is heard, or UNKNOWN."""
    if patch["source"] != "soundfont":
        return UNKNOWN
    if patch["program"] == patch["accompaniment"]:
        return int(patch["program"])
    if score is None or len(set(score[:, 4])) != 1:
        return UNKNOWN
    return int(patch["accompaniment"] if score[0, 4] else patch["program"])
