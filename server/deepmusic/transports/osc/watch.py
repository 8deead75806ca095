"""What a subscriber is told: what differs from what it was told before.

States are compared, not events passed on: a fader that moves a hundred times between two looks is one message with its
last value, nothing piles up for a peer that is slow to be told, and a peer that is new hears every value first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from deepmusic.session.stats import SessionStats
from deepmusic.transports.osc.answers import Answer
from deepmusic.transports.osc.codec import encode, shown
from deepmusic.transports.osc.namespace import stream_part
from deepmusic.transports.osc.ports import LiveSession

LOOK_S = 0.05
"""Seconds between two looks: as often as a screen's fader needs."""

MAX_MESSAGES_A_LOOK = 32
"""Messages to one subscriber at one look; what is left waits for the next, and may have changed again by then."""


@dataclass(slots=True)
class Told:
    """What one subscriber knows of one session."""

    values: dict[str, float | str] = field(default_factory=dict[str, float | str])
    """By parameter."""
    trouble: tuple[int, int, int] = (0, 0, 0)
    """Late blocks, dry blocks, late controls."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Seen:
    """A session at one look; made once for all subscribers."""

    session: LiveSession
    """Which."""
    values: Mapping[str, float | str]
    """As it was last asked for."""
    trouble: tuple[int, int, int]
    """Late blocks, dry blocks, late controls."""


def look(session: LiveSession) -> Seen:
    """A session as it is now."""
    return Seen(session=session, values=session.values, trouble=_trouble(session.stats))


def news(seen: list[Seen], told: dict[LiveSession, Told]) -> Iterator[bytes]:
    """Messages about what a subscriber does not know yet; each counts as told once it is taken.

    Args:
        seen: The sessions that run.
        told: What it knows; changed.
    """
    running = {entry.session for entry in seen}
    for gone in [session for session in told if session not in running]:
        del told[gone]
        yield encode(Answer.CLOSED.value, "s", stream_part(gone.name))
    for entry in seen:
        name = stream_part(entry.session.name)
        known = told.get(entry.session)
        if known is None:
            known = told[entry.session] = Told(trouble=entry.trouble)
            yield encode(Answer.OPENED.value, "s", name)
        if known.values != entry.values:
            for parameter, value in entry.values.items():
                if known.values.get(parameter) != value:
                    known.values[parameter] = value
                    types, said = ("sss", shown(value)) if isinstance(value, str) else ("ssf", value)
                    yield encode(Answer.CHANGED.value, types, name, parameter, said)
        if known.trouble != entry.trouble:
            known.trouble = entry.trouble
            yield encode(Answer.LATE.value, "siii", name, *entry.trouble)


def _trouble(stats: SessionStats) -> tuple[int, int, int]:
    return stats.late_blocks, stats.dry_blocks, stats.late_controls
