"""A delay of whole samples: keeps the dry signal beside the wet one."""

from __future__ import annotations

import numpy as np

from deepmusic.audio import Audio


class DelayLine:
    """Gives every sample back ``delay_samples`` later, bit for bit, whatever its value.

    Args:
        n_channels: Channels.
        delay_samples: 0 or more.
    """

    def __init__(self, n_channels: int, delay_samples: int) -> None:
        if delay_samples < 0:
            raise ValueError(f"expected a delay of 0 samples or more, got {delay_samples}")
        self._ring = np.zeros((n_channels, delay_samples), np.float32)
        self._at = 0  # of the oldest sample, which is the next one out

    @property
    def latency_samples(self) -> int:
        """The delay, in samples."""
        return self._ring.shape[1]

    def process(self, block: Audio) -> Audio:
        """Takes ``(channels, n)``, gives the n samples that are due, in new memory."""
        out = np.empty_like(block)
        delay, n_samples = self._ring.shape[1], block.shape[1]
        n_through = max(0, n_samples - delay)  # go in and out within this block
        n_stored = n_samples - n_through
        self._read(out[:, :n_stored])
        out[:, n_stored:] = block[:, :n_through]
        self._write(block[:, n_through:])
        return out

    def flush(self) -> Audio:
        """The samples that are still inside, ``(channels, latency_samples)``; silence takes their place."""
        return self.process(np.zeros_like(self._ring))

    def reset(self) -> None:
        """Silence inside."""
        self._ring.fill(0.0)
        self._at = 0

    def _read(self, out: Audio) -> None:
        n_to_end = min(out.shape[1], self._ring.shape[1] - self._at)
        out[:, :n_to_end] = self._ring[:, self._at : self._at + n_to_end]
        out[:, n_to_end:] = self._ring[:, : out.shape[1] - n_to_end]

    def _write(self, block: Audio) -> None:
        delay, n_samples = self._ring.shape[1], block.shape[1]
        n_to_end = min(n_samples, delay - self._at)
        self._ring[:, self._at : self._at + n_to_end] = block[:, :n_to_end]
        self._ring[:, : n_samples - n_to_end] = block[:, n_to_end:]
        self._at = (self._at + n_samples) % delay if delay else 0
