"""The one contract of everything that turns blocks of audio into blocks of audio."""

from __future__ import annotations

from typing import Protocol

from deepmusic.audio import Audio


class Processor(Protocol):
    """A streaming effect at the host's rate.

    All state is allocated when it is built. Samples come out in order; output sample i belongs to input sample
    ``i - latency_samples`` and is silence while that is negative. The result is the same for any split of the input
    into blocks; arguments are never changed. ``tests/support/laws.py`` holds every processor to this.
    """

    @property
    def latency_samples(self) -> int:
        """Delay, fixed at construction, in samples."""
        ...

    def process(self, block: Audio) -> Audio:
        """Takes ``(channels, n)`` and gives ``(channels, n)``; n may be 0."""
        ...

    def flush(self) -> Audio:
        """The last ``latency_samples`` samples, ``(channels, latency_samples)``; the state is silent then."""
        ...

    def reset(self) -> None:
        """Back to the state just after construction, without allocating."""
        ...
