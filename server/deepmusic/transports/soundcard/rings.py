"""Memory that this process shares with the audio process: two rings of samples and a few numbers.

::

    audio process   -- input ---->  ring  ---->  live process       written in every cycle of the device
    audio process   <-- output ---  ring  <----  live process       written whenever an answer is there

Every sample has its place by its position in the stream, so that a late answer never shifts the ones behind it: what
was not there in its moment is never played. Each number has one writer; they are 64-bit words, which processors store
whole.
"""

from __future__ import annotations

import contextlib
import enum
import mmap
import os
import tempfile
from pathlib import Path
from typing import Self

import numpy as np

from deepmusic.audio import MAX_CHANNELS, Audio

RING_SAMPLES = 1 << 17
"""Samples of a ring, a power of two: 0.68 s at 192 kHz, several times the longest latency with its cushion."""

_HEADER_BYTES = 4096
_RING_BYTES = MAX_CHANNELS * RING_SAMPLES * 4
_IN_MEMORY = Path("/dev/shm")  # noqa: S108 (where Linux keeps files that never meet a disk, whose writes could wait)


class Word(enum.IntEnum):
    """The numbers, by their place in the header."""

    START = 0
    """[live] Position of the first sample; read once, when the device starts."""
    LATENCY = 1
    """[live] Samples from an input of the stream to its place in the output; read once."""
    CUSHION = 2
    """[live] Samples by which output is played later than its position; read once."""
    WRITTEN_TO = 3
    """[live] Position behind the last sample of output that is there."""
    XRUNS = 4
    """[audio] Cycles that the device's own system missed or counted as late, since the device was opened."""
    DEVICE_INPUT = 5
    """[audio] Samples from the microphone to our input, as the device says."""
    DEVICE_OUTPUT = 6
    """[audio] Samples from our output to the loudspeaker, as the device says."""


class Rings:
    """The shared memory of one device.

    Args:
        path: Of the file that both processes map.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _HEADER_BYTES + 2 * _RING_BYTES)
        shape = (MAX_CHANNELS, RING_SAMPLES)
        self._words = np.frombuffer(self._memory, np.int64, count=len(Word))
        self.input: Audio = np.frombuffer(
            self._memory, np.float32, count=MAX_CHANNELS * RING_SAMPLES, offset=_HEADER_BYTES
        ).reshape(shape)
        self.output: Audio = np.frombuffer(
            self._memory, np.float32, count=MAX_CHANNELS * RING_SAMPLES, offset=_HEADER_BYTES + _RING_BYTES
        ).reshape(shape)

    @classmethod
    def create(cls) -> Self:
        """New memory, all zeros."""
        folder = _IN_MEMORY if os.access(_IN_MEMORY, os.W_OK) else None
        handle, name = tempfile.mkstemp(prefix="deepmusic-live-", dir=folder)
        os.ftruncate(handle, _HEADER_BYTES + 2 * _RING_BYTES)
        os.close(handle)
        return cls(Path(name))

    def __getitem__(self, word: Word) -> int:
        return int(self._words[word])

    def __setitem__(self, word: Word, value: int) -> None:
        self._words[word] = value

    def clear(self) -> None:
        """Silence in both rings."""
        self.input.fill(0.0)
        self.output.fill(0.0)

    def remove(self) -> None:
        """Takes the file away; who has mapped it keeps the memory."""
        with contextlib.suppress(OSError):  # Windows keeps a mapped file
            self.path.unlink(missing_ok=True)


def read_ring(ring: Audio, n_channels: int, first_sample: int, n_samples: int) -> Audio:
    """A copy of ``(n_channels, n_samples)`` from a position on."""
    place = first_sample % RING_SAMPLES
    end = place + n_samples
    if end <= RING_SAMPLES:
        return ring[:n_channels, place:end].copy()
    return np.concatenate((ring[:n_channels, place:], ring[:n_channels, : end - RING_SAMPLES]), axis=1)


def write_ring(ring: Audio, block: Audio, first_sample: int) -> None:
    """Writes ``(channels, samples)`` from a position on."""
    n_channels, n_samples = block.shape
    place = first_sample % RING_SAMPLES
    n_behind = min(n_samples, RING_SAMPLES - place)
    ring[:n_channels, place : place + n_behind] = block[:, :n_behind]
    if n_behind < n_samples:
        ring[:n_channels, : n_samples - n_behind] = block[:, n_behind:]
