"""A transfer that anyone can make again: two pieces on two patches of our own synthesis."""

from __future__ import annotations

import numpy as np

from deepmusic_export.render.scores import random_score
from deepmusic_export.render.synthesis import play, voice_of

#: Rate and length of the clips.
RATE_HZ, CLIP_S = 48000, 6.0
#: Level of the clips, RMS, dBFS.
LEVEL_DBFS = -20.0
#: Seeds of score and voice: a dull pluck that swells, and a bright struck sound with hiss.
CONTENT_SEEDS, STYLE_SEEDS = (12, 13), (5, 2)


def example_clips() -> tuple[np.ndarray, np.ndarray]:
    """Content and style, float32 (samples,) at RATE_HZ."""
    return _clip(*CONTENT_SEEDS), _clip(*STYLE_SEEDS)


def _clip(score_seed: int, voice_seed: int) -> np.ndarray:
    audio = play(random_score(np.random.default_rng(score_seed), CLIP_S), voice_of(voice_seed), CLIP_S, RATE_HZ)
    return audio * np.float32(10 ** (LEVEL_DBFS / 20) / np.sqrt(np.mean(audio**2)))
