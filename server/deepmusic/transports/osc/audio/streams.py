"""The streams of audio over OSC: who opens one, whose datagram belongs to which, and when one is given up."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable, Sequence

from deepmusic.errors import AddressUnknown, BadParameter, MalformedMessage, NoCapacity
from deepmusic.transports.osc.answers import ReturnPath, done
from deepmusic.transports.osc.audio.messages import (
    AudioAddress,
    AudioPacket,
    OpenRequest,
    read_in,
    read_open,
    ready,
)
from deepmusic.transports.osc.audio.stream import AudioStream
from deepmusic.transports.osc.codec import Argument, decode
from deepmusic.transports.osc.counters import Count, Counters
from deepmusic.transports.osc.datagram import messages_of
from deepmusic.transports.osc.errands import Errands
from deepmusic.transports.osc.gate import Allowance, Peer
from deepmusic.transports.osc.ports import OwnSession, Senders, SessionOpener

MAX_STREAMS = 16
"""Streams of audio over OSC at a time, beside the server's own limit."""

DATAGRAMS_A_SECOND = 2000.0
"""Datagrams with audio that one sender may send, whatever their size: 24 samples each at 48 kHz."""

ALL_DATAGRAMS_A_SECOND = 6000.0
"""Datagrams with audio that all senders together may send: sixteen stereo streams at 48 kHz."""

IDLE_S = 60.0
"""A stream without a datagram for so long ends: UDP does not say when a sender has gone."""

_LOOK_S = 1.0
"""Between two looks for such."""


class Reception(enum.Enum):
    """What became of a datagram."""

    TAKEN = enum.auto()
    """It has been dealt with, for good or bad."""
    TOO_MANY = enum.auto()
    """Its sender, or all together, may not send so much now."""
    NO_AUDIO = enum.auto()
    """Its sender has no stream: it is a message like any other."""


class AudioStreams:
    """Opens streams and routes their datagrams. All methods are [loop].

    Args:
        opener: Opens sessions; ``None`` where no audio is served.
        senders: Hears who sends audio.
        errands: Opening takes a while.
        is_verified: Whether a peer is certainly where it says: only such a peer is sent audio.
        send: Sends bytes to a peer; False where it cannot now.
        counters: Counts what is dropped.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        opener: SessionOpener | None,
        senders: Senders | None,
        errands: Errands,
        is_verified: Callable[[Peer], bool],
        send: Callable[[bytes, Peer], bool],
        counters: Counters,
        clock: Callable[[], float],
    ) -> None:
        self._opener = opener
        self._hears_of_senders = senders
        self._errands = errands
        self._is_verified = is_verified
        self._send = send
        self._counters = counters
        self._clock = clock
        self._streams: dict[tuple[Peer, str], AudioStream] = {}  # by sender and name; bounded by MAX_STREAMS
        self._senders: dict[Peer, Allowance] = {}  # those that have a stream
        self._everyone = Allowance(ALL_DATAGRAMS_A_SECOND, ALL_DATAGRAMS_A_SECOND, clock())

    def __len__(self) -> int:
        return len(self._streams)

    def receive(self, datagram: bytes, peer: Peer) -> Reception:
        """Takes a datagram with audio."""
        allowance, now_s = self._senders.get(peer), self._clock()
        if allowance is None:
            return Reception.NO_AUDIO
        if not (allowance.take(1, now_s) and self._everyone.take(1, now_s)):
            return Reception.TOO_MANY
        try:
            for message in messages_of(datagram):
                self._route(read_in(decode(message.packet).arguments), peer)
        except (MalformedMessage, BadParameter):
            self._counters.add(Count.MALFORMED)
        return Reception.TAKEN

    def command(self, address: AudioAddress, arguments: Sequence[Argument], path: ReturnPath) -> None:
        """Carries out a message that came as any other does.

        Raises:
            DeepmusicError: It asks for nothing that can be.
        """
        match address:
            case AudioAddress.OPEN:
                self._open(read_open(arguments), path)
            case AudioAddress.CLOSE:
                self._close(arguments, path)
            case AudioAddress.IN:
                self._route(read_in(arguments), path.peer)

    def forget(self, peer: Peer) -> None:
        """A connection has ended, and its streams with it."""
        for stream in [stream for (owner, _), stream in self._streams.items() if owner == peer]:
            stream.stop("disconnected")

    async def run(self) -> None:
        """Gives up streams whose senders have gone, until it is cancelled."""
        while True:
            await asyncio.sleep(_LOOK_S)
            self.expire()

    def close(self) -> None:
        """Ends all streams at once."""
        for stream in tuple(self._streams.values()):
            stream.stop("the server stops")

    def expire(self) -> None:
        """One look."""
        for stream in tuple(self._streams.values()):
            if self._clock() - stream.heard_s > IDLE_S:
                stream.finish("idle")

    def _open(self, request: OpenRequest, path: ReturnPath) -> None:
        opener, peer = self._opener, path.peer
        if opener is None:
            raise AddressUnknown("no audio is served over OSC here; open the stream over gRPC")
        if not self._is_verified(peer):
            raise BadParameter("expected a peer that has proved that it hears, got another; /notify 1 first or use TCP")

        async def errand() -> None:
            if len(self._streams) >= MAX_STREAMS:  # asked here: those before it in the row may take the last place
                raise NoCapacity(f"expected at most {MAX_STREAMS} streams over OSC, got more; close another")
            stream = AudioStream(request, peer, self._send, self._counters, self._remove, self._clock)
            if (peer, stream.part) in self._streams:
                raise BadParameter(f"expected another name than {stream.part!r}, which a stream of yours has; close it")
            session = await asyncio.to_thread(_opened, opener, request, stream)
            stream.run(session)
            if stream.is_over:  # it failed while it was opened, and has said so
                return
            self._streams[peer, stream.part] = stream
            if peer not in self._senders:
                self._senders[peer] = Allowance(DATAGRAMS_A_SECOND, DATAGRAMS_A_SECOND, self._clock())
                if self._hears_of_senders is not None:
                    self._hears_of_senders.sender_came(peer)
            facts = session.facts
            path.send(ready(request.config, stream.max_block_samples, facts.latency_samples, request.wait_samples))
            path.send(done(AudioAddress.OPEN.value, facts.latency_samples))

        self._errands.put(AudioAddress.OPEN.value, path, errand)

    def _close(self, arguments: Sequence[Argument], path: ReturnPath) -> None:
        part = arguments[0] if arguments else None
        stream = self._streams.get((path.peer, part)) if isinstance(part, str) else None
        if stream is None:
            raise AddressUnknown("expected the name of a stream that you have opened, got something else")
        stream.finish()
        path.send(done(AudioAddress.CLOSE.value, 1))

    def _route(self, packet: AudioPacket, peer: Peer) -> None:
        stream = self._streams.get((peer, packet.part))
        if stream is not None:
            stream.receive(packet)
        else:
            self._counters.add(Count.FAILED)

    def _remove(self, stream: AudioStream) -> None:
        self._streams.pop((stream.peer, stream.part), None)
        is_last = all(peer != stream.peer for peer, _ in self._streams)
        if is_last and self._senders.pop(stream.peer, None) is not None and self._hears_of_senders is not None:
            self._hears_of_senders.sender_left(stream.peer)


def _opened(opener: SessionOpener, request: OpenRequest, stream: AudioStream) -> OwnSession:
    return opener.open(request.config, max_block_samples=stream.max_block_samples, emit=stream.emit)
