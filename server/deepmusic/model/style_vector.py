"""A style: what was learned from a recording, as a vector that belongs to one bundle."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from deepmusic.errors import BadParameter
from deepmusic.model.arrays import float_bytes
from deepmusic.model.style_share import StyleShare, mix_name


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StyleVector:
    """A style in the space of one bundle; vectors of different bundles do not mix."""

    values: npt.NDArray[np.float32]
    """Shape (D,), finite, read-only."""
    bundle_digest: str
    """`Bundle.digest` of the bundle whose encoder made it."""
    name: str
    """What people call it."""
    shares: tuple[StyleShare, ...] = ()
    """The styles that it was asked for by, with weights whose sum is one; empty where it came in no such way."""

    def __post_init__(self) -> None:
        if self.values.ndim != 1 or self.values.size == 0 or self.values.dtype != np.float32:
            raise BadParameter(
                f"expected a style vector of shape (D,) and float32, got {self.values.shape} {self.values.dtype}",
                field="style",
            )
        if not np.isfinite(self.values).all():
            raise BadParameter(f"style {self.name!r} has values that are not finite; learn it again", field="style")
        own = self.values.copy()
        own.flags.writeable = False
        object.__setattr__(self, "values", own)

    @property
    def digest(self) -> str:
        """SHA-256 of the values as little-endian float32, hexadecimal: styles with the same one sound the same."""
        return hashlib.sha256(float_bytes(self.values)).hexdigest()

    def renamed(self, name: str) -> Self:
        """The same style under another name."""
        return type(self)(values=self.values, bundle_digest=self.bundle_digest, name=name)


def blend(parts: Iterable[tuple[StyleVector, float]]) -> StyleVector:
    """The weighted mean of styles; the weights are brought to a sum of one.

    Args:
        parts: styles of one bundle, each with a weight of at least 0.

    Raises:
        BadParameter: no styles, styles of different bundles, or weights that are negative or all zero.
    """
    pairs = list(parts)
    if not pairs:
        raise BadParameter("expected at least one style to blend, got none", field="style_weights")
    first = pairs[0][0]
    for vector, weight in pairs:
        if not math.isfinite(weight) or weight < 0.0:
            raise BadParameter(f"expected style weights of at least 0, got {weight!r}", field="style_weights")
        if vector.bundle_digest != first.bundle_digest or vector.values.shape != first.values.shape:
            raise BadParameter(
                f"styles {first.name!r} and {vector.name!r} belong to different bundles; learn both with one",
                field="style",
            )
    total = math.fsum(weight for _, weight in pairs)
    if total <= 0.0:
        raise BadParameter("expected at least one style weight above 0, got none", field="style_weights")
    used = [(vector, weight / total) for vector, weight in pairs if weight > 0.0]
    if len(used) == 1:
        return used[0][0]
    mean = np.zeros(first.values.shape, np.float64)
    for vector, weight in used:
        mean += weight * vector.values
    name = mix_name((vector.name, weight) for vector, weight in used)
    return StyleVector(values=mean.astype(np.float32), bundle_digest=first.bundle_digest, name=name)
