"""The guard: what a datagram must be before anything else reads it.

python-osc is not made for strangers: a bundle whose element has the size -4 makes it loop for ever, nested bundles and
bad text make it raise. So nothing reaches it that this module has not walked through, byte by byte, once.

::

    #bundle | time tag | size | element | size | element | ...      an element: a message, or another bundle
    /address | ,types | argument | argument | ...                   everything is padded to 4 bytes
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from deepmusic.errors import MalformedMessage

MAX_DATAGRAM_BYTES = 4096
"""Longest datagram; the longest sensible message, a morph of 16 styles, has some 1300 bytes."""

MAX_DEPTH = 4
"""Bundles within bundles."""

MAX_MESSAGES = 64
"""Messages in one datagram."""

MAX_ARGUMENTS = 64
"""Arguments of one message."""

MAX_ADDRESS_BYTES = 1024
"""Longest address; that of a stream whose name is 64 characters beyond ASCII has some 800 bytes."""

IMMEDIATELY = 1
"""The time tag of what has none."""

_BUNDLE = b"#bundle\0"
_HEADER_BYTES = 16
_ADDRESS_BYTES = bytes(byte for byte in range(0x21, 0x7F) if byte != ord("#"))
_SIZES = {"i": 4, "f": 4, "h": 8, "d": 8, "T": 0, "F": 0, "N": 0}
_FLOATS = {"f": struct.Struct(">f"), "d": struct.Struct(">d")}
_INT = struct.Struct(">i")
_TIME_TAG = struct.Struct(">Q")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedMessage:
    """A message that may be parsed."""

    packet: bytes
    """Its bytes."""
    time_tag: int
    """When it is due: NTP, seconds since 1900 times 2**32; ``IMMEDIATELY`` for now."""


def messages_of(datagram: bytes) -> list[CheckedMessage]:
    """The messages of a datagram, those of its bundles included, in order.

    Args:
        datagram: What came, of any length.

    Raises:
        MalformedMessage: It is no OSC, or more of it than anyone needs; nothing of it is to be used.
    """
    if len(datagram) > MAX_DATAGRAM_BYTES:
        raise MalformedMessage(f"expected at most {MAX_DATAGRAM_BYTES} bytes, got {len(datagram)}; send less at a time")
    messages: list[CheckedMessage] = []
    for message in _walk(datagram, 0, len(datagram), IMMEDIATELY, MAX_DEPTH):
        messages.append(message)
        if len(messages) > MAX_MESSAGES:
            raise MalformedMessage(f"expected at most {MAX_MESSAGES} messages, got more; send several datagrams")
    return messages


def _walk(data: bytes, start: int, end: int, time_tag: int, depth_left: int) -> Iterator[CheckedMessage]:
    if not data.startswith(_BUNDLE, start, end):
        _check_message(data, start, end)
        yield CheckedMessage(packet=data[start:end], time_tag=time_tag)
        return
    if depth_left == 0:
        raise MalformedMessage(f"expected bundles at most {MAX_DEPTH} deep, got deeper ones; unpack them")
    if end - start < _HEADER_BYTES:
        raise MalformedMessage("expected a time tag, got the bundle's end; look at what sends it")
    (time_tag,) = _TIME_TAG.unpack_from(data, start + len(_BUNDLE))
    place = start + _HEADER_BYTES
    while place < end:
        if end - place < _INT.size:
            raise MalformedMessage("expected an element's size, got the bundle's end; look at what sends it")
        (size,) = _INT.unpack_from(data, place)
        place += _INT.size
        if size <= 0 or size % 4 or size > end - place:
            raise MalformedMessage(f"expected an element of 4 to {end - place} bytes in fours, got {size}")
        yield from _walk(data, place, place + size, time_tag, depth_left - 1)
        place += size


def _check_message(data: bytes, start: int, end: int) -> None:
    address, place = _text(data, start, end)
    if not address.startswith(b"/") or len(address) > MAX_ADDRESS_BYTES or address.translate(None, _ADDRESS_BYTES):
        raise MalformedMessage(f"expected an address of printable ASCII, at most {MAX_ADDRESS_BYTES} bytes, got none")
    if place == end:
        return  # old senders leave the types out where there are no arguments
    types, place = _text(data, place, end)
    if not types.startswith(b",") or len(types) > 1 + MAX_ARGUMENTS:
        raise MalformedMessage(f"expected a comma and at most {MAX_ARGUMENTS} types of arguments, got something else")
    for kind in types[1:].decode("latin-1"):
        place = _past_argument(kind, data, place, end)
    if place != end:
        raise MalformedMessage(f"expected the message's end, got {end - place} bytes more; look at what sends it")


def _past_argument(kind: str, data: bytes, place: int, end: int) -> int:
    """The place behind an argument."""
    if kind == "s":
        text, place = _text(data, place, end)
        try:
            text.decode()
        except UnicodeDecodeError:
            raise MalformedMessage("expected text in UTF-8, got something else; look at what sends it") from None
        return place
    if kind == "b":
        if end - place < _INT.size:
            raise MalformedMessage("expected a blob's size, got the message's end; look at what sends it")
        (size,) = _INT.unpack_from(data, place)
        place += _INT.size
        if not 0 <= size <= end - place:
            raise MalformedMessage(f"expected a blob of 0 to {end - place} bytes, got {size}")
        place += size + -size % 4
    elif kind in _SIZES:
        place += _SIZES[kind]
    else:
        raise MalformedMessage(f"expected arguments of the types i f s h d b T F N, got {kind!r}")
    if place > end:
        raise MalformedMessage("expected an argument, got the message's end; look at what sends it")
    if (number := _FLOATS.get(kind)) and not math.isfinite(number.unpack_from(data, place - number.size)[0]):
        raise MalformedMessage("expected finite numbers, got NaN or infinity; look at what sends them")
    return place


def _text(data: bytes, start: int, end: int) -> tuple[bytes, int]:
    """Text up to its NUL, and the place behind its padding."""
    nul = data.find(0, start, end)
    behind = nul + 4 - (nul - start) % 4
    if nul < 0 or behind > end:
        raise MalformedMessage("expected text that ends with NUL and is padded to 4 bytes, got something else")
    return data[start:nul], behind
