"""What the HTTP server needs of the house; ``deepmusic.app`` gives it, tests give their own."""

from __future__ import annotations

from http import HTTPStatus
from typing import Protocol, TypeVar


class Description(Protocol):
    """An answer to a question about the address space."""

    @property
    def status(self) -> HTTPStatus:
        """OK, or why there is none."""
        ...

    @property
    def body(self) -> str:
        """JSON; empty where the status says all."""
        ...


class Listener(Protocol):
    """A client whose WebSocket is open."""

    async def next_frames(self) -> list[str | bytes]:
        """[loop] What waits to be sent, once there is something: JSON as text, OSC as bytes."""
        ...


ListenerT = TypeVar("ListenerT", bound=Listener)


class QueryService(Protocol[ListenerT]):
    """Describes the address space."""

    async def describe(self, host: str, path: str, query: str) -> Description:
        """[loop] Answers a question over HTTP; path and query as they stand in the URL."""
        ...

    def connect(self, address: tuple[str | int, ...]) -> ListenerT | None:
        """[loop] A client whose WebSocket is open; ``None`` for someone who may not.

        Raises:
            NoCapacity: Too many are connected.
        """
        ...

    def disconnect(self, client: ListenerT) -> None:
        """[loop] A client's WebSocket has ended."""
        ...

    def command(self, client: ListenerT, text: str) -> None:
        """[loop] Takes a text from a client."""
        ...

    def offer(self, client: ListenerT, packet: bytes) -> bool:
        """[loop] Takes OSC from a client; False where it has to come again a little later."""
        ...
