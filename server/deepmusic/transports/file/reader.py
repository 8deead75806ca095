"""Read an audio file block by block, decoded by a process that has nothing to lose.

libsndfile is C code with open faults, so a file from outside is recognised here by its first bytes and decoded in a
child process with limits on memory, time and length (`decoder_child`). What arrives is audio in the program's own form.
"""

from __future__ import annotations

import json
import os
import queue
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, BinaryIO

import numpy as np

from deepmusic.audio import MAX_CHANNELS, Audio, replace_non_finite
from deepmusic.errors import AudioTooLong, DecodeFailed, DeepmusicError, RequestError, UnsupportedFormat
from deepmusic.transports.file.container import HEAD_BYTES, Container, is_cut_off, sniff

READABLE = "WAV, AIFF, FLAC, OGG (Vorbis, Opus) and MP3"
"""The formats that are read, as a message names them."""

_HEADER = struct.Struct("<cI")
_MAX_MESSAGE_BYTES = 1 << 20
_MAX_WAITING = 8
"""Messages of at most 512 KiB that were read ahead; when so many wait, the child waits too, so nothing is dropped."""

_CHILD = Path(__file__).with_name("decoder_child.py")

_Message = tuple[bytes, bytes]
_GONE: _Message = (b"", b"")
"""Stands in the queue for a child that closed its output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeLimits:
    """What one file may cost."""

    min_rate_hz: int = 8_000
    """Lowest sample rate, Hz."""

    max_rate_hz: int = 192_000
    """Highest sample rate, Hz."""

    max_channels: int = MAX_CHANNELS
    """Most channels."""

    max_values: int = 4 * 3600 * 48_000 * 2
    """Most samples, counted over all channels: four hours of stereo at 48 kHz. Silence shrinks 2700-fold in FLAC, so
    the size of a file says nothing."""

    memory_bytes: int = 512 << 20
    """Address space of the decoding process, bytes."""

    cpu_s: int = 900
    """Processor time of the decoding process, seconds."""

    stall_s: float = 30.0
    """Longest wait for the next block, seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioInfo:
    """What a file's header says."""

    container: Container
    """Recognised by content; the name plays no part."""

    subtype: str
    """libsndfile's name of the encoding, PCM_24 for instance."""

    sample_rate_hz: int
    """Hz."""

    n_channels: int
    """1 to 8."""

    n_samples: int
    """Length as the header declares it. The count that was decoded is `AudioReader.n_samples_read`."""


class AudioReader:
    """An open audio file: `info` at once, the sound through `blocks`. Use it in a `with` statement.

    Args:
        path: the file.
        limits: what it may cost.

    Raises:
        RequestError: there is no such file, or it cannot be opened, or it is empty.
        UnsupportedFormat: it is none of the formats that are read, whatever its name says.
        DecodeFailed: it is cut off or damaged. Damage further on is found while reading.
        AudioTooLong: it has more samples than the limits allow.
    """

    def __init__(self, path: str | os.PathLike[str], *, limits: DecodeLimits | None = None) -> None:
        self.path = Path(path)
        self.n_samples_read = 0
        self.n_non_finite = 0
        """Samples that were NaN or infinite and were replaced by 0, over all channels."""
        self._limits = limits or DecodeLimits()
        with _open(self.path) as file:
            container = self._recognise(file)
            file.seek(0)
            self._child = _start_child(file, container, self._limits)
        assert self._child.stdout is not None
        # Ctrl-C may raise anywhere in the thread that reads. SimpleQueue is written in C: it never stays locked behind
        # that, and Queue does, which then held the pump and with it `close` for good.
        self._messages: queue.SimpleQueue[_Message] = queue.SimpleQueue()
        self._room: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(_MAX_WAITING):
            self._room.put(None)
        self._is_closed = False
        self._pump_thread = threading.Thread(target=self._pump, args=(self._child.stdout,), daemon=True)
        self._pump_thread.start()
        try:
            self.info = self._read_header(container)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> AudioReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the decoding process, wherever it stands. May be called twice."""
        self._is_closed = True
        self._child.kill()
        self._child.wait()
        self._room.put(None)
        self._pump_thread.join()
        assert self._child.stdout is not None
        self._child.stdout.close()

    def blocks(self) -> Iterator[Audio]:
        """The sound from where reading stands to its end, as float32 `(channels, samples)`, at most 16384 samples each.

        Samples that are NaN or infinite come as 0 and are counted in `n_non_finite`.

        Raises:
            DecodeFailed: the file breaks off, or decoding it failed or took too long.
            AudioTooLong: it turned out to be longer than its header said, and than the limits allow.
        """
        while True:
            kind, payload = self._next_message()
            if kind == b"Z":
                return
            if kind != b"B":
                raise self._failure(kind, payload)
            interleaved = np.frombuffer(payload, dtype="<f4").reshape(-1, self.info.n_channels)
            block, n_replaced = replace_non_finite(np.ascontiguousarray(interleaved.T, dtype=np.float32))
            self.n_non_finite += n_replaced
            self.n_samples_read += block.shape[1]
            yield block

    def _recognise(self, file: BinaryIO) -> Container:
        head = file.read(HEAD_BYTES)
        if not head:
            raise RequestError(f"{self.path}: expected an audio file, got an empty one; export it again")
        container = sniff(head)
        if container is None:
            raise UnsupportedFormat(
                f"{self.path}: expected {READABLE}, got {_describe(head)}; convert it to one of them first"
            )
        if is_cut_off(file, container):
            raise DecodeFailed(
                f"{self.path}: expected a whole {container.value} file, got one whose end is missing; "
                "copy or export it again"
            )
        return container

    def _read_header(self, container: Container) -> AudioInfo:
        kind, payload = self._next_message()
        if kind != b"H":
            raise self._failure(kind, payload)
        fields = json.loads(payload)
        if fields["n_samples"] < 1:
            raise RequestError(f"{self.path}: expected at least one sample of sound, got none; export it again")
        return AudioInfo(container=container, **fields)

    def _pump(self, stdout: IO[bytes]) -> None:
        """[own thread] Carry messages from the child's output into the queue until either side stops."""
        message = None
        while message != _GONE:
            self._room.get()
            if self._is_closed:
                return
            message = _read_message(stdout)
            self._messages.put(message)

    def _next_message(self) -> _Message:
        try:
            message = self._messages.get(timeout=self._limits.stall_s)
        except queue.Empty:
            self._child.kill()
            raise DecodeFailed(
                f"{self.path}: expected the next block within {self._limits.stall_s:g} s, got nothing; "
                "the file may be made to stall decoders: convert it with a program you trust"
            ) from None
        self._room.put(None)
        return message

    def _failure(self, kind: bytes, payload: bytes) -> DeepmusicError:
        if kind != b"E":
            return DecodeFailed(
                f"{self.path}: expected sound, but the decoder died on it; convert it with a program you trust"
            )
        fields = json.loads(payload)
        reason, message = fields["reason"], f"{self.path}: {fields['message']}"
        if reason == UnsupportedFormat.reason:
            return UnsupportedFormat(f"{message}; convert it first")
        if reason == AudioTooLong.reason:
            return AudioTooLong(f"{message}; cut it into parts")
        return DecodeFailed(f"{message}; copy or export it again")


def read_audio(path: str | os.PathLike[str], *, limits: DecodeLimits | None = None) -> tuple[Audio, int]:
    """A whole file at once: float32 `(channels, samples)` and its rate in Hz. For files known to be short.

    Raises:
        DeepmusicError: as `AudioReader` and its `blocks`.
    """
    with AudioReader(path, limits=limits) as reader:
        blocks = list(reader.blocks())
        return np.concatenate(blocks, axis=1), reader.info.sample_rate_hz


def _open(path: Path) -> BinaryIO:
    try:
        if path.exists() and not path.is_file():
            what = "a folder" if path.is_dir() else "a pipe or device"
            raise RequestError(f"{path}: expected an audio file, got {what}; name a file")
        return path.open("rb")
    except FileNotFoundError:
        raise RequestError(f"{path}: expected an audio file, but there is none of that name; check the path") from None
    except (OSError, ValueError):
        raise RequestError(f"{path}: expected an audio file, but it cannot be opened; check its permissions") from None


def _start_child(file: BinaryIO, container: Container, limits: DecodeLimits) -> subprocess.Popen[bytes]:
    fields = {
        "container": container.value,
        "min_rate_hz": limits.min_rate_hz,
        "max_rate_hz": limits.max_rate_hz,
        "max_channels": limits.max_channels,
        "max_values": limits.max_values,
        "memory_bytes": limits.memory_bytes,
        "cpu_s": limits.cpu_s,
    }
    # One BLAS thread: each maps tens of megabytes of address space, and the child does no linear algebra.
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-P", str(_CHILD), json.dumps(fields)],
        stdin=file,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    )


def _read_message(stdout: IO[bytes]) -> _Message:
    head = stdout.read(_HEADER.size)
    if len(head) < _HEADER.size:
        return _GONE
    kind, length = _HEADER.unpack(head)
    if length > _MAX_MESSAGE_BYTES:
        return _GONE
    payload = stdout.read(length)
    return (kind, payload) if len(payload) == length else _GONE


_FOREIGN_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"MThd", "a MIDI file, which holds notes and no sound"),
    (b"caff", "a CAF file"),
    (b".snd", "an AU file"),
    (b"\x1aE\xdf\xa3", "a Matroska or WebM file"),
)


def _describe(head: bytes) -> str:
    """Name what came, as far as its first bytes tell."""
    for magic, name in _FOREIGN_MAGIC:
        if head.startswith(magic):
            return name
    if head[4:8] == b"ftyp":
        return "an MP4 or M4A file"
    if head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml", b"<svg")):
        return "a web page"
    printable = sum(32 <= byte < 127 or byte in b"\t\r\n" for byte in head)
    return "text" if printable == len(head) else "something else"
