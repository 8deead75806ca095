"""What a stream knows of its content as a whole, and what ``freeze`` holds: handed out, and begun with again."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from deepmusic.errors import BadConfig

MAX_STATISTICS = 16384
"""Most floats of statistics, 64 KiB; of a bundle with more nothing is handed out. The shipped one has 994."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Statistics:
    """The content's running statistics at a moment."""

    bundle_digest: str
    """Digest of the bundle to which they belong."""
    values: npt.NDArray[np.float32]
    """The part of the model's state that a frozen step leaves alone, ``(n,)``, finite."""
    content_power: float = 0.0
    """Running mean of the content's K-weighted power in the loudness match; 0 where nothing was heard."""
    wet_power: float = 0.0
    """Power of the styled sound that the gain of the match brings to the content's; 0 where nothing was heard."""

    def __post_init__(self) -> None:
        powers = (self.content_power, self.wet_power)
        if not all(math.isfinite(power) and power >= 0.0 for power in powers):
            raise BadConfig(f"expected powers of at least 0, got {powers}", field="statistics")
        if self.values.ndim != 1 or not 1 <= len(self.values) <= MAX_STATISTICS or not np.isfinite(self.values).all():
            raise BadConfig(
                f"expected 1 to {MAX_STATISTICS} finite statistics, got others; take them from a frozen stream anew",
                field="statistics",
            )

    def of_another_style(self) -> Self:
        """Those of the content alone: how loud the styled sound is depends on the style."""
        return replace(self, content_power=0.0, wet_power=0.0)
