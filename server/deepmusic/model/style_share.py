"""A style by its name, with its share of a blend: how rigs, clients and sets say what is to be heard."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from deepmusic.errors import BadConfig, BadName

MAX_NAME_CHARACTERS = 64
"""Longest name of a session, bundle, style or cue."""

MAX_STYLES = 16
"""Most styles in one blend."""

LARGEST_WEIGHT = 1e9
"""Largest weight of a style: beyond what anybody turns, and far below where a sum of weights is no number any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleShare:
    """A style with its share of a mix."""

    name: str
    """Name of the style, 1 to 64 printable characters."""
    weight: float = 1.0
    """0 to ``LARGEST_WEIGHT``; shares are brought to a sum of one."""

    def __post_init__(self) -> None:
        check_name(self.name, field="style.name")
        if not 0.0 <= self.weight <= LARGEST_WEIGHT:
            raise BadConfig(
                f"expected a weight of 0 to {LARGEST_WEIGHT:g} for style {self.name!r}, got {self.weight:g}",
                field="style.weight",
            )


def brought_to_one(shares: Iterable[StyleShare]) -> tuple[StyleShare, ...]:
    """Those with a weight above 0, by weights whose sum is one."""
    used = [share for share in shares if share.weight > 0.0]
    total = math.fsum(share.weight for share in used)
    return tuple(replace(share, weight=share.weight / total) for share in used)


def mix_name(used: Iterable[tuple[str, float]]) -> str:
    """What people call a mix of styles, given by names and weights whose sum is one; one style has its own name."""
    pairs = list(used)
    return pairs[0][0] if len(pairs) == 1 else " + ".join(f"{name} {weight:.0%}" for name, weight in pairs)


def check_name(name: str, *, field: str) -> str:
    """The name itself.

    Raises:
        BadName: Empty, longer than 64 characters, or with characters that do not print.
    """
    if not 1 <= len(name) <= MAX_NAME_CHARACTERS or not name.isprintable():
        raise BadName(
            f"expected a name of 1 to {MAX_NAME_CHARACTERS} printable characters, got {shortened(name)}; "
            "choose another",
            field=field,
        )
    return name


def shortened(text: str) -> str:
    """Text of a stranger for a message: quoted, escaped, at most 64 characters of it."""
    return ascii(text if len(text) <= MAX_NAME_CHARACTERS else text[:MAX_NAME_CHARACTERS] + "…")
