"""Bytes of MIDI 1.0 to what they mean here; everything else is nothing."""

from __future__ import annotations

from dataclasses import dataclass

_SYSTEM = 0xF0
"""From here on a status has no channel."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A timing clock: the 24th part of a beat."""


@dataclass(frozen=True, slots=True)
class Start:
    """The song begins with the next tick."""


@dataclass(frozen=True, slots=True)
class Stop:
    """The song stands still; the clock may run on."""


@dataclass(frozen=True, slots=True)
class Continue:
    """The song goes on with the next tick, where it stopped or was moved to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SongPosition:
    """The song is moved to a place, where the next tick is."""

    sixteenths: int
    """Sixteenth notes from its beginning, 0 to 16383."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Controller:
    """A pedal, a knob or a switch was moved."""

    channel: int
    """1 to 16."""
    number: int
    """0 to 127."""
    value: int
    """0 to 127; a switch is on from 64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program was chosen."""

    channel: int
    """1 to 16."""
    number: int
    """From 1, as devices show it."""


MidiMessage = Tick | Start | Stop | Continue | SongPosition | Controller | Program


def read_message(data: bytes) -> MidiMessage | None:
    """What a message means; ``None`` for nothing that matters here, or for half a message."""
    if not data or any(byte >= 0x80 for byte in data[1:]):
        return None
    status, body = data[0], data[1:]
    match (status if status >= _SYSTEM else status & 0xF0), len(body):
        case (0xF8, 0):
            return Tick()
        case (0xFA, 0):
            return Start()
        case (0xFB, 0):
            return Continue()
        case (0xFC, 0):
            return Stop()
        case (0xF2, 2):
            return SongPosition(sixteenths=body[0] + 128 * body[1])
        case (0xB0, 2):
            return Controller(channel=(status & 0x0F) + 1, number=body[0], value=body[1])
        case (0xC0, 1):
            return Program(channel=(status & 0x0F) + 1, number=body[0] + 1)
        case _:
            return None
