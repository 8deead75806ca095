r"""A stream's receipt and dry input on their way to the disk, off the stream's own thread.

::

    session's thread --put--> a bounded queue --drain--> .NAME.part/ dry.wav, receipt.jsonl
                                                 \--at the end: renamed to NAME/

While it is written the folder is hidden. One that a crash left behind is read as far as its last mark.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import struct
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from deepmusic.audio import Audio
from deepmusic.errors import RequestError
from deepmusic.stage.receipt import Ended, Entry, Mark, Receipt
from deepmusic.stage.receipt_json import write_entry, write_receipt

RECEIPT_NAME = "receipt.jsonl"
DRY_NAME = "dry.wav"

HEADER_BYTES = 56
"""Of the dry recording: a WAV of float32 with nothing but its format and its length."""

LONGEST_WAIT_S = 20.0
"""Dry input that may wait for the disk: 8 MB of stereo. With more, the recording ends; the stream goes on."""

MAX_WAITING_ENTRIES = 100_000
"""Entries that may wait for the disk; with more, the recording ends."""

LEAST_FREE_BYTES = 1 << 30
"""What a recording leaves free on the disk."""

_MAX_WAV_BYTES = (1 << 32) - (1 << 16)

_log = logging.getLogger(__name__)


class Allowance:
    """Bytes that the recordings of a folder may take, together with what lies there already.

    Args:
        folder: Of the recordings.
        max_bytes: The limit.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        taken = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        self._left = max_bytes - taken

    def take(self, n_bytes: int) -> bool:
        """[writer] Whether so much more may be written."""
        if n_bytes > self._left or shutil.disk_usage(self._folder).free - n_bytes < LEAST_FREE_BYTES:
            return False
        self._left -= n_bytes
        return True


class Recording:
    """One stream's; a ``deepmusic.stage.tape.TapeSink``.

    Args:
        folder: Where it is to appear.
        name: Its own folder's, which must not exist.
        receipt: Its first line.
        allowance: What it may take.
        on_filling: [worker] Called where much waits already: a stream at pace fast does not wait for the clock.

    Raises:
        RequestError: The folder may not be written to.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        receipt: Receipt,
        allowance: Allowance,
        on_filling: Callable[[], None] = lambda: None,
    ) -> None:
        self._path = folder / name
        self._hidden = folder / f".{name}.part"
        self._allowance = allowance
        self._on_filling = on_filling
        self._rate_hz, self._n_channels = receipt.sample_rate_hz, receipt.n_channels
        self._waiting: deque[Entry | Audio] = deque()  # bounded by LONGEST_WAIT_S and MAX_WAITING_ENTRIES
        self._max_waiting_samples = round(LONGEST_WAIT_S * receipt.sample_rate_hz)
        self._n_put = self._n_entries_put = 0  # written by the session's thread alone
        self._n_taken = self._n_entries_taken = 0  # by the writer's
        self._is_cut = False
        self._is_closed = False
        self._is_over = False
        try:
            self._hidden.mkdir()
            self._dry: BinaryIO = (self._hidden / DRY_NAME).open("wb")
            self._lines: BinaryIO = (self._hidden / RECEIPT_NAME).open("wb")
            self._dry.write(_header(self._rate_hz, self._n_channels, None))
            self._lines.write(_line(write_receipt(receipt)))
        except OSError as error:
            raise RequestError(
                f"expected a folder that may be written to, '{folder}' is none; mend --record"
            ) from error

    @property
    def is_over(self) -> bool:
        """[writer] Whether nothing more will be written."""
        return self._is_over

    def put(self, entry: Entry) -> None:
        """[worker] Takes an entry."""
        if self._is_cut or self._n_entries_put - self._n_entries_taken >= MAX_WAITING_ENTRIES:
            self._is_cut = True
            return
        self._n_entries_put += 1
        self._waiting.append(entry)

    def put_audio(self, block: Audio) -> None:
        """[worker] Takes dry samples."""
        n_waiting = self._n_put - self._n_taken
        if self._is_cut or n_waiting > self._max_waiting_samples:
            self._is_cut = True
            return
        if n_waiting > self._max_waiting_samples // 4:
            self._on_filling()
        self._n_put += block.shape[1]
        self._waiting.append(block)

    def close(self) -> None:
        """[worker] Nothing more will come."""
        self._is_closed = True

    def drain(self) -> None:
        """[writer] Writes what waits; at the end brings all of it to the disk and gives it its name."""
        if self._is_over:
            return
        is_last = self._is_closed or self._is_cut  # asked first: what came before that is in the queue by now
        try:
            self._write()
            if is_last or self._is_cut:
                self._end()
        except OSError:
            _log.warning("a recording could not be written on; what there is stays in %s", self._hidden)
            self._give_up()

    def _write(self) -> None:
        """Writes what waits now, or, where that is more than there is room for, nothing of it."""
        pcm, lines = bytearray(), bytearray()
        for _ in range(len(self._waiting)):
            item = self._waiting.popleft()
            if isinstance(item, np.ndarray):
                pcm += np.ascontiguousarray(item.T, "<f4").tobytes()
                self._n_taken += item.shape[1]
            else:
                lines += _line(write_entry(item))
                self._n_entries_taken += 1
        if not pcm and not lines:
            return
        is_too_long = self._dry.tell() + len(pcm) > _MAX_WAV_BYTES
        if is_too_long or not self._allowance.take(len(pcm) + len(lines)):
            _log.warning("there is no more room to record %s; its sound goes on", self._path.name)
            self._is_cut = True
            return
        self._dry.write(pcm)
        self._dry.flush()
        self._lines.write(lines + _line(write_entry(Mark(n_samples=self._n_samples))))
        self._lines.flush()

    @property
    def _n_samples(self) -> int:
        return (self._dry.tell() - HEADER_BYTES) // (4 * self._n_channels)

    def _end(self) -> None:
        n_samples = self._n_samples
        self._is_over = True
        if self._is_cut:
            self._waiting.clear()
            self._lines.write(_line(write_entry(Ended(how="cut", n_samples=n_samples))))
        self._dry.seek(0)
        self._dry.write(_header(self._rate_hz, self._n_channels, n_samples))
        for file in (self._dry, self._lines):
            file.flush()
            os.fsync(file.fileno())
            file.close()
        if n_samples:
            self._hidden.rename(self._path)
        else:  # a stream without sound is no recording
            shutil.rmtree(self._hidden)

    def _give_up(self) -> None:
        self._is_cut = self._is_over = True
        self._waiting.clear()
        for file in (self._dry, self._lines):
            with contextlib.suppress(OSError):
                file.close()


def _line(text: str) -> bytes:
    return text.encode() + b"\n"


def _header(rate_hz: int, n_channels: int, n_samples: int | None) -> bytes:
    """Of a WAV of float32 (Microsoft's format 3); while its length is not known it claims the largest."""
    frame_bytes = 4 * n_channels
    data_bytes = 0xFFFFFFFF - HEADER_BYTES if n_samples is None else n_samples * frame_bytes
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 3, n_channels, rate_hz, rate_hz * frame_bytes, frame_bytes, 32)
    fact = struct.pack("<4sII", b"fact", 4, data_bytes // frame_bytes)
    data = struct.pack("<4sI", b"data", data_bytes)
    return struct.pack("<4sI4s", b"RIFF", data_bytes + HEADER_BYTES - 8, b"WAVE") + form + fact + data
