"""How far the timbre measure can be trusted: triplets of corpora that its training never heard."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepmusic_export.data import Corpus
from deepmusic_export.metrics import Recording
from deepmusic_export.nets.timbre import mfcc_frames, timbre_distance
from deepmusic_export.training.timbre import TimbreMeasure, refuse_trained_on

#: Triplets that are drawn from each group: a group of six patches and four scores has 360.
TRIPLETS_A_GROUP = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class TripletAccuracy:
    """Shares of right triplets, 0 to 1; chance is 0.5."""

    network: float
    """By the trained network."""
    mfcc_means: float
    """By the cosine of MFCC means, which no training made."""
    n_triplets: int
    """How many were drawn."""


@dataclass(frozen=True, slots=True)
class _Clip:
    sound: str
    score: int
    embedding: np.ndarray
    mfcc_mean: np.ndarray
    """Both of length one."""


def triplet_accuracy(measure: TimbreMeasure, corpora: list[Corpus], *, seed: int = 0) -> TripletAccuracy:
    """Draws triplets: an anchor, another score on its instrument, and the anchor's own score on another instrument.

    So what is played speaks for the wrong answer, as it does when a transfer's output is compared with its content.

    Args:
        measure: What is tried.
        corpora: Held-out corpora.
        seed: Seed of the draws.

    Raises:
        ValueError: The measure was trained on one of the corpora, or none has a triplet.
    """
    rng = np.random.default_rng(seed)
    right: list[tuple[bool, bool]] = []
    refuse_trained_on(measure.trained_on, corpora)
    for corpus in corpora:
        for group in corpus.groups():
            triplets = _triplets(_clips(measure, corpus, group))
            for index in rng.permutation(len(triplets))[:TRIPLETS_A_GROUP]:
                anchor, same, other = triplets[index]
                right.append(
                    (
                        timbre_distance(anchor.embedding, same.embedding)
                        < timbre_distance(anchor.embedding, other.embedding),
                        timbre_distance(anchor.mfcc_mean, same.mfcc_mean)
                        < timbre_distance(anchor.mfcc_mean, other.mfcc_mean),
                    )
                )
    if not right:
        raise ValueError("expected a group with two instruments and two scores among the held-out corpora, found none")
    network, mfcc_means = np.mean(right, axis=0)
    return TripletAccuracy(network=float(network), mfcc_means=float(mfcc_means), n_triplets=len(right))


def _clips(measure: TimbreMeasure, corpus: Corpus, group: Path) -> list[_Clip]:
    clips: list[_Clip] = []
    for patch, score, audio, rate_hz in corpus.audible_clips(group):
        recording = Recording(audio, rate_hz)
        mean = mfcc_frames(recording.mel_power).mean(axis=0)
        sound = corpus.sounds(group)[patch]
        clips.append(_Clip(sound, score, measure.embed(recording), mean / np.linalg.norm(mean)))
    return clips


def _triplets(clips: list[_Clip]) -> list[tuple[_Clip, _Clip, _Clip]]:
    return [
        (anchor, same, other)
        for anchor in clips
        for same in clips
        if same.sound == anchor.sound and same.score != anchor.score
        for other in clips
        if other.sound != anchor.sound and other.score == anchor.score
    ]
