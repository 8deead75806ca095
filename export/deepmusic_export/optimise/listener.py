"""The VGG19 that an optimisation listens with: trained on audio, ImageNet's, or random; and which of them it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import platformdirs
import torch
from torch import Tensor

from deepmusic_export.nets.packed_vgg19 import PACKED_SUFFIX, SHIPPED, read_packed
from deepmusic_export.nets.vgg19 import FULL_WIDTH, Vgg19, read_weights
from deepmusic_export.optimise.plan import OptimisePlan


@dataclass(frozen=True, slots=True)
class Listener:
    """A network with fixed weights."""

    vgg: Vgg19
    origin: str
    """Where the weights come from, in words for the person who runs it."""


def load_listener(plan: OptimisePlan, n_bands: int | None = None) -> Listener:
    """The network that the plan names.

    Args:
        plan: What was asked for.
        n_bands: Bands of the pictures, where a checkpoint has to fit them.

    Raises:
        ValueError: The file is no checkpoint of `deepmusic-export encoder`, is for other bands, or holds no VGG19.
        OSError: It cannot be read.
    """
    if plan.imagenet is not None:
        cache = Path(platformdirs.user_cache_dir("deepmusic", appauthor=False)) / "weights"
        state = read_weights(plan.imagenet, sha256=plan.imagenet_sha256, cache=cache)
        vgg = Vgg19(width=FULL_WIDTH, batch_norm="features.1.running_mean" in state)
        vgg.load_imagenet(state)
        return _frozen(vgg, "ImageNet's")
    if plan.random_width is not None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(plan.seed)
            vgg = Vgg19(width=plan.random_width)
        return _frozen(vgg, f"random, width {plan.random_width}, seed {plan.seed}")
    if plan.vgg is None:
        return _frozen(_packed_vgg(SHIPPED, n_bands), "trained on audio, the one that ships")
    read = _packed_vgg if plan.vgg.suffix == PACKED_SUFFIX else _checkpoint_vgg
    return _frozen(read(plan.vgg, n_bands), f"trained on audio, {plan.vgg.name}")


def _frozen(vgg: Vgg19, origin: str) -> Listener:
    return Listener(vgg.eval().requires_grad_(False), origin)


def _packed_vgg(path: Path, n_bands: int | None) -> Vgg19:
    vgg, facts = read_packed(path)
    _check_bands(path, facts.get("n_bands"), n_bands)
    return vgg


def _check_bands(path: Path, found: int | None, wanted: int | None) -> None:
    if wanted is not None and found != wanted:
        raise ValueError(
            f"{path}: expected a network for {wanted} bands, got one for {found}; "
            f"train one with as many bands as the bundle has, or listen with random weights"
        )


def _checkpoint_vgg(path: Path, n_bands: int | None) -> Vgg19:
    wanted = "expected a checkpoint of deepmusic-export encoder"
    try:
        data = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise ValueError(f"{path}: {wanted}, but it cannot be read; check the path") from None
    except Exception as error:  # torch and pickle raise whatever a broken file makes them
        raise ValueError(f"{path}: {wanted}, got another or a broken file") from error
    if not (isinstance(data, dict) and isinstance(data.get("recipe"), dict) and isinstance(data.get("network"), dict)):
        raise ValueError(f"{path}: {wanted}, got a file without its recipe and network")
    recipe, network = data["recipe"], data["network"]
    _check_bands(path, recipe.get("n_bands"), n_bands)
    prefix = "vgg."
    weights: dict[str, Tensor] = {k.removeprefix(prefix): v for k, v in network.items() if k.startswith(prefix)}
    try:
        vgg = Vgg19(width=recipe["width"], batch_norm=recipe["batch_norm"])
        vgg.load_state_dict(weights)
    except (KeyError, RuntimeError, TypeError) as error:
        raise ValueError(f"{path}: {wanted}, got one that holds no VGG19 of its own recipe") from error
    return vgg
