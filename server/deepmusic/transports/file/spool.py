"""Audio of any length outside of memory: a nameless file beside the output, which vanishes with the process."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import TracebackType

import numpy as np

from deepmusic.audio import Audio
from deepmusic.errors import RequestError, StorageFull


class Spool:
    """Float32 samples on disk, in a `with` statement: first all of `append`, then `audio`.

    Args:
        folder: where the file is made; a folder with room for the recording, not one in memory.
        n_channels: channels of the blocks.

    Raises:
        RequestError: the folder is not there or may not be written to.
    """

    def __init__(self, folder: Path, n_channels: int) -> None:
        self._folder = folder
        self._n_channels = n_channels
        self._n_samples = 0
        try:
            self._file = tempfile.TemporaryFile(dir=folder, prefix=".deepmusic-")  # noqa: SIM115 (closed in __exit__)
        except OSError as error:
            raise RequestError(
                f"expected a folder that may be written to, '{folder}' is none; make it or choose another"
            ) from error

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def append(self, block: Audio) -> None:
        """Add a block, float32 `(channels, samples)` of any length.

        Raises:
            StorageFull: the disk did not take it.
        """
        try:
            self._file.write(np.ascontiguousarray(block.T).tobytes())
        except OSError as error:
            raise StorageFull(
                f"expected room in '{self._folder}' to work in, but the disk is full; free some first"
            ) from error
        self._n_samples += block.shape[1]

    def audio(self) -> Audio:
        """All that was appended, float32 `(channels, samples)`, read-only and read from the disk as it is looked at."""
        if not self._n_samples:
            return np.zeros((self._n_channels, 0), np.float32)
        try:
            self._file.flush()
        except OSError as error:
            raise StorageFull(
                f"expected room in '{self._folder}' to work in, but the disk is full; free some"
            ) from error
        shape = (self._n_samples, self._n_channels)
        return np.memmap(self._file, np.float32, mode="r", shape=shape).T
