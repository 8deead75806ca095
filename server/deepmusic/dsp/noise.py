"""Gaussian noise that is a function of seed, channel and sample position, and of nothing else.

Philox is a counter-based generator: value i of a channel needs none of the values before it (Salmon et al., "Parallel
random numbers: as easy as 1, 2, 3", SC 2011). One count gives four 64-bit words, eight 32-bit halves, and by Box and
Muller's transform eight samples. So position p belongs to count p // 8, and blocks start at multiples of eight.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from deepmusic.audio import Audio

SAMPLES_A_COUNT = 8
"""Samples that one count of the generator gives; blocks are a multiple of it."""

_HALVES_TO_UNIT = np.float32(2.0**-24)
_TURNS_TO_RADIANS = np.float32(2.0 * np.pi * 2.0**-24)


class GaussianNoise:
    """Independent unit Gaussian noise in every channel, in sequence from sample 0.

    Args:
        seed: Key of the generator, 0 or more.
        n_channels: Channels; the noise of channel c does not depend on how many there are.
    """

    def __init__(self, seed: int, n_channels: int) -> None:
        self._seed = seed
        self._n_channels = n_channels
        self._generators: list[np.random.Philox] = []
        self.reset()

    def process(self, n_samples: int, out: Audio | None = None) -> Audio:
        """The next samples.

        Args:
            n_samples: A multiple of ``SAMPLES_A_COUNT``.
            out: Where to write the result.

        Returns:
            float32 ``(channels, n_samples)``.
        """
        if n_samples % SAMPLES_A_COUNT:
            raise ValueError(f"expected a multiple of {SAMPLES_A_COUNT} samples, got {n_samples}")
        if out is None:
            out = np.empty((self._n_channels, n_samples), np.float32)
        words = np.stack([generator.random_raw(n_samples // 2) for generator in self._generators])
        return _box_muller(words, out)

    def reset(self) -> None:
        """Back to sample 0."""
        self._generators = [_generator(self._seed, channel, 0) for channel in range(self._n_channels)]


def gaussian_noise(seed: int, channel: int, first_sample: int, n_samples: int) -> npt.NDArray[np.float32]:
    """Samples ``first_sample .. first_sample + n_samples - 1`` of a channel's noise, float32 ``(n_samples,)``.

    Args:
        seed: Key of the generator, 0 or more.
        channel: Channel, 0 or more.
        first_sample: Position in the stream.
        n_samples: How many.
    """
    lead = first_sample % SAMPLES_A_COUNT
    n_counted = -(-(lead + n_samples) // SAMPLES_A_COUNT) * SAMPLES_A_COUNT
    words = _generator(seed, channel, first_sample // SAMPLES_A_COUNT).random_raw(n_counted // 2)
    return _box_muller(words, np.empty(n_counted, np.float32))[lead : lead + n_samples]


def _generator(seed: int, channel: int, count: int) -> np.random.Philox:
    return np.random.Philox(key=seed, counter=[count, 0, channel, 0])


def _box_muller(words: npt.NDArray[np.uint64], out: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """uint64 ``(..., n / 2)`` to float32 ``(..., n)``; each word gives two neighbouring samples."""
    uniform = ((words >> np.uint64(40)).astype(np.float32) + np.float32(0.5)) * _HALVES_TO_UNIT
    radius = np.sqrt(np.float32(-2.0) * np.log(uniform))
    angle = (words & np.uint64(0xFFFFFF)).astype(np.float32) * _TURNS_TO_RADIANS
    np.multiply(radius, np.cos(angle), out=out[..., 0::2])
    np.multiply(radius, np.sin(angle), out=out[..., 1::2])
    return out
