"""What each part of the method buys: networks that are trained without it, beside one that is trained whole.

Every row begins with the same weights and hears the same examples for the same number of steps, on band powers, so that
rows can be compared pair by pair after a few minutes. They are judged as audio. A second whole network, of another
seed, shows how much of a difference is chance.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from deepmusic.dsp.gains import BandLayout
from deepmusic.model.manifest import EXCITATIONS
from deepmusic_export.band_corpus import BandCorpus
from deepmusic_export.data import Corpus
from deepmusic_export.training.schedule import set_learning_rate
from deepmusic_export.training.system import TransferRecipe, TransferSystem
from deepmusic_export.training.transfer import WARM_UP_STEPS, TransferTrainer
from deepmusic_export.whole_file import whole_file

#: What is added to the gains of an excitation that is taken out, dB.
SILENT_DB = -200.0
#: Steps that one point of a learning curve is the mean of.
CURVE_STEPS = 50
#: Seed of the examples that all rows are judged on.
JUDGED_SEED = 12345


@dataclass(frozen=True, slots=True, kw_only=True)
class Ablation:
    """What a row is trained without."""

    name: str
    excitations: tuple[str, ...] = ()
    """Those that stay silent, by name."""
    has_profile: bool = True
    """Whether the style's band profile is heard."""
    has_embedding: bool = True
    """Whether the learned part of the style is heard."""
    has_statistics: bool = True
    """Whether the statistics of the content run; else they stay what they are at a stream's start."""
    is_varied: bool = True
    """Whether instruments are mixed, layered and equalised in training."""
    seed_offset: int = 0
    """Added to the recipe's seed."""


ABLATIONS = (
    Ablation(name="whole"),
    Ablation(name="whole, another seed", seed_offset=1),
    Ablation(name="without noise", excitations=("noise",)),
    Ablation(name="without overtones", excitations=("odd", "even")),
    Ablation(name="without the style's profile", has_profile=False),
    Ablation(name="without the style's embedding", has_embedding=False),
    Ablation(name="without running statistics", has_statistics=False),
    Ablation(name="without mixed and equalised instruments", is_varied=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AblationPlan:
    """How all rows are trained and judged."""

    recipe: TransferRecipe
    """Its minutes and the share of band powers do not count."""
    n_steps: int = 500
    n_judged: int = 20
    """Batches of held-out examples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AblationResult:
    """What became of a row."""

    name: str
    n_steps: int
    lsd80_db: tuple[float, ...]
    """Distance to the oracle with 80 dB of range, the mean of each judged batch."""
    lsd50_db: tuple[float, ...]
    """The same with 50 dB."""
    curve: tuple[float, ...]
    """Training loss, means of CURVE_STEPS steps."""


def run_ablations(plan: AblationPlan, corpus: Corpus, held_out: Corpus, folder: Path) -> list[AblationResult]:
    """Trains and judges every row that the folder does not have yet; a run that was stopped goes on at its row.

    Raises:
        ValueError: The folder has rows of another number of steps.
    """
    folder.mkdir(parents=True, exist_ok=True)
    bands: BandCorpus | None = None
    results: list[AblationResult] = []
    for number, ablation in enumerate(ABLATIONS):
        path = folder / f"row_{number}.json"
        if not path.exists():
            bands = bands or BandCorpus(corpus, BandLayout(n_bands=plan.recipe.network.n_bands))
            result = train_without(ablation, plan, corpus, bands, held_out)
            with whole_file(path) as whole:
                whole.write_text(json.dumps(asdict(result)))
        results.append(_read(path))
        if results[-1].n_steps != plan.n_steps:
            raise ValueError(
                f"expected rows of {plan.n_steps} steps in {folder}, got one of {results[-1].n_steps}; name another "
                "folder"
            )
    return results


def train_without(
    ablation: Ablation, plan: AblationPlan, corpus: Corpus, bands: BandCorpus, held_out: Corpus
) -> AblationResult:
    """Trains and judges one row."""
    recipe = replace(plan.recipe, seed=plan.recipe.seed + ablation.seed_offset)
    trainer = TransferTrainer(recipe, corpus, None)
    for system in (trainer.system, trainer.average):
        take_out(ablation, system)
    losses: list[float] = []
    for step in tqdm(range(plan.n_steps), desc=ablation.name, unit="step", disable=None):
        set_learning_rate(trainer.optimiser, recipe.learning_rate, step, step / plan.n_steps, WARM_UP_STEPS)
        rng = np.random.default_rng((recipe.seed, step))
        batch = bands.batch(rng, recipe.batch_size, recipe.crop_frames, is_varied=ablation.is_varied)
        losses.append(float(trainer.train_on_bands(batch).total().detach()))
    judging = np.random.default_rng(JUDGED_SEED)
    distances = trainer.judge(
        held_out.batch(judging, recipe.batch_size, recipe.crop_samples) for _ in range(plan.n_judged)
    )
    return AblationResult(
        name=ablation.name,
        n_steps=plan.n_steps,
        lsd80_db=tuple(float(distance.lsd80) for distance in distances),
        lsd50_db=tuple(float(distance.lsd50) for distance in distances),
        curve=tuple(float(np.mean(losses[at : at + CURVE_STEPS])) for at in range(0, plan.n_steps, CURVE_STEPS)),
    )


def take_out(ablation: Ablation, system: TransferSystem) -> None:
    """Takes out of a system what an ablation lacks, for good."""
    n_profile = system.transfer.config.n_profile
    silent = [EXCITATIONS.index(name) for name in ablation.excitations]

    def without_style(_module: torch.nn.Module, _args: Any, style: Tensor) -> Tensor:
        parts = (style[:, :n_profile] * ablation.has_profile, style[:, n_profile:] * ablation.has_embedding)
        return torch.cat(parts, dim=1)

    def without_statistics(_module: torch.nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        bands, style, freeze, state = args
        return bands, style, torch.ones_like(freeze), state

    def without_excitations(_module: torch.nn.Module, _args: Any, out: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        offset = torch.zeros(out[0].shape[2], 1, device=out[0].device)
        offset[silent] = SILENT_DB
        return out[0] + offset, out[1]

    system.style.register_forward_hook(without_style)
    if not ablation.has_statistics:
        system.transfer.register_forward_pre_hook(without_statistics)
    if silent:
        system.transfer.register_forward_hook(without_excitations)


def table(results: list[AblationResult]) -> list[str]:
    """Markdown: each row's distances, and how far they are from the first row's with the standard error of that."""
    whole = results[0]
    lines = ["| trained | LSD dB | against whole | 50 dB floor | against whole |", "|---|---|---|---|---|"]
    for result in results:
        cells = [result.name]
        for mine, its in ((result.lsd80_db, whole.lsd80_db), (result.lsd50_db, whole.lsd50_db)):
            change = np.subtract(mine, its)
            error = np.std(change, ddof=1) / np.sqrt(len(change)) if len(change) > 1 else np.nan
            cells += [f"{np.mean(mine):.2f}", "" if result is whole else f"{np.mean(change):+.2f} ± {error:.2f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _read(path: Path) -> AblationResult:
    data: dict[str, Any] = json.loads(path.read_text())
    return AblationResult(**{name: tuple(value) if isinstance(value, list) else value for name, value in data.items()})
