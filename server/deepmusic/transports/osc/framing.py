"""Packets in a stream of bytes, as TCP needs them: framed as OSC 1.1 says, or as OSC 1.0 said.

::

    1.1, SLIP    END packet END        an END or ESC within the packet is written as two bytes
    1.0, sized   size packet           four bytes, big endian

Who connects is answered in its own framing, which its first byte tells: the size of a packet that is short enough
begins with 0; SLIP begins with END, or, where a sender leaves that out, with the ``/`` or ``#`` of its packet.
"""

from __future__ import annotations

import enum
import struct

from deepmusic.errors import MalformedMessage
from deepmusic.transports.osc.datagram import MAX_DATAGRAM_BYTES

_END, _ESC = b"\xc0", b"\xdb"
_ESCAPED_END, _ESCAPED_ESC = b"\xdb\xdc", b"\xdb\xdd"  # RFC 1055
_SIZE = struct.Struct(">i")
_MAX_FRAMED_BYTES = 2 * MAX_DATAGRAM_BYTES  # where each byte is escaped


class Framing(enum.Enum):
    """How packets are told from one another."""

    SLIP = "slip"
    """OSC 1.1: RFC 1055 with END at both ends."""
    SIZED = "sized"
    """OSC 1.0: the size comes first."""

    @classmethod
    def of(cls, first_byte: int) -> Framing:
        """The framing of a stream that begins so.

        Raises:
            MalformedMessage: No framing begins so.
        """
        if first_byte == 0:
            return cls.SIZED
        if first_byte in b"\xc0/#":
            return cls.SLIP
        raise MalformedMessage("expected OSC framed by SLIP or by sizes, got something else; look at what connects")

    def frame(self, packet: bytes) -> bytes:
        """A packet as it is sent."""
        if self is Framing.SIZED:
            return _SIZE.pack(len(packet)) + packet
        return _END + packet.replace(_ESC, _ESCAPED_ESC).replace(_END, _ESCAPED_END) + _END


class Unframer:
    """Takes bytes in any pieces and gives packets, one at a time; holds one packet's bytes and a piece at most."""

    def __init__(self) -> None:
        self.framing: Framing | None = None
        """Known from the first byte on."""
        self.is_lost = False
        """Whether nothing behind this place can be read."""
        self._bytes = bytearray()
        self._is_skipping = False

    def push(self, piece: bytes) -> None:
        """Takes the next bytes; everything before them has been given."""
        self._bytes += piece

    def next(self) -> bytes | None:
        """The next packet, not checked in any way; ``None`` where more bytes have to come first.

        Raises:
            MalformedMessage: There is something that is no packet, or one that is too long. It is passed over, unless
                ``is_lost``.
        """
        if not self._bytes or self.is_lost:
            return None
        if self.framing is None:
            self.is_lost = True
            self.framing = Framing.of(self._bytes[0])
            self.is_lost = False
        return self._next_slip() if self.framing is Framing.SLIP else self._next_sized()

    def _next_slip(self) -> bytes | None:
        while (end := self._bytes.find(_END)) >= 0:
            framed = bytes(self._bytes[:end])
            del self._bytes[: end + 1]
            if self._is_skipping:
                self._is_skipping = False
            elif framed:
                return _unescaped(framed)
        if len(self._bytes) > _MAX_FRAMED_BYTES:
            self._bytes.clear()
            if not self._is_skipping:
                self._is_skipping = True
                raise _too_long()
        return None

    def _next_sized(self) -> bytes | None:
        if len(self._bytes) < _SIZE.size:
            return None
        (size,) = _SIZE.unpack_from(self._bytes)
        if not 0 <= size <= MAX_DATAGRAM_BYTES:
            self.is_lost = True
            raise _too_long()
        end = _SIZE.size + size
        if len(self._bytes) < end:
            return None
        packet = bytes(self._bytes[_SIZE.size : end])
        del self._bytes[:end]
        return packet


def _unescaped(framed: bytes) -> bytes:
    n_escapes = framed.count(_ESC)
    if n_escapes != framed.count(_ESCAPED_END) + framed.count(_ESCAPED_ESC):
        raise MalformedMessage("expected ESC before an escaped END or ESC only, got another; look at what sends it")
    return framed.replace(_ESCAPED_END, _END).replace(_ESCAPED_ESC, _ESC) if n_escapes else framed


def _too_long() -> MalformedMessage:
    return MalformedMessage(f"expected packets of at most {MAX_DATAGRAM_BYTES} bytes, got a longer one; send less")
