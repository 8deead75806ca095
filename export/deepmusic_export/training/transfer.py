"""Trains the style encoder and the transfer network together, against oracle renders.

The recipe: paired renders (content, style, oracle), the streaming network unrolled over a random crop with its running
statistics in the loop, the whole signal path through synthesis differentiated, log-mel distances as the loss, Adam, one
warm-up and a cosine over the time budget, an exponential average of the weights as the result.
"""

from __future__ import annotations

import copy
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from deepmusic.dsp.gains import BandLayout
from deepmusic_export.data import Batch, Corpus
from deepmusic_export.features import SignalPath
from deepmusic_export.losses import OracleDistance, OracleLoss
from deepmusic_export.nets.style_net import StyleNet
from deepmusic_export.nets.transfer import STEP_FRAMES, TransferConfig, TransferNet
from deepmusic_export.training.schedule import set_learning_rate

#: Weight of the roughness of the gains over bands, per dB.
SMOOTHNESS = 0.02
#: Samples at the crop's start that the loss leaves out: the statistics have heard too little there.
WARM_UP_SAMPLES = 8192
#: Steps over which the learning rate rises to its full height.
WARM_UP_STEPS = 60
#: The style is heard for this many samples at most.
STYLE_SAMPLES = 98304


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferRecipe:
    """How to train."""

    network: TransferConfig = field(default_factory=TransferConfig)
    style_width: int = 16
    """Channels of the style encoder's first layer."""
    minutes: float = 60.0
    """Time budget; the learning rate falls to zero at its end."""
    batch_size: int = 12
    crop_samples: int = 102400
    """Length of a crop, a multiple of 1024."""
    learning_rate: float = 1.5e-3
    seed: int = 0
    average_decay: float = 0.995
    """Decay of the averaged weights, per step."""


class TransferSystem(nn.Module):
    """Style encoder and transfer network: audio in, audio out, as the runtime plays it."""

    def __init__(self, recipe: TransferRecipe) -> None:
        super().__init__()
        config = recipe.network
        self.style = StyleNet(config.n_bands, recipe.style_width, config.n_embedding, config.n_situations)
        self.transfer = TransferNet(config)

    def gains(self, content_bands: Tensor, style_bands: Tensor) -> Tensor:
        """Gains in dB for a whole crop from the initial state."""
        style = self.style(style_bands)
        batch = content_bands.shape[0]
        state = self.transfer.initial_state().expand(batch, -1)
        freeze = torch.zeros(batch, 1, device=content_bands.device)
        return self.transfer(content_bands, style, freeze, state)[0]


class TransferTrainer:
    """One training run: its networks, optimiser, averages and progress."""

    def __init__(self, recipe: TransferRecipe, corpus: Corpus, validation: Corpus | None, device: str = "cpu") -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.corpus, self.device = recipe, corpus, torch.device(device)
        self.system = TransferSystem(recipe).to(self.device, memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.system).eval()
        self.optimiser = torch.optim.AdamW(
            self.system.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.98), weight_decay=1e-4
        )
        self.paths: dict[int, SignalPath] = {}
        self.distances: dict[int, OracleLoss] = {}
        self.step, self.spent_s = 0, 0.0
        self.history: list[dict[str, float]] = []
        self._validation = None if validation is None else self._validation_batches(validation)

    def run(self, checkpoint: Path) -> None:
        """Trains until the budget is spent; writes the checkpoint every two minutes and at the end."""
        budget_s = self.recipe.minutes * 60
        distance: OracleDistance | None = None
        last_saved_s = self.spent_s
        started = time.monotonic() - self.spent_s
        with tqdm(total=round(budget_s), initial=round(self.spent_s), unit="s", disable=None) as bar:
            while self.spent_s < budget_s:
                set_learning_rate(
                    self.optimiser, self.recipe.learning_rate, self.step, self.spent_s / budget_s, WARM_UP_STEPS
                )
                rng = np.random.default_rng((self.recipe.seed, self.step))
                distance = self.train_step(self.corpus.batch(rng, self.recipe.batch_size, self.recipe.crop_samples))
                self.spent_s = time.monotonic() - started
                bar.set_postfix(
                    step=self.step, lsd=f"{distance.lsd80.item():.2f}", lsd50=f"{distance.lsd50.item():.2f}"
                )
                bar.update(round(self.spent_s) - bar.n)
                if self.step % 50 == 0:
                    self._log(distance)
                if self.spent_s - last_saved_s > 120:
                    self.save(checkpoint)
                    self.corpus.refresh()
                    last_saved_s = self.spent_s
        if distance is not None:
            self._log(distance)
        self.save(checkpoint)

    def train_step(self, batch: Batch) -> OracleDistance:
        """One step of the optimiser; returns the distances of this batch."""
        self.system.train()
        noise = torch.Generator(self.device).manual_seed(self.recipe.seed + self.step)
        distance, roughness = self._distance(self.system, batch, noise)
        loss = distance.total() + SMOOTHNESS * roughness
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.system.parameters(), 20.0)
        if torch.isfinite(norm):
            self.optimiser.step()
        self._update_average()
        self.step += 1
        return distance

    def validate(self) -> dict[str, float]:
        """Distances of the averaged weights on the fixed validation batches, in dB."""
        if self._validation is None:
            return {}
        with torch.no_grad():
            noise = torch.Generator(self.device).manual_seed(0)
            parts = [self._distance(self.average, batch, noise)[0] for batch in self._validation]
        return {
            name: float(np.mean([float(getattr(part, name)) for part in parts]))
            for name in ("lsd80", "lsd50", "wide", "short")
        }

    def save(self, path: Path) -> None:
        """Writes everything that `load` needs to go on, by rename."""
        partial = path.with_suffix(".part")
        torch.save(
            {
                "recipe": asdict(self.recipe),
                "system": self.system.state_dict(),
                "average": self.average.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "step": self.step,
                "spent_s": self.spent_s,
                "history": self.history,
                "corpus_hours": self.corpus.hours,
            },
            partial,
        )
        partial.rename(path)

    def load(self, path: Path) -> None:
        """Goes on where a checkpoint stopped."""
        data = torch.load(path, map_location=self.device, weights_only=True)
        self.system.load_state_dict(data["system"])
        self.average.load_state_dict(data["average"])
        self.optimiser.load_state_dict(data["optimiser"])
        self.step, self.spent_s, self.history = data["step"], data["spent_s"], data["history"]

    def _distance(self, system: TransferSystem, batch: Batch, noise: torch.Generator) -> tuple[OracleDistance, Tensor]:
        path, loss = self._path(batch.sample_rate_hz)
        content, oracle, style = (x.to(self.device) for x in (batch.content, batch.oracle, batch.style))
        with torch.no_grad():
            excitations = path.excite(content, noise)
            style_bands = path.band_magnitudes(path.spectra(style[:, :STYLE_SAMPLES]))
        gains = system.gains(excitations.bands, style_bands)
        output = path.resynthesise(path.shape(excitations.spectra, gains))
        delay = path.geometry.n_synthesis - path.geometry.hop
        # `resynthesise` puts the sample of input position n at n - delay of its tail-less output: align both ends.
        length = content.shape[1] - delay
        output, oracle = output[:, :length], oracle[:, :length]
        roughness = (gains[..., 1:] - gains[..., :-1]).abs().mean()
        return loss(output[:, WARM_UP_SAMPLES:], oracle[:, WARM_UP_SAMPLES:]), roughness

    def _path(self, sample_rate_hz: int) -> tuple[SignalPath, OracleLoss]:
        if sample_rate_hz not in self.paths:
            layout = BandLayout(n_bands=self.recipe.network.n_bands)
            self.paths[sample_rate_hz] = SignalPath(sample_rate_hz, layout).to(self.device)
            self.distances[sample_rate_hz] = OracleLoss(sample_rate_hz).to(self.device)
        return self.paths[sample_rate_hz], self.distances[sample_rate_hz]

    def _update_average(self) -> None:
        decay = min(self.recipe.average_decay, (1 + self.step) / (20 + self.step))
        with torch.no_grad():
            for mean, value in zip(self.average.state_dict().values(), self.system.state_dict().values(), strict=True):
                if mean.dtype.is_floating_point:
                    mean.lerp_(value, 1 - decay)
                else:
                    mean.copy_(value)

    def _validation_batches(self, corpus: Corpus) -> list[Batch]:
        rng = np.random.default_rng(12345)
        n_samples = self.recipe.crop_samples // STEP_FRAMES * STEP_FRAMES
        return [corpus.batch(rng, 8, n_samples) for _ in range(3)]

    def _log(self, distance: OracleDistance) -> None:
        entry = {"step": float(self.step), "minutes": self.spent_s / 60}
        entry |= {
            f"train_{name}": float(getattr(distance, name).detach()) for name in ("lsd80", "lsd50", "wide", "short")
        }
        if self.step % 150 == 0 or not self.history:
            entry |= {f"valid_{name}": value for name, value in self.validate().items()}
        self.history.append(entry)
        tqdm.write(" ".join(f"{name}={value:.3f}" for name, value in entry.items()))


def load_system(path: Path) -> tuple[TransferSystem, dict[str, Any]]:
    """The averaged networks of a checkpoint, in evaluation mode, and the checkpoint's other entries."""
    data: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    recipe = recipe_from_dict(data["recipe"])
    system = TransferSystem(recipe)
    system.load_state_dict(data["average"])
    return system.eval(), data


def recipe_from_dict(fields: dict[str, Any]) -> TransferRecipe:
    """The recipe that a checkpoint was trained with."""
    return TransferRecipe(**{**fields, "network": TransferConfig(**fields["network"])})
