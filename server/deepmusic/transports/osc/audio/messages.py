"""The addresses of audio over OSC, and what stands in their messages; ``docs/osc.md`` has the same tables."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from deepmusic.audio import AudioFormat
from deepmusic.errors import BadParameter
from deepmusic.transports.osc.codec import Argument, encode
from deepmusic.transports.osc.namespace import LAST_POSITION, stream_part
from deepmusic.transports.wire.messages import StreamConfig, StyleShare
from deepmusic.transports.wire.pcm import SampleFormat

MAX_PACKET_BYTES = 1400
"""Of one message with audio that is sent: it fits into one frame of any network. Longer ones may come."""

LONGEST_WAIT_MS, DEFAULT_WAIT_MS = 1000.0, 40.0
"""How long a datagram that is missing may be waited for, and is where nobody says."""


class AudioAddress(enum.Enum):
    """What a sender says."""

    OPEN = "/deepmusic/audio/open"
    IN = "/deepmusic/audio/in"
    CLOSE = "/deepmusic/audio/close"


class AudioAnswer(enum.Enum):
    """What it hears."""

    READY = "/deepmusic/audio/ready"
    OUT = "/deepmusic/audio/out"
    CLOSED = "/deepmusic/audio/closed"


AUDIO_ADDRESSES: dict[str, AudioAddress] = {address.value: address for address in AudioAddress}
"""By address."""

IN_PREFIX = AudioAddress.IN.value.encode() + b"\0"
"""How the bytes of a datagram with audio begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRequest:
    """What a sender wants."""

    config: StreamConfig
    """Of the stream."""
    wait_samples: int
    """How long a missing datagram is waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioPacket:
    """A datagram with audio."""

    part: str
    """The stream's name as it stands in addresses."""
    sequence: int
    """The sender's number; comes back with what is made of it."""
    first_sample: int
    """Position of its first sample in the stream."""
    pcm: bytes
    """Interleaved samples, little endian, as the stream's format says."""


def read_open(arguments: Sequence[Argument]) -> OpenRequest:
    """The arguments of ``OPEN``.

    Raises:
        BadParameter: They are none.
        BadConfig: The rate or the number of channels is not to be had.
        BadName: No stream or style can be called so.
    """
    match arguments:
        case [str(name), str(style), int() | float() as rate_hz, int() | float() as n_channels, str(form), *rest]:
            pass
        case _:
            raise BadParameter(
                "expected a name, a style, the rate in Hz, channels, F32LE or S16LE, and perhaps the wait"
            )
    wait_ms = rest[0] if rest else DEFAULT_WAIT_MS
    if form not in SampleFormat.__members__ or len(rest) > 1:
        raise BadParameter(f"expected samples as F32LE or S16LE, and at most one argument more, got {form[:16]!r}")
    if not isinstance(wait_ms, int | float) or not 0.0 <= wait_ms <= LONGEST_WAIT_MS:
        raise BadParameter(f"expected a wait of 0 to {LONGEST_WAIT_MS:g} ms, got something else")
    sound = AudioFormat(sample_rate_hz=round(rate_hz), n_channels=round(n_channels))
    if not name:
        raise BadParameter("expected a name for the stream, got none")
    config = StreamConfig(
        audio_format=sound, styles=(StyleShare(name=style),), sample_format=SampleFormat[form], session_id=name
    )
    return OpenRequest(config=config, wait_samples=round(wait_ms * sound.sample_rate_hz / 1000.0))


def read_in(arguments: Sequence[Argument]) -> AudioPacket:
    """The arguments of ``IN``.

    Raises:
        BadParameter: They are none.
    """
    match arguments:
        case [str(part), int(sequence), int(first_sample), bytes(pcm)] if 0 <= first_sample < LAST_POSITION:
            return AudioPacket(part=part, sequence=sequence, first_sample=first_sample, pcm=pcm)
        case _:
            raise BadParameter("expected a stream, a sequence number, the first sample's position and a blob")


def ready(config: StreamConfig, max_block_samples: int, latency_samples: int, wait_samples: int) -> bytes:
    """Name, rate in Hz, channels, sample format, samples of a datagram, latency and wait in samples."""
    sound = config.audio_format
    return encode(
        AudioAnswer.READY.value,
        "siisiii",
        *(stream_part(config.session_id), sound.sample_rate_hz, sound.n_channels, config.sample_format.value),
        *(max_block_samples, latency_samples, wait_samples),
    )


def out(part: str, sequence: int, first_sample: int, flags: int, pcm: bytes) -> bytes:
    """Name, sequence number, position of the first sample, flags, samples."""
    return encode(AudioAnswer.OUT.value, "sihib", part, sequence, first_sample, flags, pcm)


def frames_of_a_packet(part: str, frame_bytes: int) -> int:
    """Samples of all channels that fit into one message."""
    return max(1, (MAX_PACKET_BYTES - len(out(part, 0, 0, 0, b"\0" * 4)) - 4) // frame_bytes)


def closed(part: str, reason: str, *counts: int) -> bytes:
    """Name, why, samples in and out, datagrams late, duplicate and stray, gaps, samples concealed, late blocks."""
    return encode(AudioAnswer.CLOSED.value, "ss" + "h" * 2 + "i" * (len(counts) - 2), part, reason, *counts)
