"""Interleaved little-endian samples on the wire, float32 ``(channels, samples)`` inside."""

from __future__ import annotations

import enum

import numpy as np

from deepmusic.audio import Audio
from deepmusic.errors import BadBlockSize

S16_FULL_SCALE = 32768.0
"""Step count of a 16-bit sample from 0 to full scale."""


class SampleFormat(enum.Enum):
    """How one sample is written; the value is its name on the wire."""

    F32LE = "F32LE"
    S16LE = "S16LE"

    @property
    def bytes_per_sample(self) -> int:
        """Bytes of one sample of one channel."""
        return 4 if self is SampleFormat.F32LE else 2


class PcmCodec:
    """Turns the bytes of one stream into audio and back.

    Args:
        n_channels: Channels, interleaved in this order.
        sample_format: How a sample is written.
    """

    def __init__(self, n_channels: int, sample_format: SampleFormat) -> None:
        self.n_channels = n_channels
        self.sample_format = sample_format
        self.frame_bytes = n_channels * sample_format.bytes_per_sample
        """Bytes of one sample of all channels."""

    def n_samples(self, pcm: bytes | bytearray, *, max_samples: int, field: str) -> int:
        """Samples of a block, at least one; arguments and errors are those of ``decode``."""
        n_samples, rest = divmod(len(pcm), self.frame_bytes)
        if rest or not n_samples:
            raise BadBlockSize(
                f"expected a whole number of {self.frame_bytes}-byte frames ({self.n_channels} channels of "
                f"{self.sample_format.value}), got {len(pcm)} bytes; send at least one whole frame",
                field=field,
            )
        if n_samples > max_samples:
            raise BadBlockSize(f"expected at most {max_samples} samples, got {n_samples}; split the block", field=field)
        return n_samples

    def decode(self, pcm: bytes | bytearray, *, max_samples: int, field: str = "audio.pcm") -> Audio:
        """The samples of a block, float32 ``(channels, samples)``, C-contiguous, in memory of their own.

        Args:
            pcm: Interleaved samples.
            max_samples: Largest block.
            field: Name of the field for the error.

        Raises:
            BadBlockSize: No sample, a broken frame, or more than ``max_samples``.
        """
        n_samples = self.n_samples(pcm, max_samples=max_samples, field=field)
        if self.sample_format is SampleFormat.F32LE:
            interleaved = np.frombuffer(pcm, dtype="<f4").reshape(n_samples, self.n_channels)
            return np.array(interleaved.T, dtype=np.float32, order="C")
        steps = np.frombuffer(pcm, dtype="<i2").reshape(n_samples, self.n_channels)
        return np.ascontiguousarray(steps.T, dtype=np.float32) / np.float32(S16_FULL_SCALE)

    def encode(self, block: Audio) -> bytes:
        """The block as interleaved bytes; 16-bit samples are rounded and clipped at full scale.

        Args:
            block: float32 ``(channels, samples)``.
        """
        if self.sample_format is SampleFormat.F32LE:
            return block.T.astype("<f4", order="C", copy=False).tobytes()
        steps = np.rint(block.T.astype(np.float64) * S16_FULL_SCALE)
        return np.clip(steps, -S16_FULL_SCALE, S16_FULL_SCALE - 1.0).astype("<i2", order="C").tobytes()
