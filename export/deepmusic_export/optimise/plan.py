"""What an optimisation is told once: where it starts, what it listens to, how far it may go and for how long."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from deepmusic.model.catalog import DEFAULT_BUNDLE

Recipe = Literal["gains", "gatys"]
RECIPES: Final[tuple[Recipe, ...]] = ("gains", "gatys")
Start = Literal["live", "content"]
STARTS: Final[tuple[Start, ...]] = ("live", "content")
#: Reach by start, dB. What the live network is wrong about is small beside what the content lacks.
REACH_DB: Final[dict[Start, float]] = {"live": 6.0, "content": 30.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class TermWeights:
    """Weights of the terms of the recipe `gains`.

    Every term is first divided by the size of its gradient near the start, so 1 beside 1 means that both push equally
    hard there. Tuned on training renders; docs/optimise.md has the figures.
    """

    layers: float = 1.0
    """Style: mean and deviation of VGG19's layers in every strip of frequency."""
    filters: float = 0.1
    """Style: Gram matrix of random filters over time."""
    relu4_2: float = 0.1
    """Content: the layer that Gatys et al. 2016 take."""
    chroma: float = 0.1
    """Content: whitened chroma."""
    onsets: float = 0.1
    """Content: the onset envelope."""
    smooth: float = 1.0
    """Small steps of the gains from band to band and from step to step."""
    near: float = 1.0
    """Small distance from the start."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0.0):
                raise ValueError(f"expected a weight of at least 0 for {name}, got {value}")


#: Channels of conv1 of a VGG19 with random weights, where nobody asks for another width.
RANDOM_WIDTH: Final = 16
#: What random layers hear of an instrument depends on its notes as much as on its sound: they are trusted less.
RANDOM_NEAR: Final = 6.0
#: Weights by start. The content is no sound to stay near to.
WEIGHTS: Final[dict[Start, TermWeights]] = {"live": TermWeights(), "content": TermWeights(near=0.0)}


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimisePlan:
    """How to optimise."""

    recipe: Recipe = "gains"
    """`gains` bends the live network's gains; `gatys` paints the spectrogram, as deepart painted pictures."""
    start: Start = "live"
    """What the recipe `gains` begins with: the live network, or the content as it is."""
    bundle: str = DEFAULT_BUNDLE
    """Name of the bundle whose network and bands are taken, or the path of its folder or zip."""
    steps: int = 30
    """Steps of L-BFGS for each chunk."""
    minutes: float = math.inf
    """Time budget over all chunks; what was reached by then is the result."""
    reach_db: float | None = None
    """How far a gain may go from its start, up and down, in dB; None takes `REACH_DB` of the start."""
    weights: TermWeights | None = None
    """Of the recipe `gains`; None takes `WEIGHTS` of the start."""
    content_weight: float = 1.0
    """Of the recipe `gatys`: how hard the content pulls beside the style, by gradients near the start."""
    vgg: Path | None = None
    """Checkpoint of `deepmusic-export encoder`, or what it packed; None takes the weights that ship.

    The recipe `gatys` takes random ones instead: those that ship leave it where it starts.
    """
    imagenet: str | None = None
    """File or https URL of torchvision's VGG19, for the recipe `gatys`."""
    imagenet_sha256: str | None = None
    """Checksum of `imagenet`; a URL needs one."""
    width: int | None = None
    """Channels of conv1 of random weights, the baseline; None listens with trained ones where the recipe does."""
    chunk_steps: int = 600
    """Model steps that are optimised together: 12.8 s at 48 kHz."""
    overlap_steps: int = 48
    """Model steps that two chunks share: 1 s at 48 kHz."""
    seed: int = 0
    """Of the random weights and filters."""

    def __post_init__(self) -> None:
        if self.recipe not in RECIPES:
            raise ValueError(f"expected a recipe out of {', '.join(RECIPES)}, got {self.recipe!r}")
        if self.start not in STARTS:
            raise ValueError(f"expected a start out of {', '.join(STARTS)}, got {self.start!r}")
        if self.steps < 0:
            raise ValueError(f"expected 0 or more steps, got {self.steps}")
        if not self.minutes > 0.0:
            raise ValueError(f"expected more than 0 minutes, got {self.minutes}")
        if self.reach_db is not None and not 0.0 < self.reach_db <= 60.0:
            raise ValueError(f"expected a reach of more than 0 and at most 60 dB, got {self.reach_db}")
        if self.chunk_steps % 2 or self.overlap_steps % 2:
            raise ValueError(f"expected even chunks, got {self.chunk_steps} and {self.overlap_steps} steps")
        if not 0 < 2 * self.overlap_steps <= self.chunk_steps:
            raise ValueError(
                f"expected chunks of at least two overlaps, got {self.chunk_steps} and {self.overlap_steps} steps"
            )
        if sum(wish is not None for wish in (self.vgg, self.imagenet, self.width)) > 1:
            raise ValueError("expected a checkpoint, ImageNet weights or random ones, got two of them; choose one")
        if self.imagenet is None and self.imagenet_sha256 is not None:
            raise ValueError("expected ImageNet weights beside their checksum, got none; name them with --imagenet")
        if self.imagenet is not None and self.recipe != "gatys":
            raise ValueError("expected the recipe gatys for ImageNet weights: gains listens with audio weights")

    @property
    def random_width(self) -> int | None:
        """Channels of conv1 where the weights are random; None where they are trained."""
        is_asked_for = self.width is not None or self.vgg is not None or self.imagenet is not None
        return RANDOM_WIDTH if self.recipe == "gatys" and not is_asked_for else self.width

    @property
    def bound_db(self) -> float:
        """The reach that is kept, in dB."""
        return REACH_DB[self.start] if self.reach_db is None else self.reach_db

    @property
    def term_weights(self) -> TermWeights:
        """The weights that are taken."""
        if self.weights is None and self.width is not None and self.start == "live":
            return replace(WEIGHTS[self.start], near=RANDOM_NEAR)
        return self.weights or WEIGHTS[self.start]
