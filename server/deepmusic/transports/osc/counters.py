"""What the bridge counts: whatever it does not do is a number that ``/status`` shows."""

from __future__ import annotations

import enum
from dataclasses import dataclass, fields


class Count(enum.Enum):
    """A counter; its value is its name in ``OscStats`` and in ``/status.reply``."""

    DATAGRAMS = "datagrams"
    MESSAGES = "messages"
    FOREIGN = "foreign"
    FLOODED = "flooded"
    MALFORMED = "malformed"
    BUSY = "busy"
    LATE = "late"
    TOO_EARLY = "too_early"
    FAILED = "failed"
    WITHHELD = "withheld"


@dataclass(frozen=True, slots=True, kw_only=True)
class OscStats:
    """Counters of a bridge since its start."""

    datagrams: int = 0
    """Datagrams that came, and packets of connections that were taken."""
    messages: int = 0
    """Messages that were taken up."""
    foreign: int = 0
    """Datagrams dropped, and connections closed, because they came from outside the allowed networks."""
    flooded: int = 0
    """Datagrams dropped because their sender, or all together, sent too many."""
    malformed: int = 0
    """Datagrams and addresses dropped because they are no OSC, or more of it than anyone needs."""
    busy: int = 0
    """Datagrams and commands dropped because too many were waiting."""
    late: int = 0
    """Messages whose time tag had passed; they were carried out at once."""
    too_early: int = 0
    """Messages dropped because their time tag lay too far ahead."""
    failed: int = 0
    """Commands that could not be carried out, in full or in part."""
    withheld: int = 0
    """Answers that were not sent: larger than the request, to a peer that is not verified, or the network was slow."""


class Counters:
    """What is added to while the bridge runs. All methods are [loop]."""

    def __init__(self) -> None:
        self._counts = {field.name: 0 for field in fields(OscStats)}

    def add(self, count: Count, n: int = 1) -> None:
        """Adds to a counter."""
        self._counts[count.value] += n

    def snapshot(self) -> OscStats:
        """The counters as of now."""
        return OscStats(**self._counts)
