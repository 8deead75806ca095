"""Addresses beside gRPC's: what is served there may be missing where nobody has asked for the address by name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from deepmusic.config import Address
from deepmusic.errors import PortInUse


async def listen(
    start: Callable[[str, int], Awaitable[int]], address: Address, *, is_asked_for: bool, what: str, notes: list[str]
) -> str:
    """Listens at an address; gives it with the real port.

    A default port may be a favourite of other programs. Where it is taken and nobody has asked for it by name, the rest
    is served without it.

    Args:
        start: Listens at a host and a port; gives the port.
        address: Where.
        is_asked_for: Whether somebody has asked for this address.
        what: Is served there; for people.
        notes: Gets a line where it is not.

    Returns:
        The address; empty where it is not served.

    Raises:
        PortInUse: An address that was asked for is taken.
    """
    try:
        port = await start(address.host, address.port)
    except PortInUse as error:
        if is_asked_for:
            raise
        notes.append(f"{what} is not served: {error.message}")
        return ""
    return str(Address(host=address.host, port=port))
