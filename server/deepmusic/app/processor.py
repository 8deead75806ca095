"""The processor, as the system describes it."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True, slots=True)
class Processor:
    """What the processor is called and what it can do."""

    name: str
    """Its maker's name for it, or the kind of machine where the system has no more to say."""
    instruction_sets: frozenset[str]
    """As Linux spells them; empty elsewhere."""

    @classmethod
    def of_this_host(cls) -> Processor:
        """The first processor of this host; all of a host are taken to be alike."""
        name, sets = platform.processor() or platform.machine(), frozenset[str]()
        try:
            text = CPUINFO.read_text(encoding="utf-8")
        except OSError:
            return cls(name, sets)  # not Linux
        for line in text.partition("\n\n")[0].splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                name = value.strip()
            elif key.strip() in ("flags", "Features"):
                sets = frozenset(value.split())
        return cls(name, sets)
