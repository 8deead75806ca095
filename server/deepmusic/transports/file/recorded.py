"""A recording, read: its receipt, and its dry samples as they are asked for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from deepmusic.audio import Audio, AudioFormat
from deepmusic.errors import RequestError
from deepmusic.stage.receipt import Ended, Entry, Mark, Receipt
from deepmusic.stage.receipt_json import read_entry, read_receipt
from deepmusic.transports.file.recording import DRY_NAME, HEADER_BYTES, RECEIPT_NAME

MAX_RECEIPT_BYTES = 1 << 30
"""Largest receipt: a thousand changes a second for an hour have less."""


class Recorded:
    """A recording, in a `with` statement. One that a crash left behind ends at its last mark.

    Args:
        path: its folder, or the receipt in it.

    Raises:
        RequestError: there is none, or it is damaged.
    """

    def __init__(self, path: Path) -> None:
        folder = path.parent if path.name == RECEIPT_NAME else path
        self.dry_path = folder / DRY_NAME
        try:
            if (folder / RECEIPT_NAME).stat().st_size > MAX_RECEIPT_BYTES:
                raise RequestError(f"{folder}: expected a receipt of at most 1 GiB, got more")
            lines = (folder / RECEIPT_NAME).read_bytes().split(b"\n")
            self._dry = self.dry_path.open("rb")
        except OSError as error:
            raise RequestError(
                f"expected a recording in '{folder}', a folder with {RECEIPT_NAME} and {DRY_NAME}; check the path"
            ) from error
        try:
            self.receipt, self.entries = _read(
                lines[:-1]
            )  # behind the last end of line there is nothing, or half a line
            n_channels, rate_hz = self.receipt.n_channels, self.receipt.sample_rate_hz
            self.audio_format = AudioFormat(sample_rate_hz=rate_hz, n_channels=n_channels)
            self.n_samples = max((entry.n_samples for entry in self.entries if isinstance(entry, Mark)), default=0)
            there = (os.fstat(self._dry.fileno()).st_size - HEADER_BYTES) // (4 * n_channels)
            if there < self.n_samples:
                raise RequestError(
                    f"{folder}: expected {self.n_samples} samples in {DRY_NAME}, got {max(there, 0)}; copy it again"
                )
        except BaseException:
            self._dry.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._dry.close()

    @property
    def how(self) -> str:
        """How it ended: as ``Ended.how`` says, or ``crashed``."""
        return next((entry.how for entry in self.entries if isinstance(entry, Ended)), "crashed")

    def read(self, first: int, count: int) -> Audio:
        """Dry samples, float32 `(channels, count)`."""
        n_channels = self.audio_format.n_channels
        self._dry.seek(HEADER_BYTES + 4 * n_channels * first)
        values = np.frombuffer(self._dry.read(4 * n_channels * count), "<f4").reshape(-1, n_channels)
        return np.ascontiguousarray(values.T, np.float32)


def _read(lines: Sequence[bytes]) -> tuple[Receipt, tuple[Entry, ...]]:
    try:
        texts = [line.decode() for line in lines]
    except UnicodeDecodeError as error:
        raise RequestError("expected text in UTF-8 in the receipt, got something else; copy it again") from error
    if not texts:
        raise RequestError("expected a receipt, got an empty file; copy it again")
    entries: list[Entry] = []
    for text in texts[1:]:
        entry = read_entry(text)
        entries.append(entry)
    last = max((n for n, entry in enumerate(entries) if isinstance(entry, Mark | Ended)), default=-1)
    return read_receipt(texts[0]), tuple(entries[: last + 1])
