"""How good an audio VGG19 is, on clips of scores that training never saw, beside random weights and MFCC."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import librosa
import numpy as np
import torch
from torch import Tensor

from deepmusic_export.data import QUIET_DBFS, Corpus
from deepmusic_export.nets.vgg19 import STYLE_LAYERS, Vgg19
from deepmusic_export.training.encoder import (
    AudioEncoder,
    EncoderRecipe,
    encoder_path,
    layer_statistics,
    load_encoder,
    picture,
)
from deepmusic_export.training.labelled import N_FAMILIES, UNKNOWN, LabelledClips, LabelledCorpus

#: Instruments among which the right one must be nearest.
N_INSTRUMENTS = 24
#: Draws of instruments and scores that the share of right ones is averaged over.
N_DRAWS = 200
#: Coefficients of the MFCC baseline; the first, the level, is left out.
N_MFCC = 20
#: Clips that are read at once: more leave the processor's cache.
CLIPS_A_CALL = 4
#: A key counts as heard from this probability.
NOTE_THRESHOLD = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderReport:
    """The figures of one held-out corpus; shares are 0 to 1, None where the corpus cannot tell."""

    n_clips: int
    n_programs: int
    """Different programs among the clips whose program training knew."""
    program_error: float | None
    """Share of wrong programs, among clips whose program training knew."""
    family_error: float | None
    """Share of wrong families, among all clips with a family."""
    note_f1: float | None
    """F-measure of the keys that are down, all note frames of all clips together."""
    n_instruments: int
    """Instruments in a draw of the retrieval: chance is one over it."""
    retrieval: float
    """Share of clips to which, by layer statistics, another score of the same instrument is nearest."""
    retrieval_random: float
    """The same with random weights."""
    retrieval_mfcc: float
    """The same with MFCC means."""
    retrieval_layers: tuple[tuple[str, float], ...]
    """The same with each layer's statistics alone."""
    confusion: tuple[tuple[int, ...], ...]
    """Clips of each family (N_FAMILIES rows) by the family that they were taken for."""

    def lines(self) -> list[str]:
        """The report as text, a line each."""
        layers = ", ".join(f"{name} {_percent(share)}" for name, share in self.retrieval_layers)
        return [
            f"held-out clips               {self.n_clips}",
            f"program error                {_percent(self.program_error)} of {self.n_programs} programs",
            f"family error                 {_percent(self.family_error)}",
            f"notes, F-measure             {'-' if self.note_f1 is None else f'{self.note_f1:.3f}'}",
            f"instrument among {self.n_instruments:3d}: VGG19  {_percent(self.retrieval)} ({layers})",
            f"          random weights     {_percent(self.retrieval_random)}",
            f"          MFCC means         {_percent(self.retrieval_mfcc)}",
            f"          chance             {_percent(1 / self.n_instruments)}",
        ]


@dataclass(frozen=True, slots=True)
class _Readings:
    """What was found in a few clips."""

    clips: LabelledClips
    program: Tensor
    family: Tensor
    notes: np.ndarray
    """int64 (3,): keys that are down and found, found, down, counted over note frames."""
    statistics: dict[str, Tensor]
    """Layer -> (clips, n)."""
    random: dict[str, Tensor]
    mfcc: Tensor


def report(checkpoint: Path, held_out: Corpus, *, seed: int = 0) -> EncoderReport:
    """Measures a checkpoint on all audible clips of a held-out corpus.

    Args:
        checkpoint: What `train_encoder` wrote.
        held_out: Clips whose scores training never saw.
        seed: Seed of the random weights and of the draws.

    Raises:
        ValueError: The corpus holds fewer than two instruments that play two scores alone.
    """
    network, data = load_encoder(checkpoint)
    recipe = EncoderRecipe(**data["recipe"])
    corpus = LabelledCorpus(held_out)
    readings = list(_read(network, _random_vgg(recipe, seed), recipe, corpus))
    program, family = (torch.cat([getattr(r, name) for r in readings]) for name in ("program", "family"))
    labels, families = (torch.cat([getattr(r.clips, name) for r in readings]) for name in ("program", "family"))
    right, found, down = np.sum([r.notes for r in readings], axis=0).tolist()
    trained = torch.isin(labels, torch.tensor(data["programs"], dtype=torch.int64))
    picks = _instruments(labels.numpy(), torch.cat([r.clips.score for r in readings]).numpy())
    statistics = {name: torch.cat([r.statistics[name] for r in readings]) for name in STYLE_LAYERS}
    random = torch.cat([torch.cat(list(r.random.values()), dim=1) for r in readings])

    def share(features: Tensor) -> float:
        return _retrieved(features.numpy(), picks, np.random.default_rng(seed))

    return EncoderReport(
        n_clips=len(labels),
        n_programs=len(labels[trained].unique()),
        program_error=_error(program, labels, trained),
        family_error=_error(family, families, families != UNKNOWN),
        note_f1=2 * right / (found + down) if down else None,
        n_instruments=min(N_INSTRUMENTS, len(picks)),
        retrieval=share(torch.cat(list(statistics.values()), dim=1)),
        retrieval_random=share(random),
        retrieval_mfcc=share(torch.cat([r.mfcc for r in readings])),
        retrieval_layers=tuple((name, share(values)) for name, values in statistics.items()),
        confusion=_confusion(family, families),
    )


def _read(network: AudioEncoder, random: Vgg19, recipe: EncoderRecipe, corpus: LabelledCorpus) -> Iterator[_Readings]:
    for group in corpus.corpus.groups():
        clips = corpus.whole(group)
        loud = 10 * torch.log10(clips.audio.square().mean(1) + 1e-12) > QUIET_DBFS
        path = encoder_path(clips.sample_rate_hz, recipe.n_bands)
        for rows in loud.nonzero()[:, 0].split(CLIPS_A_CALL):
            few = _only(clips, rows)
            with torch.inference_mode():
                seen = picture(path.band_magnitudes(path.spectra(few.audio)))
                layers = network.vgg(seen, last=STYLE_LAYERS[-1])
                output, statistics = network.read(layers), layer_statistics(layers)
                others = layer_statistics(random(seen, last=STYLE_LAYERS[-1]))
            yield _Readings(
                few,
                output.program,
                output.family,
                _note_counts(output.notes, few),
                statistics,
                others,
                _mfcc_means(few),
            )


def _only(clips: LabelledClips, rows: Tensor) -> LabelledClips:
    return LabelledClips(
        audio=clips.audio[rows],
        sample_rate_hz=clips.sample_rate_hz,
        program=clips.program[rows],
        family=clips.family[rows],
        instrument=clips.instrument[rows],
        score=clips.score[rows],
        notes=clips.notes[rows],
        has_notes=clips.has_notes[rows],
    )


def _random_vgg(recipe: EncoderRecipe, seed: int) -> Vgg19:
    torch.manual_seed(seed)
    return Vgg19(width=recipe.width, batch_norm=recipe.batch_norm).eval()


def _mfcc_means(clips: LabelledClips) -> Tensor:
    means = [
        librosa.feature.mfcc(y=audio, sr=clips.sample_rate_hz, n_mfcc=N_MFCC + 1)[1:].mean(1)
        for audio in clips.audio.numpy()
    ]
    return torch.from_numpy(np.stack(means))


def _error(logits: Tensor, labels: Tensor, rows: Tensor) -> float | None:
    return (logits[rows].argmax(1) != labels[rows]).float().mean().item() if rows.any() else None


def _confusion(logits: Tensor, families: Tensor) -> tuple[tuple[int, ...], ...]:
    known = families != UNKNOWN
    counts = torch.bincount(families[known] * N_FAMILIES + logits[known].argmax(1), minlength=N_FAMILIES**2)
    return tuple(tuple(row) for row in counts.reshape(N_FAMILIES, N_FAMILIES).tolist())


def _note_counts(logits: Tensor, clips: LabelledClips) -> np.ndarray:
    told = clips.has_notes > 0
    found, down = logits[told].sigmoid() > NOTE_THRESHOLD, clips.notes[told] > 0
    return np.array([(found & down).sum(), found.sum(), down.sum()], np.int64)


def _instruments(programs: np.ndarray, scores: np.ndarray) -> list[np.ndarray]:
    """For each program that plays at least two scores alone: the rows of clips, one a score."""
    picks: list[np.ndarray] = []
    for program in np.unique(programs[programs != UNKNOWN]):
        rows = np.flatnonzero(programs == program)
        rows = rows[np.unique(scores[rows], return_index=True)[1]]
        if len(rows) > 1:
            picks.append(rows)
    if len(picks) < 2:
        raise ValueError(f"expected two programs that play two scores alone in the held-out corpus, got {len(picks)}")
    return picks


def _retrieved(features: np.ndarray, picks: list[np.ndarray], rng: np.random.Generator) -> float:
    """Share of right answers over the draws: cosine between standardised features decides what is nearest."""
    white = (features - features.mean(0)) / (features.std(0) + 1e-8)
    unit = white / (np.linalg.norm(white, axis=1, keepdims=True) + 1e-12)
    right: list[float] = []
    for _ in range(N_DRAWS):
        chosen = rng.choice(len(picks), min(N_INSTRUMENTS, len(picks)), replace=False)
        asked, offered = np.stack([rng.choice(picks[index], 2, replace=False) for index in chosen]).T
        nearest = (unit[asked] @ unit[offered].T).argmax(1)
        right.append(float(np.mean(nearest == np.arange(len(chosen)))))
    return float(np.mean(right))


def _percent(share: float | None) -> str:
    return "    -" if share is None else f"{100 * share:4.1f} %"
