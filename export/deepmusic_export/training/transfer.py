"""Trains the style encoder and the transfer network together, against oracle renders.

The recipe: paired renders (content, style, oracle), the streaming network unrolled over a random crop with its running
statistics in the loop, log-spectral distances as the loss, Adam, one warm-up and a cosine over the time budget, an
exponential average of the weights as the result. It has two stages. In the first the network hears and is judged by
band powers that were worked out once: three steps in the time of one, and pairs that no render has (layers, noise). In
the second the whole signal path is differentiated, through synthesis to the spectrograms of the measure. In both,
instruments are mixed and equalised.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from deepmusic.dsp.gains import BandLayout
from deepmusic_export.band_corpus import BandBatch, BandCorpus
from deepmusic_export.data import Batch, Corpus
from deepmusic_export.features import SignalPath
from deepmusic_export.losses import (
    LOUDNESS_WEIGHT,
    BandDistances,
    BandLoss,
    LoudnessDistance,
    OracleDistance,
    OracleLoss,
    teacher_distance,
)
from deepmusic_export.nets.transfer import STEP_FRAMES
from deepmusic_export.nets.widen import widened
from deepmusic_export.training.bundled import Networks, renormalise
from deepmusic_export.training.schedule import set_learning_rate
from deepmusic_export.training.system import (
    TransferRecipe,
    TransferSystem,
    read_checkpoint,
    recipe_from_dict,
)
from deepmusic_export.whole_file import whole_file

#: Weight of the roughness of the gains over bands, per dB.
SMOOTHNESS = 0.02
#: Weight of a decibel between student and teacher, against a decibel of the first distance to the oracle.
TEACHER_WEIGHT = 1.0
#: Frames at the crop's start that the loss leaves out: the statistics have heard too little there.
WARM_UP_FRAMES = 64
#: The same in samples at 44.1 and 48 kHz.
WARM_UP_SAMPLES = 256 * WARM_UP_FRAMES
#: Learning rate of the layers that sum over hundreds of numbers, against that of the convolutions: a step of Adam moves
#: every weight alike, and their sums the further the more there are.
WIDE_SCALE = 0.3
#: Steps over which the learning rate rises to its full height.
WARM_UP_STEPS = 60
#: Steps from one line of the log to the next, and from one validation to the next.
LOG_STEPS, VALIDATION_STEPS = 50, 400
#: Batches of the validation: 24 examples did not show a tenth of a decibel that 150 clips did.
N_VALIDATION_BATCHES = 12
#: Batches from which the normalisations of a bundle's networks get their moments.
N_HEARD_BATCHES = 8
#: A unit is live that deviates by more than this between styles.
LIVE_DEVIATION = 1e-3
#: The style is heard for this many samples at most.
STYLE_SAMPLES = 98304


class TransferTrainer:
    """One training run: its networks, optimiser, averages and progress.

    Args:
        recipe: How to train.
        corpus: What to train on.
        validation: Held-out corpus to watch.
        device: torch's device.
        teacher: Whose student this network is: its style encoder is taken over and stays as it is.
    """

    def __init__(
        self,
        recipe: TransferRecipe,
        corpus: Corpus,
        validation: Corpus | None,
        device: str = "cpu",
        teacher: TransferSystem | None = None,
    ) -> None:
        torch.manual_seed(recipe.seed)
        if teacher is not None:
            recipe = replace(recipe, is_style_held=True, is_taught=True)
        self.recipe, self.corpus, self.device = recipe, corpus, torch.device(device)
        self.layout = BandLayout(n_bands=recipe.network.n_bands)
        self.teacher = None if teacher is None else teacher.to(self.device).eval().requires_grad_(False)
        self.system = TransferSystem(recipe)
        if teacher is not None:
            self.system.style.load_state_dict(teacher.style.state_dict())
        self.system = self.system.to(self.device, memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.system).eval()
        self.optimiser = torch.optim.AdamW(
            self._groups(),
            lr=recipe.learning_rate,
            betas=(0.9, 0.98),
            weight_decay=1e-4,
        )
        self.paths: dict[int, SignalPath] = {}
        self.distances: dict[int, OracleLoss] = {}
        self.band_loss = BandLoss(self.layout).to(self.device)
        self.loudness = LoudnessDistance(self.layout).to(self.device)
        self.step, self.spent_s = 0, 0.0
        self.history: list[dict[str, float]] = []
        self._validation = None if validation is None else self._validation_batches(validation)

    def run(self, checkpoint: Path) -> None:
        """Trains until the budget is spent; writes the checkpoint every two minutes and at the end."""
        recipe, budget_s = self.recipe, self.recipe.minutes * 60
        bands = BandCorpus(self.corpus, self.layout) if recipe.band_share > 0 else None
        distance: BandDistances | OracleDistance | None = None
        last_saved_s = self.spent_s
        started = time.monotonic() - self.spent_s
        with tqdm(total=round(budget_s), initial=round(self.spent_s), unit="s", disable=None) as bar:
            while self.spent_s < budget_s:
                progress = self.spent_s / budget_s
                set_learning_rate(self.optimiser, recipe.learning_rate, self.step, progress, WARM_UP_STEPS)
                rng = np.random.default_rng((recipe.seed, self.step))
                if bands is not None and progress < recipe.band_share:
                    distance = self.train_on_bands(bands.batch(rng, recipe.batch_size, recipe.crop_frames))
                else:
                    batch = self.corpus.batch(rng, recipe.batch_size, recipe.crop_samples, is_varied=True)
                    distance = self.train_on_audio(batch)
                self.spent_s = time.monotonic() - started
                bar.set_postfix(
                    step=self.step, lsd=f"{distance.lsd80.item():.2f}", lsd50=f"{distance.lsd50.item():.2f}"
                )
                bar.update(round(self.spent_s) - bar.n)
                if self.step % LOG_STEPS == 0:
                    self._log(distance)
                if self.spent_s - last_saved_s > 120:
                    self.save(checkpoint)
                    self.corpus.refresh()
                    if bands is not None:
                        bands.refresh()
                    last_saved_s = self.spent_s
        if distance is not None:
            self._log(distance)
        self.save(checkpoint)

    def train_on_bands(self, batch: BandBatch) -> BandDistances:
        """One step of the first stage; returns the distances of this batch."""
        self.system.train()
        content, style, oracle = (x.to(self.device) for x in (batch.content, batch.style, batch.oracle))
        style_bands = _power(style / 2)
        gains = self.system.gains(_power(content[:, :, :3] / 2), style_bands)
        output = _power(content + gains).sum(2)
        heard = (self._judged(power) for power in (output, _power(oracle), _power(content[:, :, 0])))
        distance = self.band_loss(*heard)
        self._descend(distance.total() + SMOOTHNESS * _roughness(gains) + self._taught(content, style_bands, gains))
        return distance

    def train_on_audio(self, batch: Batch) -> OracleDistance:
        """One step of the second stage; returns the distances of this batch."""
        self.system.train()
        noise = torch.Generator(self.device).manual_seed(self.recipe.seed + self.step)
        distance, regularity = self._distance(self.system, batch, noise)
        self._descend(distance.total() + regularity)
        return distance

    def _groups(self) -> list[dict[str, Any]]:
        """The weights to train, those of the wide layers in a group of their own."""
        wide = {
            id(weight)
            for part in (self.system.style.head, self.system.transfer.project)
            for weight in part.parameters()
        }
        trained = [weight for weight in self.system.parameters() if weight.requires_grad]
        return [
            {"params": [weight for weight in trained if id(weight) not in wide], "scale": 1.0},
            {"params": [weight for weight in trained if id(weight) in wide], "scale": WIDE_SCALE},
        ]

    def _taught(self, levels_db: Tensor, style_bands: Tensor, gains: Tensor) -> Tensor | float:
        """Weighted distance from the teacher's gains; 0 without a teacher."""
        if self.teacher is None:
            return 0.0
        with torch.no_grad():
            taught = self.teacher.gains(_power(levels_db[:, :, :3] / 2), style_bands)
        return TEACHER_WEIGHT * teacher_distance(levels_db, gains, taught)

    def _descend(self, loss: Tensor) -> None:
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.system.parameters(), 20.0)
        if torch.isfinite(norm):
            self.optimiser.step()
        self._update_average()
        self.step += 1

    def validate(self) -> dict[str, float]:
        """What the averaged weights do on the fixed validation batches: distances in dB, and two shares of live units.

        A unit is live that tells styles apart. `live_style` is the share of the learned part of the style vector,
        `live_code` of what the layers take their modulation from: near 0, the style is not heard.
        """
        if self._validation is None:
            return {}
        distances = self.judge(self._validation)
        with torch.no_grad():
            styles = torch.cat([self.average.style(self._style_bands(batch)) for batch in self._validation])
            code = self.average.transfer.project(styles)
        learned = styles[:, self.recipe.network.n_profile :]
        return {
            part.name: float(np.mean([float(getattr(distance, part.name)) for distance in distances]))
            for part in fields(OracleDistance)
        } | {"live_style": _live_share(learned), "live_code": _live_share(code)}

    def judge(self, batches: Iterable[Batch]) -> list[OracleDistance]:
        """How far from the oracle the averaged weights are on each of some batches."""
        noise = torch.Generator(self.device).manual_seed(0)
        with torch.no_grad():
            return [self._distance(self.average, batch, noise)[0] for batch in batches]

    def save(self, path: Path) -> None:
        """Writes everything that `load` needs to go on, by rename."""
        data = {
            "recipe": asdict(self.recipe),
            "system": self.system.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "spent_s": self.spent_s,
            "history": self.history,
            "corpus_hours": self.corpus.hours,
        }
        with whole_file(path) as partial:
            torch.save(data, partial)

    def load(self, path: Path) -> None:
        """Goes on where a checkpoint stopped.

        Raises:
            ValueError: It is no checkpoint, or its networks are others than this run's.
        """
        data = read_checkpoint(path, self.device)
        theirs, ours = recipe_from_dict(data["recipe"]), self.recipe
        same = ("network", "style_width", "is_style_held", "is_taught")
        if any(getattr(theirs, name) != getattr(ours, name) for name in same):
            raise ValueError(
                f"expected the networks of {path} to go on with, {_networks(theirs)}, got {_networks(ours)}; give "
                "--width, --kind, --from, --hold-style and --teacher as before, or train into another file"
            )
        self.system.load_state_dict(data["system"])
        self.average.load_state_dict(data["average"])
        self.optimiser.load_state_dict(data["optimiser"])
        self.step, self.spent_s, self.history = data["step"], data["spent_s"], data["history"]

    def start_from(self, networks: Networks) -> None:
        """Takes the averaged networks of another run, or those of a bundle, as the start of this one.

        A segment network may start from a stream's: it is that stream until it has learnt to look ahead. A wide one may
        start from a narrow one, and is that one until its copied channels have learnt apart. A student keeps the style
        encoder of its teacher.

        Args:
            networks: Used up: a bundle's are renormalised in place.

        Raises:
            ValueError: They have another size.
        """
        start, theirs, ours = networks.system, networks.recipe, self.recipe
        of_their_width = replace(ours.network, width=theirs.network.width)
        is_fitting = theirs.network in (of_their_width, replace(of_their_width, segment=None))
        if not is_fitting or theirs.style_width != ours.style_width or ours.network.width % theirs.network.width:
            raise ValueError(
                f"expected networks of the same size as this run or a part of its width, got {theirs.network} with "
                f"a style encoder of width {theirs.style_width}; give this run --width "
                f"{theirs.network.width} or a multiple, and the same kind"
            )
        if networks.is_folded:
            renormalise(start, self._heard(), is_style_held=ours.is_style_held)
        start.transfer = widened(start.transfer, ours.network.width, ours.seed)
        if self.teacher is not None:
            start.style = self.teacher.style
        self.system.load_state_dict(start.state_dict())
        self.average.load_state_dict(start.state_dict())

    def _heard(self) -> Iterator[tuple[Tensor, Tensor]]:
        """What a few steps would train on: bands of content and of style."""
        for step in range(N_HEARD_BATCHES):
            rng = np.random.default_rng((self.recipe.seed, step))
            batch = self.corpus.batch(rng, self.recipe.batch_size, self.recipe.crop_samples, is_varied=True)
            path, _ = self._path(batch.sample_rate_hz)
            noise = torch.Generator(self.device).manual_seed(step)
            yield path.excite(batch.content.to(self.device), noise).bands.cpu(), self._style_bands(batch).cpu()

    def _distance(self, system: TransferSystem, batch: Batch, noise: torch.Generator) -> tuple[OracleDistance, Tensor]:
        """Distance of what a system plays to the oracle, and the weighted sum of what else training asks for."""
        path, loss = self._path(batch.sample_rate_hz)
        content, oracle = batch.content.to(self.device), batch.oracle.to(self.device)
        style_bands = self._style_bands(batch)
        with torch.no_grad():
            excitations = path.excite(content, noise)
        gains = system.gains(excitations.bands, style_bands)
        spectra = path.shape(excitations.spectra, gains)
        powers = [path.band_magnitudes(spectra).square(), excitations.bands[:, :, 0].square()]
        loudness = self.loudness(*(self._judged(power) for power in powers))
        regularity = LOUDNESS_WEIGHT * loudness + SMOOTHNESS * _roughness(gains)
        if self.teacher is not None:
            levels = 20.0 * torch.log10(path.band_magnitudes(excitations.spectra).transpose(1, 2))
            regularity = regularity + self._taught(levels, style_bands, gains)
        output = path.resynthesise(spectra)
        delay = path.geometry.n_synthesis - path.geometry.hop
        # `resynthesise` puts the sample of input position n at n - delay of its tail-less output: align both ends.
        length = content.shape[1] - delay - self.recipe.cut_frames * path.geometry.hop
        output, oracle = output[:, :length], oracle[:, :length]
        return loss(output[:, WARM_UP_SAMPLES:], oracle[:, WARM_UP_SAMPLES:]), regularity

    def _style_bands(self, batch: Batch) -> Tensor:
        """Band magnitudes of the styles (batch, frames, bands)."""
        path, _ = self._path(batch.sample_rate_hz)
        with torch.no_grad():
            return path.band_magnitudes(path.spectra(batch.style[:, :STYLE_SAMPLES].to(self.device)))

    def _judged(self, frames: Tensor) -> Tensor:
        """The frames (batch, frames, ...) of a crop that the loss hears."""
        return frames[:, WARM_UP_FRAMES : frames.shape[1] - self.recipe.cut_frames]

    def _path(self, sample_rate_hz: int) -> tuple[SignalPath, OracleLoss]:
        if sample_rate_hz not in self.paths:
            self.paths[sample_rate_hz] = SignalPath(sample_rate_hz, self.layout).to(self.device)
            self.distances[sample_rate_hz] = OracleLoss(sample_rate_hz).to(self.device)
        return self.paths[sample_rate_hz], self.distances[sample_rate_hz]

    def _update_average(self) -> None:
        decay = min(self.recipe.average_decay, (1 + self.step) / (20 + self.step))
        pairs = zip(self.average.state_dict().values(), self.system.state_dict().values(), strict=True)
        with torch.no_grad():
            means: list[Tensor] = []
            values: list[Tensor] = []
            for mean, value in pairs:
                if mean.dtype.is_floating_point:
                    means.append(mean)
                    values.append(value)
                else:
                    mean.copy_(value)
            torch._foreach_lerp_(means, values, 1 - decay)

    def _validation_batches(self, corpus: Corpus) -> list[Batch]:
        rng = np.random.default_rng(12345)
        n_samples = self.recipe.crop_samples // STEP_FRAMES * STEP_FRAMES
        return [corpus.batch(rng, 8, n_samples) for _ in range(N_VALIDATION_BATCHES)]

    def _log(self, distance: BandDistances | OracleDistance) -> None:
        entry = {"step": float(self.step), "minutes": self.spent_s / 60}
        entry |= {f"train_{part.name}": float(getattr(distance, part.name).detach()) for part in fields(distance)}
        if self.step % VALIDATION_STEPS == 0 or not self.history:
            entry |= {f"valid_{name}": value for name, value in self.validate().items()}
        self.history.append(entry)
        tqdm.write(" ".join(f"{name}={value:.3f}" for name, value in entry.items()))


def _networks(recipe: TransferRecipe) -> str:
    """What kind of networks a recipe trains, and with whom, in words."""
    kind = "stream" if recipe.network.segment is None else "segment"
    held = "held" if recipe.is_style_held else "trained"
    taught = " and a teacher" if recipe.is_taught else ""
    return f"{kind} of width {recipe.network.width} with a {held} style encoder of width {recipe.style_width}{taught}"


def _live_share(values: Tensor) -> float:
    """Share of the columns of (styles, n) that differ from style to style by more than rounding."""
    return float((values.std(0) > LIVE_DEVIATION).float().mean())


def _power(level_db: Tensor) -> Tensor:
    return torch.pow(10.0, level_db / 10)


def _roughness(gain_db: Tensor) -> Tensor:
    """Mean step between neighbouring bands in dB."""
    return (gain_db[..., 1:] - gain_db[..., :-1]).abs().mean()
