"""One client's WebSocket, without the socket: what it listens to, and what waits to be sent to it.

Values are compared, not passed on message by message, as for subscribers over UDP: of a fader that moves faster than
the looks, or than the client reads, the last value counts, and nothing piles up for a client that is slow.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import cast

from deepmusic.errors import MalformedMessage
from deepmusic.transports.osc.codec import encode
from deepmusic.transports.osc.gate import Peer
from deepmusic.transports.osc.namespace import ROOT, SESSION
from deepmusic.transports.osc.query.tree import Tree, Value

MAX_LISTENED = 256
"""Methods that one client may listen to: all of some twenty streams; of one more, nothing is told."""

MAX_WAITING_FRAMES = 256
"""Answers to a client's own messages that wait to be sent; one more is withheld. News wait until it has read."""

Frame = str | bytes
"""What a WebSocket carries: JSON as text, OSC as bytes."""


class QueryClient:
    """A client that is connected. All methods are [loop].

    Args:
        peer: Who it is.
    """

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self._told: dict[str, Value | None] = {}  # what is listened to, with what was told; to MAX_LISTENED
        self._streams: tuple[str, ...] | None = None
        self._frames: list[Frame] = []  # bounded by MAX_WAITING_FRAMES, and one look's news
        self._filled = asyncio.Event()

    def command(self, text: str) -> None:
        """Takes a command.

        Raises:
            MalformedMessage: It is none that the proposal knows.
        """
        try:
            given = json.loads(text)
        except (ValueError, RecursionError):
            given = None
        fields = cast("dict[str, object]", given) if isinstance(given, dict) else {}
        match fields.get("COMMAND"), fields.get("DATA"):
            case "LISTEN", str(path):
                if len(self._told) < MAX_LISTENED:
                    self._told[path] = None
            case "IGNORE", str(path):
                self._told.pop(path, None)
            case _:
                raise MalformedMessage(
                    'expected {"COMMAND": "LISTEN" or "IGNORE", "DATA": "/a/path"}, got something else'
                )

    def tell(self, tree: Tree) -> None:
        """Queues what the client does not know yet, unless it has not read what was queued before."""
        if self._frames:
            return
        self._frames += self._news(tree)
        if self._frames:
            self._filled.set()

    def send(self, packet: bytes) -> bool:
        """Queues an answer; False where too many wait."""
        if len(self._frames) >= MAX_WAITING_FRAMES:
            return False
        self._frames.append(packet)
        self._filled.set()
        return True

    async def next_frames(self) -> list[Frame]:
        """What waits, once there is something."""
        await self._filled.wait()
        self._filled.clear()
        frames, self._frames = self._frames, []
        return frames

    def _news(self, tree: Tree) -> Iterator[Frame]:
        streams = tuple(stream.part for stream in tree.streams)
        if self._streams not in (None, streams):
            yield json.dumps({"COMMAND": "PATH_CHANGED", "DATA": f"/{ROOT}/{SESSION}"})
        self._streams = streams
        for path, told in self._told.items():
            value = tree.value(path)
            if value is not None and value != told:
                self._told[path] = value
                yield encode(path, value.types, *value.arguments)
