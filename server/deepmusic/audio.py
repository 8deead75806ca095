"""What audio is inside the program, and the checks at its edge.

Audio is float32, C-contiguous, shape ``(channels, samples)``, nominal range -1 to 1, never interleaved. It is checked
once, where it comes in, with the functions here, and trusted from there on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from deepmusic.errors import BadBlockSize, BadConfig

Audio: TypeAlias = npt.NDArray[np.float32]
"""float32 ``(channels, samples)``."""

Spectra: TypeAlias = npt.NDArray[np.complex64]
"""complex64 ``(channels, frames, bins)``."""

SUPPORTED_RATES_HZ = (44100, 48000, 88200, 96000, 176400, 192000)
"""Host rates at which a stream runs without a resampler."""

MAX_CHANNELS = 8
"""Channels of 7.1; one gain field drives all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioFormat:
    """Rate and channel count of a stream.

    Raises:
        BadConfig: The rate is none of ``SUPPORTED_RATES_HZ``, or the channel count is not 1 to ``MAX_CHANNELS``.
    """

    sample_rate_hz: int
    """One of ``SUPPORTED_RATES_HZ``."""

    n_channels: int
    """1 to ``MAX_CHANNELS``."""

    def __post_init__(self) -> None:
        if self.sample_rate_hz not in SUPPORTED_RATES_HZ:
            rates = ", ".join(map(str, SUPPORTED_RATES_HZ))
            raise BadConfig(
                f"expected a sample rate of {rates} Hz, got {self.sample_rate_hz}; run the host at one of them",
                field="sample_rate_hz",
            )
        if not 1 <= self.n_channels <= MAX_CHANNELS:
            raise BadConfig(
                f"expected 1 to {MAX_CHANNELS} channels, got {self.n_channels}; open one stream for each group",
                field="n_channels",
            )


def as_audio(array: npt.NDArray[Any]) -> Audio:
    """The array as C-contiguous float32; the same object when it is that already.

    Args:
        array: ``(channels, samples)``, of any real dtype, nominal range -1 to 1.
    """
    return np.ascontiguousarray(array, dtype=np.float32)


def check_block(block: npt.NDArray[Any], audio_format: AudioFormat, max_samples: int) -> None:
    """Refuses a block that is not float32 ``(audio_format.n_channels, 1..max_samples)``.

    Raises:
        BadBlockSize: Says what was expected and what came.
    """
    if block.ndim != 2 or block.shape[0] != audio_format.n_channels:
        raise BadBlockSize(
            f"expected a block of shape ({audio_format.n_channels}, samples), got {block.shape}; "
            "send every channel, as the stream's config declares them",
            field="audio",
        )
    n_samples = block.shape[1]
    if not 1 <= n_samples <= max_samples:
        raise BadBlockSize(
            f"expected a block of 1 to {max_samples} samples, got {n_samples}; split or gather the audio", field="audio"
        )
    if block.dtype != np.float32:
        raise BadBlockSize(f"expected float32 samples, got {block.dtype}; convert them first", field="audio")


def replace_non_finite(block: Audio) -> tuple[Audio, int]:
    """Replaces NaN and infinities by 0.

    Args:
        block: ``(channels, samples)``; not changed.

    Returns:
        The block, a copy only where something was replaced, and the number of samples replaced over all channels.
    """
    finite = np.isfinite(block)
    if finite.all():
        return block, 0
    return np.where(finite, block, np.float32(0.0)), int(block.size - np.count_nonzero(finite))
