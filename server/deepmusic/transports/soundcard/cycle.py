"""What the audio process says of each cycle: a record of fixed length, through a pipe that also wakes who reads it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Self

_LAYOUT = struct.Struct("<qqqiiq")

CYCLE_BYTES = _LAYOUT.size
"""Length of a record; short enough for a pipe to write it whole or not at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """One cycle of a device."""

    first_sample: int
    """Position of its first input sample; its input lies in the ring."""
    n_samples: int
    """Its length."""
    is_starved: bool
    """Whether output was missing and the delayed input was played."""
    began_ns: int
    """When it began, on the monotonic clock, which all processes of a machine share."""
    took_ns: int
    """How long the audio process worked on it."""
    n_xruns: int
    """Cycles that the device's own system missed so far."""

    def pack(self) -> bytes:
        """As it goes through the pipe."""
        return _LAYOUT.pack(
            self.first_sample, self.began_ns, self.took_ns, self.n_samples, int(self.is_starved), self.n_xruns
        )

    @classmethod
    def unpack(cls, record: bytes) -> Self:
        """As it came through the pipe."""
        first_sample, began_ns, took_ns, n_samples, is_starved, n_xruns = _LAYOUT.unpack(record)
        return cls(
            first_sample=first_sample,
            n_samples=n_samples,
            is_starved=bool(is_starved),
            began_ns=began_ns,
            took_ns=took_ns,
            n_xruns=n_xruns,
        )
