"""Random scores: short pieces with a melody part and an accompaniment, and drum patterns.

A score knows nothing of the sound that will play it, so that every score can be rendered on every patch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Intervals of a scale in semitones: major, natural minor, dorian, mixolydian, minor pentatonic, whole tone.
SCALES = (
    (0, 2, 4, 5, 7, 9, 11),
    (0, 2, 3, 5, 7, 8, 10),
    (0, 2, 3, 5, 7, 9, 10),
    (0, 2, 4, 5, 7, 9, 10),
    (0, 3, 5, 7, 10),
    (0, 2, 4, 6, 8, 10),
)

#: General MIDI percussion keys that every kit has: kick, snare, rim, hats, toms, crash, ride, clap, cowbell.
DRUM_KEYS = (36, 38, 37, 42, 46, 45, 48, 49, 51, 39, 56)

#: A score with fewer notes says too little about a patch.
MIN_NOTES = 4
#: Range of the written notes: below and above it many programs have no sample.
LOWEST_PITCH, HIGHEST_PITCH = 33, 86


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One note of a score."""

    start_s: float
    """Onset from the start of the clip, seconds."""
    duration_s: float
    """Time until the key is released, seconds."""
    pitch: int
    """MIDI note number, 0 to 127."""
    velocity: int
    """MIDI velocity, 1 to 127."""
    part: int
    """0 melody, 1 accompaniment: a patch may play them with two programs."""


def random_score(rng: np.random.Generator, clip_s: float) -> list[Note]:
    """A short tonal piece of at least MIN_NOTES notes: melody, chords, arpeggio, bass, or two of them together.

    Args:
        rng: Source of randomness; the same state gives the same score.
        clip_s: Length of the clip in seconds; the last release falls 0.3 s before it.

    Returns:
        Notes sorted by onset.
    """
    notes: list[Note] = []
    while len(notes) < MIN_NOTES:
        notes = _piece(rng, clip_s)
    return sorted(notes, key=lambda note: note.start_s)


def _piece(rng: np.random.Generator, clip_s: float) -> list[Note]:
    scale = SCALES[rng.integers(len(SCALES))]
    root = int(rng.integers(36, 60))
    beat_s = 60.0 / rng.uniform(60.0, 170.0)
    loudness = float(rng.uniform(60, 110))
    end_s = clip_s - 0.3
    kind = rng.choice(["melody", "chords", "arpeggio", "bass", "both"], p=[0.34, 0.16, 0.16, 0.08, 0.26])
    notes: list[Note] = []
    if kind in ("melody", "both"):
        notes += _melody(rng, scale, root + 12 * int(rng.integers(1, 3)), beat_s, loudness, end_s)
    if kind in ("chords", "both"):
        notes += _chords(rng, scale, root + 12 * int(rng.integers(0, 2)), beat_s, loudness - 12, end_s)
    if kind == "arpeggio":
        notes += _arpeggio(rng, scale, root + 12 * int(rng.integers(0, 3)), beat_s, loudness, end_s)
    if kind == "bass":
        notes += _melody(rng, scale, root - 12 * int(rng.integers(0, 2)), beat_s, loudness, end_s)
    return notes


def random_drum_score(rng: np.random.Generator, clip_s: float) -> list[Note]:
    """A drum pattern of one bar, repeated, on a random choice of General MIDI keys."""
    step_s = 60.0 / rng.uniform(70.0, 160.0) / 4
    n_steps = 16
    keys = rng.choice(DRUM_KEYS, size=int(rng.integers(3, 7)), replace=False)
    grid = rng.random((len(keys), n_steps)) < rng.uniform(0.1, 0.5, size=(len(keys), 1))
    grid[0, 0] = True
    notes: list[Note] = []
    for step in range(int((clip_s - 0.4) / step_s)):
        for row, key in enumerate(keys):
            if grid[row, step % n_steps]:
                velocity = int(np.clip(rng.normal(92, 18), 25, 127))
                notes.append(Note(start_s=step * step_s, duration_s=step_s, pitch=int(key), velocity=velocity, part=0))
    return notes


def _degree(scale: tuple[int, ...], root: int, index: int) -> int:
    octave, degree = divmod(index, len(scale))
    pitch = root + 12 * octave + scale[degree]
    while pitch < LOWEST_PITCH:
        pitch += 12
    while pitch > HIGHEST_PITCH:
        pitch -= 12
    return pitch


def _velocity(rng: np.random.Generator, loudness: float) -> int:
    return int(np.clip(rng.normal(loudness, 12), 20, 127))


def _melody(
    rng: np.random.Generator, scale: tuple[int, ...], root: int, beat_s: float, loudness: float, end_s: float
) -> list[Note]:
    notes: list[Note] = []
    time_s, index = float(rng.choice([0.0, 0.0, beat_s])), int(rng.integers(0, 7))
    legato = float(rng.uniform(0.4, 1.05))
    while time_s < end_s - 0.1:
        length_s = beat_s * float(rng.choice([0.25, 0.5, 0.5, 1.0, 1.0, 2.0, 3.0]))
        length_s = min(max(length_s, 0.09), end_s - time_s)
        if rng.random() > 0.12:
            pitch = _degree(scale, root, index)
            notes.append(
                Note(
                    start_s=time_s,
                    duration_s=length_s * legato,
                    pitch=pitch,
                    velocity=_velocity(rng, loudness),
                    part=0,
                )
            )
        index = int(np.clip(index + rng.integers(-3, 4), -7, 14))
        time_s += length_s
    return notes


def _chords(
    rng: np.random.Generator, scale: tuple[int, ...], root: int, beat_s: float, loudness: float, end_s: float
) -> list[Note]:
    notes: list[Note] = []
    time_s = 0.0
    while time_s < end_s - 0.1:
        length_s = min(beat_s * float(rng.choice([1.0, 2.0, 4.0])), end_s - time_s)
        base = int(rng.integers(0, len(scale)))
        notes += [
            Note(
                start_s=time_s,
                duration_s=length_s * 0.92,
                pitch=_degree(scale, root, base + step),
                velocity=_velocity(rng, loudness),
                part=1,
            )
            for step in (0, 2, 4, 6)[: int(rng.integers(2, 5))]
        ]
        time_s += length_s
    return notes


def _arpeggio(
    rng: np.random.Generator, scale: tuple[int, ...], root: int, beat_s: float, loudness: float, end_s: float
) -> list[Note]:
    notes: list[Note] = []
    step_s = max(beat_s * float(rng.choice([0.25, 0.5])), 0.09)
    ring = float(rng.uniform(0.6, 3.0))
    pattern = rng.integers(0, 8, size=int(rng.integers(3, 8)))
    time_s, count = 0.0, 0
    while time_s < end_s - 0.1:
        notes.append(
            Note(
                start_s=time_s,
                duration_s=min(step_s * ring, end_s - time_s),
                pitch=_degree(scale, root, int(pattern[count % len(pattern)])),
                velocity=_velocity(rng, loudness),
                part=0,
            )
        )
        time_s += step_s
        count += 1
    return notes
