"""Answers OSCQuery: descriptions over HTTP, values over WebSockets. It has neither; ``transports.web`` has."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol
from urllib.parse import unquote

from deepmusic.errors import DeepmusicError, MalformedMessage, NoCapacity
from deepmusic.transports.osc.connection import PacketSink
from deepmusic.transports.osc.counters import Count
from deepmusic.transports.osc.gate import Peer
from deepmusic.transports.osc.ports import SessionDirectory, StyleList
from deepmusic.transports.osc.query.client import QueryClient
from deepmusic.transports.osc.query.tree import StreamState, Tree, state_of
from deepmusic.transports.osc.watch import LOOK_S

MAX_CLIENTS = 16
"""WebSockets at a time."""

DESCRIPTION_COST = 20
"""What one question over HTTP costs of a host's allowance of messages: fifty a second at most."""

SUPPORTED = (
    *("FULL_PATH", "CONTENTS", "TYPE", "ACCESS", "VALUE", "RANGE", "DESCRIPTION"),
    *("UNIT", "CLIPMODE", "OVERLOADS"),
)
"""Attributes that may be asked for."""

KNOWN_ELSEWHERE = ("TAGS", "EXTENDED_TYPE", "CRITICAL", "HTML")
"""Attributes of the proposal that there are none of here."""

_log = logging.getLogger(__name__)

_EXTENSIONS = (*SUPPORTED[3:], "LISTEN", "PATH_CHANGED")


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """An answer over HTTP."""

    status: HTTPStatus
    """OK, or why there is no description."""
    body: str = ""
    """JSON; empty where the status says all."""


class Bridge(PacketSink, Protocol):
    """What is needed of the bridge."""

    def admit(self, address: tuple[str | int, ...]) -> Peer | None:
        """[loop] Who connects; ``None`` for someone who may not."""
        ...

    def spend(self, peer: Peer, n_messages: int) -> bool:
        """[loop] Whether a peer may ask for so much now."""
        ...


class OscQuery:
    """The service. All methods are [loop].

    Args:
        bridge: Admits peers and takes their packets.
        sessions: The streams that run.
        styles: The library.
    """

    def __init__(self, bridge: Bridge, sessions: SessionDirectory, styles: StyleList) -> None:
        self._bridge = bridge
        self._sessions = sessions
        self._styles = styles
        self._clients: dict[Peer, QueryClient] = {}  # bounded by MAX_CLIENTS
        self._has_clients = asyncio.Event()
        self.osc_ip = ""
        """IP address of OSC, where it is another than that of HTTP."""
        self.osc_port = 0
        """Port of OSC."""

    async def describe(self, host: str, path: str, query: str) -> Described:
        """Answers a question over HTTP.

        Args:
            host: IP address of who asks.
            path: Of the URL, as it came, with its escapes.
            query: Of the URL: one attribute, or nothing for all.
        """
        peer = self._bridge.admit((host, 0, "http"))
        if peer is None:
            return Described(status=HTTPStatus.FORBIDDEN)
        if not self._bridge.spend(peer, DESCRIPTION_COST):
            return Described(status=HTTPStatus.TOO_MANY_REQUESTS)
        if query == "HOST_INFO":
            return Described(status=HTTPStatus.OK, body=json.dumps(self._host_info()))
        if query in KNOWN_ELSEWHERE:
            return Described(status=HTTPStatus.NO_CONTENT)
        if query and query not in SUPPORTED:
            return Described(status=HTTPStatus.BAD_REQUEST)
        streams = [state_of(session) for session in self._sessions.running()]
        return await asyncio.to_thread(self._described, streams, path, query)

    def connect(self, address: tuple[str | int, ...]) -> QueryClient | None:
        """A client whose WebSocket is open; ``None`` for someone who may not.

        Raises:
            NoCapacity: ``MAX_CLIENTS`` are connected.
        """
        peer = self._bridge.admit((*address[:2], "websocket"))
        if peer is None:
            self._bridge.drop(Count.FOREIGN)
            return None
        if len(self._clients) >= MAX_CLIENTS:
            raise NoCapacity(f"expected at most {MAX_CLIENTS} clients of OSCQuery, got more; close another")
        client = self._clients[peer] = QueryClient(peer)
        self._has_clients.set()
        return client

    def disconnect(self, client: QueryClient) -> None:
        """A client's WebSocket has ended."""
        self._clients.pop(client.peer, None)
        self._bridge.forget(client.peer)

    def command(self, client: QueryClient, text: str) -> None:
        """Takes a text from a client; what is no command is counted."""
        try:
            client.command(text)
        except MalformedMessage:
            self._bridge.drop(Count.MALFORMED)

    def offer(self, client: QueryClient, packet: bytes) -> bool:
        """Takes OSC from a client; False where it has to come again a little later."""
        return self._bridge.offer(packet, client.peer)

    def send(self, packet: bytes, peer: Peer) -> bool:
        """Answers a client's OSC; False where it has gone, or reads too slowly."""
        client = self._clients.get(peer)
        return client is not None and client.send(packet)

    async def run(self) -> None:
        """Tells the clients what is new, until it is cancelled."""
        while True:
            await self._has_clients.wait()
            if not self._clients:
                self._has_clients.clear()
                continue
            try:
                await self.tell()
            except Exception:
                _log.exception("clients of OSCQuery could not be told")
            await asyncio.sleep(LOOK_S)

    async def tell(self) -> None:
        """One look; everything else on the loop has its turn between two clients."""
        tree = Tree(streams=[state_of(session) for session in self._sessions.running()])
        for client in tuple(self._clients.values()):
            client.tell(tree)
            await asyncio.sleep(0)

    def _described(self, streams: Sequence[StreamState], path: str, query: str) -> Described:
        """[any] Reads the library and describes; takes milliseconds where streams are many."""
        styles: list[str] = []
        with contextlib.suppress(DeepmusicError):  # a closed folder, or a server that is away: the rest is known
            styles = [listing.name for listing in self._styles.listings()]
        tree = Tree(streams=streams, styles=styles)
        # An address holds the escapes of a stream's name already; a URL may escape them once more.
        node = tree.node(path) or tree.node(unquote(path))
        if node is None:
            return Described(status=HTTPStatus.NOT_FOUND)
        if query:
            node = {query: node[query]} if query in node else {}
        return Described(status=HTTPStatus.OK, body=json.dumps(node))

    def _host_info(self) -> dict[str, object]:
        where: dict[str, object] = {"OSC_IP": self.osc_ip} if self.osc_ip else {}
        extensions = dict.fromkeys(_EXTENSIONS, True)
        return {
            "NAME": "deepmusic",
            "EXTENSIONS": extensions,
            **where,
            "OSC_PORT": self.osc_port,
            "OSC_TRANSPORT": "UDP",
        }
