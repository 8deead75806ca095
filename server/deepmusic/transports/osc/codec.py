"""Messages to bytes and back: the one place where python-osc is called."""

from __future__ import annotations

from dataclasses import dataclass

from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

Argument = int | float | str | bytes | bool | None
"""What an argument can be."""

MAX_TEXT_CHARACTERS = 768
"""A longer text is cut when it is sent; the name of a stream, 64 characters of four bytes as in a URL, never is."""

MAX_SHOWN_CHARACTERS = 300
"""Of a text for people, such as the name of a morph of many styles: with a stream's name it fits into one frame."""

_LOWEST_INT, _HIGHEST_INT = -(2**31), 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message, read."""

    address: str
    """Where to; may be a pattern."""
    arguments: tuple[Argument, ...]
    """In order."""


def decode(packet: bytes) -> Message:
    """Reads a message that ``datagram.messages_of`` has let through; nothing else may come here."""
    message = OscMessage(packet)
    return Message(address=message.address, arguments=tuple(message.params))


def encode(address: str, types: str = "", *arguments: Argument) -> bytes:
    """A message as it is sent.

    Args:
        address: Where to.
        types: A type tag for each argument: ``i`` (of what does not fit, the nearest that does), ``f``, ``s``, ``h``.
        arguments: As many.
    """
    builder = OscMessageBuilder(address)
    for kind, argument in zip(types, arguments, strict=True):
        builder.add_arg(_bounded(kind, argument), kind)
    return builder.build().dgram


def shown(text: str) -> str:
    """As much of a text for people as is sent."""
    return text[:MAX_SHOWN_CHARACTERS]


def _bounded(kind: str, argument: Argument) -> Argument:
    if kind == "i" and isinstance(argument, int):
        return min(max(argument, _LOWEST_INT), _HIGHEST_INT)
    return argument[:MAX_TEXT_CHARACTERS] if isinstance(argument, str) else argument
