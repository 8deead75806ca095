"""Messages to bytes and back: the one place where python-osc is called."""

from __future__ import annotations

from dataclasses import dataclass

from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

Argument = int | float | str | bytes | bool | None
"""What an argument can be."""

MAX_ANSWER_BYTES = 1400
"""Longest answer: with all headers it fits into one Ethernet frame."""

_HIGHEST_INT = 2**31 - 1


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
        types: A type tag for each argument: ``i`` (what is larger stays at the largest), ``f``, ``s``, ``h``.
        arguments: As many.
    """
    builder = OscMessageBuilder(address)
    for kind, argument in zip(types, arguments, strict=True):
        value = min(argument, _HIGHEST_INT) if kind == "i" and isinstance(argument, int) else argument
        builder.add_arg(value, kind)
    return builder.build().dgram
