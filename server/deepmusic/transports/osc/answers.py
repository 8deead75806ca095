"""What the bridge says, and the way back to who asked."""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable

from deepmusic import __version__
from deepmusic.errors import DeepmusicError, MalformedMessage
from deepmusic.session.parameters import Parameter
from deepmusic.stage.set_list import Cue
from deepmusic.transports.osc.codec import encode, shown
from deepmusic.transports.osc.counters import Count, Counters
from deepmusic.transports.osc.gate import Peer
from deepmusic.transports.osc.namespace import stream_part
from deepmusic.transports.osc.ports import LiveSession
from deepmusic.transports.wire.listings import StyleListing

_log = logging.getLogger(__name__)


class Answer(enum.Enum):
    """Addresses of what the bridge sends."""

    DONE = "/done"
    FAIL = "/fail"
    SYNCED = "/synced"
    TOKEN = "/token"  # noqa: S105 (an address)
    STATUS = "/status.reply"
    VERSION = "/version.reply"
    SESSION = "/deepmusic/sessions.reply"
    STYLE = "/deepmusic/styles.reply"
    PARAMETER = "/deepmusic/parameters.reply"
    OPENED = "/deepmusic/opened"
    CLOSED = "/deepmusic/closed"
    CHANGED = "/deepmusic/changed"
    LATE = "/deepmusic/late"
    CUE = "/deepmusic/cues.reply"
    TEMPO_NOW = "/deepmusic/tempo.now"
    CUE_NOW = "/deepmusic/cue.now"


class ReturnPath:
    """The way back to the sender of one datagram. All methods are [loop].

    A sender that is not verified may be someone else's address. It gets one answer a datagram at most, and none that is
    larger than the datagram: nobody can make this server throw more at a victim than they throw themselves.

    Args:
        peer: The sender.
        n_bytes: Length of its datagram.
        is_verified: Whether the peer is certainly where it says.
        send: Sends bytes to a peer; False where it cannot now.
        counters: Counts what is withheld.
    """

    def __init__(
        self,
        peer: Peer,
        n_bytes: int,
        is_verified: Callable[[Peer], bool],
        send: Callable[[bytes, Peer], bool],
        counters: Counters,
    ) -> None:
        self.peer = peer
        self._n_bytes_left = n_bytes
        self._is_verified = is_verified
        self._send = send
        self._counters = counters

    def send(self, packet: bytes) -> None:
        """Answers, or withholds the answer and counts it."""
        if not self._is_verified(self.peer):
            if len(packet) > self._n_bytes_left:
                self._counters.add(Count.WITHHELD)
                return
            self._n_bytes_left = 0
        if not self._send(packet, self.peer):
            self._counters.add(Count.WITHHELD)

    def refuse(self, command: str, error: Exception) -> None:
        """Says and counts that a command failed, in full or in part; what is our own fault goes into the log alone."""
        self._counters.add(Count.MALFORMED if isinstance(error, MalformedMessage) else Count.FAILED)
        if isinstance(error, DeepmusicError):
            self.send(fail(command, error.message))
        else:
            _log.error("an OSC command failed", exc_info=error)
            self.send(fail(command, "the command failed; the server's log has the cause"))


def done(command: str, number: int) -> bytes:
    """A command has been carried out; the number is what it says in ``docs/osc.md``."""
    return encode(Answer.DONE.value, "si", command, number)


def fail(command: str, message: str) -> bytes:
    """A command could not be carried out, in full or in part."""
    return encode(Answer.FAIL.value, "ss", command, shown(message))


def synced(number: int) -> bytes:
    """Everything that was asked before has been carried out."""
    return encode(Answer.SYNCED.value, "i", number)


def token(number: int) -> bytes:
    """What a peer has to send back."""
    return encode(Answer.TOKEN.value, "i", number)


def status(numbers: dict[str, int]) -> bytes:
    """Names and numbers, in turns."""
    flat = [item for pair in numbers.items() for item in pair]
    return encode(Answer.STATUS.value, "si" * len(numbers), *flat)


def version() -> bytes:
    """The program and its version."""
    return encode(Answer.VERSION.value, "ss", "deepmusic", __version__)


def session(of: LiveSession) -> bytes:
    """Name, bundle, style, rate in Hz, channels, latency in samples, late and dry blocks, and the samples so far."""
    stats, sound = of.stats, of.audio_format
    return encode(
        Answer.SESSION.value,
        "sssiiiiih",
        *(stream_part(of.name), of.facts.bundle, shown(str(of.values["style"]))),
        *(sound.sample_rate_hz, sound.n_channels, of.facts.latency_samples),
        *(stats.late_blocks, stats.dry_blocks, stats.samples_in),
    )


def style(listing: StyleListing) -> bytes:
    """Its name."""
    return encode(Answer.STYLE.value, "s", listing.name)


def cue(of: tuple[int, Cue]) -> bytes:
    """Number, name, and what it waits for."""
    number, entry = of
    return encode(Answer.CUE.value, "iss", number, entry.name, entry.quantise.value)


def parameter(of: Parameter) -> bytes:
    """Name, kind, unit, smallest, largest and first value."""
    return encode(Answer.PARAMETER.value, "sssfff", of.name, of.kind.value, of.unit, of.minimum, of.maximum, of.default)
