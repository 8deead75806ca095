"""What a session counted: lateness is data, shown by every transport."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStats:
    """Counters of one session since its start; a snapshot that never changes."""

    samples_in: int = 0
    """Samples received, without gaps and dropped blocks."""
    samples_out: int = 0
    """Samples sent, tails included."""
    blocks_in: int = 0
    """Blocks received and taken."""
    blocks_out: int = 0
    """Blocks sent, tails included."""
    steps: int = 0
    """Model steps whose sound went out."""
    late_steps: int = 0
    """Steps replaced by the delayed dry because their deadline passed."""
    failed_steps: int = 0
    """Steps replaced by the delayed dry because the model failed."""
    late_blocks: int = 0
    """Blocks sent with the flag LATE."""
    dry_blocks: int = 0
    """Blocks sent with the flag DRY, late or failed."""
    ceiling_blocks: int = 0
    """Blocks sent with the flag CEILING."""
    concealed_samples: int = 0
    """Samples that never came and were taken as silence."""
    dropped_blocks: int = 0
    """Duplicate or older blocks that were dropped."""
    replaced_samples: int = 0
    """NaN and infinite samples replaced by 0, over all channels."""
    late_controls: int = 0
    """Controls and changes whose sample had passed; they began at the next one."""
    clamped_controls: int = 0
    """Controls out of range."""
    style_changes: int = 0
    """Crossfades to another style or bundle that were begun."""


class Counters:
    """What a session adds to while it runs; a snapshot is made only when someone asks."""

    def __init__(self) -> None:
        self._counts = {field.name: 0 for field in fields(SessionStats)}

    def add(self, **more: int) -> None:
        """Adds to counters by the names of ``SessionStats``."""
        counts = self._counts
        for name, n in more.items():
            counts[name] += n

    def snapshot(self) -> SessionStats:
        """[any] The counters as of now."""
        return SessionStats(**self._counts)
