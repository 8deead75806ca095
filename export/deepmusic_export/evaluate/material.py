"""Contents that no oracle belongs to: speech, our own synthesis, drum loops."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepmusic.dsp.resample import resample
from deepmusic_export.data import level_dbfs
from deepmusic_export.render.patches import Patch
from deepmusic_export.render.scores import random_drum_score, random_score
from deepmusic_export.render.soundfont import render_clips
from deepmusic_export.render.speech import speak
from deepmusic_export.render.synthesis import play, voice_of

#: Rate of all material.
RATE_HZ = 48000
#: Level of all material, dBFS RMS, and the highest sample, so that it is what corpora have.
LEVEL_DBFS, HIGHEST = -20.0, 0.98
#: A General MIDI bank whose drums training never plays: Debian's csound-soundfont.
DRUM_SOUNDFONT = Path("/usr/share/sounds/sf2/sf_GMbank.sf2")
#: What is spoken: the first of the Harvard sentences (IEEE 1969), phonetically balanced.
SENTENCES = (
    "The birch canoe slid on the smooth planks. Glue the sheet to the dark blue background.",
    "It's easy to tell the depth of a well. These days a chicken leg is a rare dish.",
    "Rice is often served in round bowls. The juice of lemons makes fine punch.",
    "The box was thrown beside the parked truck. The hogs were fed chopped corn and garbage.",
)
VOICES = ("en-gb", "en-gb+f3", "en-us+m3", "en-us+f4")


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """One content."""

    kind: str
    """`speech`, `synthesis` or `drums`."""
    audio: np.ndarray
    """float32 (samples,)."""
    sample_rate_hz: int


def unpaired_material(n_contents: int, clip_s: float, seed: int) -> tuple[list[Material], list[str]]:
    """Makes contents of each kind that this machine can make.

    Args:
        n_contents: Contents of each kind.
        clip_s: Length of a content in seconds; speech may be shorter.
        seed: Seed of scores, voices and what is said.

    Returns:
        The contents, and a sentence for each kind that had to be left out.
    """
    material: list[Material] = []
    left_out: list[str] = []
    for number, (kind, make) in enumerate(_MAKERS.items()):
        try:
            clips = make(np.random.default_rng((seed, number)), n_contents, clip_s)
        except (FileNotFoundError, RuntimeError) as error:
            left_out.append(f"{kind} left out: {error}")
            continue
        material += [Material(kind=kind, audio=_at_level(clip), sample_rate_hz=RATE_HZ) for clip in clips]
    return material, left_out


def _speech(rng: np.random.Generator, n_contents: int, clip_s: float) -> list[np.ndarray]:
    clips: list[np.ndarray] = []
    for number in range(n_contents):
        text, voice = SENTENCES[number % len(SENTENCES)], str(rng.choice(VOICES))
        pitch, words_a_minute = (int(rng.integers(low, high)) for low, high in ((30, 70), (140, 190)))
        audio, rate_hz = speak(text, voice=voice, pitch=pitch, words_a_minute=words_a_minute)
        clips.append(resample(audio[None], rate_hz, RATE_HZ)[0][: round(clip_s * RATE_HZ)])
    return clips


def _synthesis(rng: np.random.Generator, n_contents: int, clip_s: float) -> list[np.ndarray]:
    seeds = [int(seed) for seed in rng.integers(2**31, size=n_contents)]
    return [play(random_score(rng, clip_s), voice_of(seed), clip_s, RATE_HZ) for seed in seeds]


def _drums(rng: np.random.Generator, n_contents: int, clip_s: float) -> list[np.ndarray]:
    kit = Patch(source="drums", program=0, accompaniment=0)
    scores = [random_drum_score(rng, clip_s) for _ in range(n_contents)]
    return list(render_clips(DRUM_SOUNDFONT, [(kit, score) for score in scores], clip_s, RATE_HZ))


_MAKERS: dict[str, Callable[[np.random.Generator, int, float], list[np.ndarray]]] = {
    "speech": _speech,
    "synthesis": _synthesis,
    "drums": _drums,
}


def _at_level(audio: np.ndarray) -> np.ndarray:
    gain = 10 ** ((LEVEL_DBFS - level_dbfs(audio)) / 20)
    return (audio * min(gain, HIGHEST / max(float(np.abs(audio).max()), 1e-9))).astype(np.float32)
