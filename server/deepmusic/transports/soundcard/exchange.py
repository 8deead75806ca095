"""What happens in one cycle of the device: input goes into a ring, output comes out of the other, whatever happens.

::

    output of the cycle from position a on:   stream output a - cushion ... , if it is there
                                              else the input, delayed by latency + cushion
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deepmusic.audio import Audio
from deepmusic.transports.soundcard.rings import Rings, Word, read_ring, write_ring

Port = npt.NDArray[np.float32]
"""float32 ``(samples,)``: one channel of one cycle, in the device's own memory."""

FADE_S = 0.005
"""Over which the step between two sources is let go; the session's own fades are as long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What one cycle did."""

    first_sample: int
    """Position of its first input sample."""
    n_samples: int
    """Its length."""
    is_starved: bool
    """Whether output was missing, so that the delayed input was played instead."""


class Exchange:
    """Carries cycles out. All methods belong to the device's thread.

    Args:
        rings: Shared with the live process, which has filled in where to start, latency and cushion.
        n_channels: Of the stream.
        sample_rate_hz: Of the device.
    """

    def __init__(self, rings: Rings, n_channels: int, sample_rate_hz: int) -> None:
        self._rings = rings
        self._n_channels = n_channels
        self._position = self._start = rings[Word.START]
        self._latency = rings[Word.LATENCY]
        self._cushion = rings[Word.CUSHION]
        n_fade = round(FADE_S * sample_rate_hz)
        self._fade = np.linspace(1.0, 0.0, n_fade, endpoint=False, dtype=np.float32)
        self._n_faded = n_fade
        self._step = np.zeros((n_channels, 1), np.float32)
        self._last = np.zeros((n_channels, 1), np.float32)
        self._was_starved = False

    def turn(self, inputs: Sequence[Port], outputs: Sequence[Port]) -> Turn:
        """One cycle.

        Args:
            inputs: One port a channel.
            outputs: As many, or more; those beyond the stream's channels repeat the last one.
        """
        first, n_samples = self._position, len(outputs[0])
        self._position += n_samples
        write_ring(self._rings.input, np.stack(inputs), first)
        played = first - self._cushion
        is_starved = self._rings[Word.WRITTEN_TO] < played + n_samples
        if is_starved:
            block = read_ring(self._rings.input, self._n_channels, played - self._latency, n_samples)
        else:
            block = read_ring(self._rings.output, self._n_channels, played, n_samples)
        if is_starved is not self._was_starved:
            self._was_starved, self._n_faded = is_starved, 0
            self._step = self._last - block[:, :1]
        self._let_go(block)
        self._last = block[:, -1:]
        for channel, port in enumerate(outputs):
            port[:] = block[min(channel, self._n_channels - 1)]
        return Turn(first_sample=first, n_samples=n_samples, is_starved=is_starved)

    def _let_go(self, block: Audio) -> None:
        """What the sources differed by where they met is added, less and less: no click, and no second source."""
        left = self._fade[self._n_faded : self._n_faded + block.shape[1]]
        if len(left):
            block[:, : len(left)] += self._step * left
            self._n_faded += len(left)
