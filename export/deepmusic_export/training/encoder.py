"""Trains the audio VGG19, multi-task, on a rendered corpus.

What an instrument is must be in the *statistics* of the layers (mean and deviation over time and frequency), since
AdaIN and Gram losses look there: program and family are read from them by one linear layer each, and clips of one
patch are drawn together in them (supervised contrastive loss, Khosla et al. 2020). What is played must be in the
*layout*: the notes are read from relu3_4, frame by frame.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from deepmusic.dsp.gains import BandLayout
from deepmusic_export.data import Corpus
from deepmusic_export.features import SignalPath
from deepmusic_export.nets.packed_vgg19 import write_packed
from deepmusic_export.nets.picture import picture
from deepmusic_export.nets.vgg19 import STYLE_LAYERS, WIDTHS, Vgg19, read_weights
from deepmusic_export.training.labelled import N_FAMILIES, N_KEYS, N_PROGRAMS, UNKNOWN, LabelledClips, LabelledCorpus
from deepmusic_export.training.schedule import set_learning_rate
from deepmusic_export.training.torch_file import expecting
from deepmusic_export.whole_file import whole_file

#: The layer from whose layout the notes are read.
NOTE_LAYER = "relu3_4"
#: Columns in a note frame: the pools before relu3_4.
COLUMNS_PER_NOTE_FRAME = 4
#: Temperature of the contrastive loss (Khosla et al. 2020 use 0.1).
TEMPERATURE = 0.1
#: Weights of the losses. Few of 88 keys are down, so the mean over keys is small.
FAMILY_WEIGHT, PAIR_WEIGHT, NOTE_WEIGHT = 0.5, 1.0, 5.0
#: Steps over which the learning rate rises.
WARM_UP_STEPS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderRecipe:
    """How to train."""

    width: int = 64
    """Channels of the first block; 64 is VGG19."""
    n_bands: int = 96
    """Bands of the picture, a multiple of 32."""
    batch_norm: bool = True
    minutes: float = 60.0
    """Time budget; the learning rate falls to zero at its end."""
    batch_size: int = 24
    """Clips a step, a multiple of 4."""
    crop_samples: int = 131072
    """Length of a crop, a multiple of 32768: five pools halve its columns."""
    learning_rate: float = 2e-3
    is_mixed: bool = False
    """Whether convolutions are trained in bfloat16: faster where the processor has it."""
    seed: int = 0
    imagenet: str | None = None
    """File or https URL of torchvision's weights to start from; needs width 64."""
    imagenet_sha256: str | None = None
    """Checksum of `imagenet`; a URL needs one."""

    def __post_init__(self) -> None:
        if self.n_bands % 32 or self.n_bands < 32:
            raise ValueError(f"expected n_bands to be a multiple of 32, got {self.n_bands}")
        if self.batch_size % 4 or self.batch_size < 4:
            raise ValueError(f"expected batch_size to be a multiple of 4, got {self.batch_size}")
        if self.crop_samples % 32768 or self.crop_samples < 32768:
            raise ValueError(f"expected crop_samples to be a multiple of 32768, got {self.crop_samples}")


@dataclass(frozen=True, slots=True)
class EncoderOutput:
    """What the network says of a batch of clips."""

    statistics: Tensor
    """(batch, n): standardised mean and deviation of the STYLE_LAYERS."""
    program: Tensor
    """Logits (batch, N_PROGRAMS)."""
    family: Tensor
    """Logits (batch, N_FAMILIES)."""
    notes: Tensor
    """Logits (batch, note frames, N_KEYS)."""


@dataclass(frozen=True, slots=True)
class EncoderLosses:
    """The parts of the loss, each a mean over what is known."""

    program: Tensor
    family: Tensor
    pairs: Tensor
    notes: Tensor

    def total(self) -> Tensor:
        """The training loss."""
        return self.program + FAMILY_WEIGHT * self.family + PAIR_WEIGHT * self.pairs + NOTE_WEIGHT * self.notes

    def values(self) -> dict[str, float]:
        """Name of each part -> its value."""
        return {name: getattr(self, name).item() for name in ("program", "family", "pairs", "notes")}


class AudioEncoder(nn.Module):
    """VGG19 on band magnitudes, with a head for each task."""

    def __init__(self, recipe: EncoderRecipe) -> None:
        super().__init__()
        self.is_mixed = recipe.is_mixed
        self.vgg = Vgg19(width=recipe.width, batch_norm=recipe.batch_norm)
        n_statistics = 2 * recipe.width * sum(WIDTHS)
        self.standardise = nn.BatchNorm1d(n_statistics, affine=False)
        self.program = nn.Linear(n_statistics, N_PROGRAMS)
        self.family = nn.Linear(n_statistics, N_FAMILIES)
        self.notes = nn.Linear(WIDTHS[2] * recipe.width * (recipe.n_bands // COLUMNS_PER_NOTE_FRAME), N_KEYS)
        nn.init.constant_(self.notes.bias, -3.0)  # a key is rarely down

    def forward(self, bands: Tensor) -> EncoderOutput:
        """Reads band magnitudes (batch, frames, bands); frames at least 128."""
        seen = picture(bands)
        with torch.autocast(seen.device.type, torch.bfloat16, enabled=self.is_mixed and self.training):
            layers = self.vgg(seen, last=STYLE_LAYERS[-1])
        return self.read({name: layers[name].float() for name in (*STYLE_LAYERS, NOTE_LAYER)})

    def read(self, layers: dict[str, Tensor]) -> EncoderOutput:
        """What the heads make of the layers."""
        statistics = self.standardise(torch.cat(list(layer_statistics(layers).values()), dim=1))
        layout = layers[NOTE_LAYER].permute(0, 2, 1, 3).flatten(2)
        return EncoderOutput(statistics, self.program(statistics), self.family(statistics), self.notes(layout))


def layer_statistics(layers: dict[str, Tensor]) -> dict[str, Tensor]:
    """Mean and deviation over time and frequency of each of STYLE_LAYERS: name -> (batch, 2 * channels)."""
    statistics: dict[str, Tensor] = {}
    for name in STYLE_LAYERS:
        mean = layers[name].mean((2, 3))
        deviation = torch.sqrt((layers[name] - mean[:, :, None, None]).square().mean((2, 3)) + 1e-5)
        statistics[name] = torch.cat([mean, deviation], dim=1)
    return statistics


def encoder_losses(output: EncoderOutput, clips: LabelledClips) -> EncoderLosses:
    """Losses of a batch; clips without a label have no part in that label's mean."""
    notes = F.binary_cross_entropy_with_logits(output.notes, clips.notes, reduction="none").mean((1, 2))
    return EncoderLosses(
        _cross_entropy(output.program, clips.program),
        _cross_entropy(output.family, clips.family),
        pair_loss(output.statistics, clips.instrument),
        (notes * clips.has_notes).sum() / clips.has_notes.sum().clamp(min=1),
    )


def pair_loss(statistics: Tensor, instrument: Tensor) -> Tensor:
    """Supervised contrastive loss (Khosla et al. 2020, equation 2): clips of one instrument find each other.

    Args:
        statistics: (batch, n).
        instrument: int64 (batch,).
    """
    unit = F.normalize(statistics, dim=1)
    itself = torch.eye(len(unit), dtype=torch.bool, device=unit.device)
    similarity = (unit @ unit.T / TEMPERATURE).masked_fill(itself, -1e4)
    same = ((instrument[:, None] == instrument[None]) & ~itself).float()
    found = (F.log_softmax(similarity, dim=1) * same).sum(1) / same.sum(1).clamp(min=1)
    paired = (same.sum(1) > 0).float()
    return -(found * paired).sum() / paired.sum().clamp(min=1)


class EncoderTrainer:
    """One training run: network, optimiser and progress."""

    def __init__(self, recipe: EncoderRecipe, corpus: Corpus, held_out: Corpus | None, device: str = "cpu") -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.device = recipe, torch.device(device)
        self.corpus = LabelledCorpus(corpus)
        self.network = AudioEncoder(recipe).to(self.device, memory_format=torch.channels_last)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.98), weight_decay=1e-3
        )
        self.step, self.spent_s = 0, 0.0
        self.history: list[dict[str, float]] = []
        self._paths: dict[int, SignalPath] = {}
        self._validation = None if held_out is None else self._validation_clips(LabelledCorpus(held_out))

    def start_from_imagenet(self, cache: Path) -> None:
        """Takes torchvision's weights, where the recipe names them; `cache` keeps the download."""
        if self.recipe.imagenet is not None:
            state = read_weights(self.recipe.imagenet, sha256=self.recipe.imagenet_sha256, cache=cache)
            self.network.vgg.load_imagenet(state)

    def run(self, checkpoint: Path) -> None:
        """Trains until the budget is spent; writes the checkpoint every two minutes and at the end."""
        budget_s = self.recipe.minutes * 60
        last_saved_s = self.spent_s
        started = time.monotonic() - self.spent_s
        losses: EncoderLosses | None = None
        with tqdm(total=round(budget_s), initial=round(self.spent_s), unit="s", disable=None) as bar:
            while self.spent_s < budget_s:
                set_learning_rate(
                    self.optimiser, self.recipe.learning_rate, self.step, self.spent_s / budget_s, WARM_UP_STEPS
                )
                rng = np.random.default_rng((self.recipe.seed, self.step))
                losses = self.train_step(self.corpus.batch(rng, self.recipe.batch_size, self.recipe.crop_samples))
                self.spent_s = time.monotonic() - started
                bar.set_postfix(step=self.step, loss=f"{losses.total().item():.2f}")
                bar.update(round(self.spent_s) - bar.n)
                if self.step % 50 == 0:
                    self._log(losses)
                if self.spent_s - last_saved_s > 120:
                    self.save(checkpoint)
                    last_saved_s = self.spent_s
        if losses is not None:
            self._log(losses)
            self.save(checkpoint)

    def train_step(self, clips: LabelledClips) -> EncoderLosses:
        """One step of the optimiser; returns the losses of this batch."""
        self.network.train()
        losses = self._losses(clips)
        self.optimiser.zero_grad(set_to_none=True)
        losses.total().backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), 10.0)
        if torch.isfinite(norm):
            self.optimiser.step()
        self.step += 1
        return losses

    def validate(self) -> dict[str, float]:
        """Losses on the fixed held-out clips; program and family count only where training knows the label."""
        if self._validation is None:
            return {}
        self.network.eval()
        with torch.no_grad():
            parts = [self._losses(clips).values() for clips in self._validation]
        return {name: float(np.mean([part[name] for part in parts])) for name in parts[0]}

    def save(self, path: Path) -> None:
        """Writes everything that `load` needs to go on, by rename."""
        data = {
            "recipe": asdict(self.recipe),
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "spent_s": self.spent_s,
            "history": self.history,
            "programs": list(self.corpus.programs),
            "corpus_hours": self.corpus.corpus.hours,
        }
        with whole_file(path) as partial:
            torch.save(data, partial)

    def load(self, path: Path) -> None:
        """Goes on where a checkpoint stopped."""
        data = torch.load(path, map_location=self.device, weights_only=True)
        self.network.load_state_dict(data["network"])
        self.optimiser.load_state_dict(data["optimiser"])
        self.step, self.spent_s, self.history = data["step"], data["spent_s"], data["history"]

    def _losses(self, clips: LabelledClips) -> EncoderLosses:
        clips = LabelledClips(
            sample_rate_hz=clips.sample_rate_hz,
            **{
                name: getattr(clips, name).to(self.device)
                for name in ("audio", "program", "family", "instrument", "score", "notes", "has_notes")
            },
        )
        with torch.no_grad():
            bands = self._bands(clips)
        return encoder_losses(self.network(bands), clips)

    def _bands(self, clips: LabelledClips) -> Tensor:
        rate = clips.sample_rate_hz
        if rate not in self._paths:
            self._paths[rate] = encoder_path(rate, self.recipe.n_bands).to(self.device)
        path = self._paths[rate]
        return path.band_magnitudes(path.spectra(clips.audio))

    def _validation_clips(self, corpus: LabelledCorpus) -> list[LabelledClips]:
        rng = np.random.default_rng(12345)
        return [corpus.batch(rng, self.recipe.batch_size, self.recipe.crop_samples) for _ in range(2)]

    def _log(self, losses: EncoderLosses) -> None:
        entry = {"step": float(self.step), "minutes": self.spent_s / 60}
        entry |= {f"train_{name}": value for name, value in losses.values().items()}
        entry |= {f"held_{name}": value for name, value in self.validate().items()}
        self.history.append(entry)
        tqdm.write(" ".join(f"{name}={value:.3f}" for name, value in entry.items()))


def train_encoder(
    recipe: EncoderRecipe,
    corpus: Corpus,
    held_out: Corpus | None,
    checkpoint: Path,
    *,
    device: str = "cpu",
    cache: Path | None = None,
) -> None:
    """Trains the audio VGG19 into a checkpoint; one that is there already is gone on with.

    Args:
        recipe: How to train; a checkpoint that is gone on with keeps its own but for `minutes`.
        corpus: What to train on.
        held_out: Clips whose losses are printed on the way, or None.
        checkpoint: The file.
        device: `cpu` or `cuda`.
        cache: Where a download of ImageNet weights is kept; beside the checkpoint by default.

    Raises:
        ValueError: The checkpoint is of another network.
    """
    trainer = EncoderTrainer(recipe, corpus, held_out, device)
    if checkpoint.exists():
        before = load_encoder(checkpoint)[1]["recipe"]
        for name in ("width", "n_bands", "batch_norm"):
            if before[name] != getattr(recipe, name):
                raise ValueError(
                    f"expected {name} {before[name]} as in {checkpoint.name}, got {getattr(recipe, name)}; "
                    "train into another file"
                )
        trainer.load(checkpoint)
    else:
        trainer.start_from_imagenet(cache or checkpoint.parent)
    trainer.run(checkpoint)


def load_encoder(path: Path) -> tuple[AudioEncoder, dict[str, Any]]:
    """The network of a checkpoint, in evaluation mode, and the checkpoint's other entries.

    Raises:
        ValueError: It is another file.
    """
    with expecting("a checkpoint that deepmusic-export encoder wrote", path):
        data: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        network = AudioEncoder(EncoderRecipe(**data["recipe"]))
        network.load_state_dict(data["network"])
    return network.eval(), data


def pack_checkpoint(checkpoint: Path, path: Path) -> None:
    """Writes the VGG19 of a checkpoint in the form that an optimisation reads and that ships.

    Raises:
        ValueError: The checkpoint is another file.
    """
    network, data = load_encoder(checkpoint)
    recipe = EncoderRecipe(**data["recipe"])
    facts = {
        "n_bands": recipe.n_bands,
        "steps": data["step"],
        "batch_size": recipe.batch_size,
        "minutes": round(data["spent_s"] / 60, 1),
        "corpus_hours": round(data["corpus_hours"], 1),
        "seed": recipe.seed,
    }
    write_packed(path, network.vgg, facts)


def encoder_path(sample_rate_hz: int, n_bands: int) -> SignalPath:
    """The signal path whose band magnitudes the encoder reads."""
    return SignalPath(sample_rate_hz, BandLayout(n_bands=n_bands))


def _cross_entropy(logits: Tensor, label: Tensor) -> Tensor:
    total = F.cross_entropy(logits, label, ignore_index=UNKNOWN, reduction="sum")
    return total / (label != UNKNOWN).sum().clamp(min=1)
