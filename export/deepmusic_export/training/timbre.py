"""Trains the timbre measure on a corpus that is not judged, keeps it, and tells how far it can be trusted."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from deepmusic_export.data import Corpus
from deepmusic_export.metrics import Recording
from deepmusic_export.nets.timbre import TimbreNet, mfcc_frames
from deepmusic_export.training.schedule import set_learning_rate
from deepmusic_export.training.torch_file import expecting
from deepmusic_export.whole_file import whole_file

#: Distance by which another instrument must be farther away than the same one (Cifka et al. 2021 do not tell theirs).
MARGIN = 0.3
#: Steps over which the learning rate rises.
WARM_UP_STEPS = 20
#: What is read of a group's file to know it again, bytes: its first clip, at least.
DIGEST_BYTES = 1 << 20
#: Format of the file.
FILE_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TimbreRecipe:
    """How to train; equal recipes on equal corpora give equal networks."""

    n_groups: int = 128
    """At most so many groups of the corpus are read, spread over it."""
    steps: int = 1500
    groups_a_step: int = 8
    """Groups of a batch; all instruments of a group play the same two scores in it."""
    n_frames: int = 96
    """Length of a crop, frames of 32 ms."""
    learning_rate: float = 2e-3
    seed: int = 0


class TimbreMeasure:
    """A trained network and what it was trained on.

    Args:
        network: The network.
        trained_on: Digests of the groups that training read.
        seed: Seed of the training.
    """

    def __init__(self, network: TimbreNet, trained_on: frozenset[str], seed: int) -> None:
        self.network, self.trained_on, self.seed = network.eval(), trained_on, seed
        self._embeddings: WeakKeyDictionary[Recording, np.ndarray] = WeakKeyDictionary()

    @classmethod
    def load(cls, path: Path) -> TimbreMeasure:
        """Reads what `save` wrote.

        Raises:
            ValueError: It is another file, or of another format.
        """
        with expecting("a file that deepmusic-export timbre wrote", path):
            data = torch.load(path, map_location="cpu", weights_only=True)
        found = data.get("format") if isinstance(data, dict) else None
        if found != FILE_FORMAT:
            raise ValueError(f"expected a timbre file of format {FILE_FORMAT} in {path}, got {found}")
        network = TimbreNet()
        network.load_state_dict(data["network"])
        return cls(network, frozenset(data["trained_on"]), data["seed"])

    def save(self, path: Path) -> None:
        """Writes the network and the digests of what it was trained on."""
        network = self.network.state_dict()
        data = {"format": FILE_FORMAT, "network": network, "trained_on": sorted(self.trained_on), "seed": self.seed}
        with whole_file(path) as partial:
            torch.save(data, partial)

    def embed(self, recording: Recording) -> np.ndarray:
        """The embedding of a whole recording, float32 (n,), of length one; worked out once a recording."""
        if recording not in self._embeddings:
            with torch.inference_mode():
                embedding = self.network(torch.from_numpy(mfcc_frames(recording.mel_power))[None])[0].numpy()
            self._embeddings[recording] = embedding
        return self._embeddings[recording]


def train_timbre(recipe: TimbreRecipe, corpus: Corpus) -> TimbreMeasure:
    """Trains on triplets of a corpus.

    In a step, every instrument of a few groups plays two scores. Each clip must be nearer to its instrument's other
    score than to any other instrument's, those that play its own score among them: the mean over all triplets that
    violate the margin (batch-all of Hermans et al. 2017).

    Args:
        recipe: How.
        corpus: What training may hear.

    Raises:
        ValueError: No group has two instruments.
    """
    torch.manual_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)
    chosen = _spread(_usable_groups(corpus), recipe.n_groups)
    groups = [_read(corpus, group) for group in tqdm(chosen, desc="MFCC", unit="group", disable=None)]
    network = TimbreNet()
    every = np.concatenate([mfcc for clips in groups for scores in clips.values() for mfcc in scores])
    network.mean.copy_(torch.from_numpy(every.mean(0)))
    network.deviation.copy_(torch.from_numpy(every.std(0)) + 1e-3)
    numbers = {sound: number for number, sound in enumerate(sorted({sound for clips in groups for sound in clips}))}
    optimiser = torch.optim.Adam(network.parameters(), lr=recipe.learning_rate)
    for step in tqdm(range(recipe.steps), desc="timbre", unit="step", disable=None):
        set_learning_rate(optimiser, recipe.learning_rate, step, step / recipe.steps, WARM_UP_STEPS)
        crops: list[np.ndarray] = []
        labels: list[int] = []
        for index in rng.integers(len(groups), size=recipe.groups_a_step):
            for sound, scores in groups[index].items():
                crops += [_crop(rng, scores[score], recipe.n_frames) for score in rng.permutation(len(scores))[:2]]
                labels += [numbers[sound]] * 2
        loss = triplet_loss(network(torch.from_numpy(np.stack(crops))), torch.tensor(labels))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return TimbreMeasure(network, frozenset(group_digest(group) for group in chosen), recipe.seed)


def triplet_loss(embeddings: Tensor, labels: Tensor) -> Tensor:
    """Mean over the triplets that violate the margin; 0 where none does.

    Args:
        embeddings: (clips, n), of length one.
        labels: int64 (clips,): equal for clips of one instrument.
    """
    distance = 1.0 - embeddings @ embeddings.T
    same = labels[:, None] == labels[None]
    others = same & ~torch.eye(len(labels), dtype=torch.bool)
    # violation[a, p, n]: anchor, positive, negative
    violation = F.relu(distance[:, :, None] - distance[:, None, :] + MARGIN)
    violation = violation * (others[:, :, None] & ~same[:, None, :])
    return violation.sum() / ((violation > 0).sum() + 1e-6)


def group_digest(group: Path) -> str:
    """A group of a corpus, known again under any name: the sha256 of the start of its audio."""
    with group.open("rb") as file:
        return hashlib.sha256(file.read(DIGEST_BYTES)).hexdigest()


def refuse_trained_on(trained_on: Container[str], held_out: Iterable[Corpus]) -> None:
    """Makes sure that nothing is judged that a measure was trained on.

    Args:
        trained_on: Digests of the training's groups.
        held_out: What is to be judged.

    Raises:
        ValueError: A group is in both, under whatever name.
    """
    for corpus in held_out:
        for group in corpus.groups():
            if group_digest(group) in trained_on:
                raise ValueError(
                    f"expected a timbre measure that never heard {group.parent.name}, got one trained on its "
                    f"{group.stem}; name a training corpus, never a held-out one"
                )


def _usable_groups(corpus: Corpus) -> list[Path]:
    groups = [group for group in corpus.groups() if len(corpus.instruments(group)) > 1 and corpus.shape(group)[1] > 1]
    if not groups:
        raise ValueError("expected a group with two instruments and two scores to train the timbre measure on")
    return groups


def _spread(groups: list[Path], n_groups: int) -> list[Path]:
    return [groups[index] for index in np.linspace(0, len(groups) - 1, min(n_groups, len(groups))).round().astype(int)]


def _read(corpus: Corpus, group: Path) -> dict[str, list[np.ndarray]]:
    """Sound -> MFCC (frames, N_MFCC) of its scores, of the instruments that sound in two of them at least."""
    by_patch: dict[int, list[np.ndarray]] = {}
    for patch, _, audio, rate_hz in corpus.audible_clips(group):
        by_patch.setdefault(patch, []).append(mfcc_frames(Recording(audio, rate_hz).mel_power))
    heard = {corpus.sounds(group)[patch]: scores for patch, scores in by_patch.items()}  # of equal sounds, the last
    return {sound: scores for sound, scores in heard.items() if len(scores) > 1}


def _crop(rng: np.random.Generator, mfcc: np.ndarray, n_frames: int) -> np.ndarray:
    long = np.tile(mfcc, (-(-n_frames // len(mfcc)), 1))
    start = rng.integers(len(long) - n_frames + 1)
    return long[start : start + n_frames]
