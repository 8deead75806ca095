"""A performer's rig: an OSC client on loopback, and a bridge without a socket whose streams are fakes."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import build_msg

from deepmusic.audio import AudioFormat
from deepmusic.errors import StyleNotFound
from deepmusic.model.style_vector import StyleVector
from deepmusic.session.asked import AskedValues
from deepmusic.session.events import ChangeStyle, Control
from deepmusic.session.stats import SessionStats
from deepmusic.stage.performer import Performer
from deepmusic.stage.set_list import SetList
from deepmusic.transports.osc.bridge import Bridge
from deepmusic.transports.osc.gate import Network, Peer
from deepmusic.transports.wire.listings import StyleListing
from deepmusic.transports.wire.messages import StyleShare

LOCAL = ("127.0.0.1", 50000)
PATIENCE_S = 20.0
"""Only a hang takes as long."""
STYLES = ("brass", "strings")

Reply = tuple[Any, ...]
"""An answer: its address, then its arguments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeFacts:
    bundle: str = "live"
    bundle_digest: str = "d" * 64
    latency_samples: int = 1855


@dataclass(eq=False, kw_only=True)
class FakeSession:
    """A stream that keeps what it is offered; sample 0 came in at time 0 of the clock."""

    name: str
    room: int = 1_000_000
    is_live: bool = True
    positions: Iterator[int] | None = None
    audio_format: AudioFormat = field(default_factory=lambda: AudioFormat(sample_rate_hz=48000, n_channels=2))
    facts: FakeFacts = field(default_factory=FakeFacts)
    stats: SessionStats = field(default_factory=SessionStats)
    asked: AskedValues = field(default_factory=lambda: AskedValues((), "brass"))
    offered: list[Control | ChangeStyle] = field(default_factory=list[Control | ChangeStyle])

    @property
    def values(self) -> Mapping[str, float | str]:
        return self.asked.values

    @property
    def shares(self) -> tuple[tuple[str, float], ...]:
        return self.asked.shares

    def position_at(self, at_s: float) -> int | None:
        if self.positions is not None:
            return next(self.positions)
        return round(at_s * 48000) if self.is_live else None

    def offer(self, event: Control | ChangeStyle) -> bool:
        if len(self.offered) >= self.room:
            return False
        self.offered.append(event)
        self.asked.note(event)
        return True

    def style(self, styles: Sequence[StyleShare]) -> StyleVector:
        for share in styles:
            if share.name not in STYLES:
                raise StyleNotFound(f"no style is named {share.name!r}; there are: brass, strings")
        name = " + ".join(share.name for share in styles)
        return StyleVector(values=np.zeros(8, np.float32), bundle_digest=self.facts.bundle_digest, name=name)


class FakeClock:
    """Stands still until it is moved."""

    def __init__(self, now_s: float) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


class Desk:
    """A bridge without a socket; what it sends is kept."""

    def __init__(
        self,
        *names: str,
        networks: Sequence[Network] = (),
        clock: Callable[[], float] | None = None,
        cues: SetList | None = None,
    ) -> None:
        self.sessions = [FakeSession(name=name) for name in names]
        self.style_names: Sequence[str] = STYLES
        self.clock = FakeClock(1000.0)
        self.wall_clock = FakeClock(1_700_000_000.0)
        self.sent: list[tuple[tuple[str | int, ...], bytes]] = []
        self.can_send = True
        self._n_asked = 1_000_000
        self.bridge = Bridge(
            self,
            self,
            self._send,
            networks=networks,
            performer=Performer(self, cues, self.clock()) if cues is not None else None,
            clock=clock or self.clock,
            wall_clock=self.wall_clock,
        )

    def running(self) -> Sequence[FakeSession]:
        return self.sessions

    def listings(self) -> Sequence[StyleListing]:
        return [StyleListing(name=name) for name in self.style_names]

    def say(self, address: str, *arguments: object, peer: tuple[str | int, ...] = LOCAL) -> list[Reply]:
        """Sends one message; the answers that come at once."""
        return self.throw(build_msg(address, arguments or "").dgram, peer)  # type: ignore[arg-type]

    def throw(self, datagram: bytes, peer: tuple[str | int, ...] = LOCAL) -> list[Reply]:
        """Sends any bytes; the answers that come at once."""
        n_before = len(self.sent)
        self.bridge.receive(datagram, peer)
        while self.bridge.work():
            pass
        return self._heard(n_before)

    async def ask(self, address: str, *arguments: object, peer: tuple[str | int, ...] = LOCAL) -> list[Reply]:
        """Sends one message; the answers that come until everything asked so far is done."""
        n_before = len(self.sent)
        self.say(address, *arguments, peer=peer)
        running = asyncio.create_task(self.bridge.run())
        self._n_asked += 1
        self.say("/sync", self._n_asked)
        async with asyncio.timeout(PATIENCE_S):
            while ("/synced", self._n_asked) not in (heard := self._heard(n_before)):  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        return heard[: heard.index(("/synced", self._n_asked))]

    @property
    def controls(self) -> list[tuple[str, Control | ChangeStyle]]:
        """What the streams were offered, with their names."""
        return [(session.name, event) for session in self.sessions for event in session.offered]

    def _heard(self, n_before: int) -> list[Reply]:
        return [read(packet) for _, packet in self.sent[n_before:]]

    def _send(self, packet: bytes, peer: Peer) -> bool:
        if self.can_send:
            self.sent.append((peer.address, packet))
        return self.can_send


def read(packet: bytes) -> Reply:
    """An answer as its address and arguments."""
    message = OscMessage(packet)
    return (message.address, *message.params)


class Rig:
    """An OSC client with a real socket."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._server = (host, int(port))
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(("127.0.0.1", 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def say(self, address: str, *arguments: object) -> None:
        """Sends one message."""
        self.throw(build_msg(address, arguments or "").dgram)  # type: ignore[arg-type]

    def throw(self, datagram: bytes) -> None:
        """Sends any bytes."""
        self._socket.sendto(datagram, self._server)

    def wait_for_anything(self) -> None:
        """Waits, without the loop, until there is something to hear."""
        assert select.select([self._socket], [], [], PATIENCE_S)[0]

    async def hear(self, *wanted: str) -> Reply:
        """The next answer of one of these addresses; others are passed over."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(PATIENCE_S):
            while True:
                answer = read(await loop.sock_recv(self._socket, 65536))
                if answer[0] in wanted:
                    return answer

    async def sync(self, number: int = 1) -> None:
        """Waits until everything that was said has been carried out."""
        self.say("/sync", number)
        await self.hear("/synced")
