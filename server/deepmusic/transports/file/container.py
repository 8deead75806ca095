"""What kind of audio file this is, told from its bytes and never from its name.

The first bytes decide (`sniff`), so that a decoder written in C is never shown a zip, a web page or one of libsndfile's
rarer formats. `is_cut_off` then reads the few length fields that a cut-off file contradicts; libsndfile clips those
to what is there and says nothing.
"""

from __future__ import annotations

import enum
import os
import struct
from typing import BinaryIO

HEAD_BYTES = 16
"""Bytes that `sniff` wants to see."""

_MAX_CHUNKS = 4096
"""Chunks walked in one RIFF or FORM file: a file of nothing but empty chunks is given up, not followed."""

_OGG_TAIL_BYTES = 65_536
"""An Ogg page is at most 65307 bytes long (RFC 3533, section 6), so the last one begins within this many."""

_UNKNOWN_SIZE = 0xFFFFFFFF
"""What a program writes that streams a WAV file into a pipe."""


class Container(enum.Enum):
    """The five containers that are read. The value is libsndfile's name of the format."""

    WAV = "WAV"
    AIFF = "AIFF"
    FLAC = "FLAC"
    OGG = "OGG"
    MP3 = "MP3"


def sniff(head: bytes) -> Container | None:
    """Name the container by its first bytes.

    Args:
        head: the first `HEAD_BYTES` bytes of the file, fewer if it is shorter.

    Returns:
        The container, or None for anything that is not on the list.
    """
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return Container.WAV
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return Container.AIFF
    if head[:4] == b"fLaC":
        return Container.FLAC
    if head[:4] == b"OggS":
        return Container.OGG
    if head[:3] == b"ID3" or _is_mpeg_layer_3(head):
        return Container.MP3
    return None


def _is_mpeg_layer_3(head: bytes) -> bool:
    """True for a frame header of ISO 11172-3 or 13818-3, layer III, with a legal bit rate and sample rate."""
    if len(head) < 4:
        return False
    sync = head[0] == 0xFF and head[1] & 0xE0 == 0xE0
    version_known = head[1] >> 3 & 3 != 1
    layer_3 = head[1] >> 1 & 3 == 1
    return sync and version_known and layer_3 and head[2] >> 4 != 15 and head[2] >> 2 & 3 != 3


def is_cut_off(file: BinaryIO, container: Container) -> bool:
    """Does the file promise more sound than it holds?

    FLAC and MP3 carry no length in bytes; there the decoder's own count decides.

    Args:
        file: an open, seekable file. Its position is moved.
        container: what `sniff` made of it.
    """
    size = file.seek(0, os.SEEK_END)
    if container is Container.WAV:
        return _chunk_is_cut_off(file, size, sound=b"data", little_endian=True)
    if container is Container.AIFF:
        return _chunk_is_cut_off(file, size, sound=b"SSND", little_endian=False)
    return container is Container.OGG and not _ogg_is_complete(file, size)


def _chunk_is_cut_off(file: BinaryIO, size: int, *, sound: bytes, little_endian: bool) -> bool:
    header = struct.Struct("<4sI" if little_endian else ">4sI")
    position = 12
    for _ in range(_MAX_CHUNKS):
        file.seek(position)
        head = file.read(header.size)
        if len(head) < header.size:
            return False  # no sound at all: libsndfile says so in its own way
        name, length = header.unpack(head)
        position += header.size
        if name == sound:
            return length != _UNKNOWN_SIZE and position + length > size
        position += length + (length & 1)
    return False


def _ogg_is_complete(file: BinaryIO, size: int) -> bool:
    """True where the last page ends with the file and is marked as the end of its stream (RFC 3533)."""
    start = max(0, size - _OGG_TAIL_BYTES)
    file.seek(start)
    tail = file.read(_OGG_TAIL_BYTES)
    page = tail.rfind(b"OggS")
    if page < 0 or len(tail) < page + 27:
        return False
    flags, n_segments = tail[page + 5], tail[page + 26]
    lengths = tail[page + 27 : page + 27 + n_segments]
    end = page + 27 + n_segments + sum(lengths)
    return bool(flags & 4) and len(lengths) == n_segments and end <= len(tail)
