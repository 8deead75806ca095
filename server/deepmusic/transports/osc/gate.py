"""The gate: whose datagrams are taken at all, and how many of them.

A source address on UDP is a claim. On loopback the kernel vouches for it: nothing from outside comes in with such an
address. Elsewhere only the networks that an operator has named get in, and what they are told stays small until they
have proved that they hear it (``subscribers``).
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

MESSAGES_A_SECOND = 1000.0
"""Messages that one source may send for ever: sixteen faders that move at once, as fast as a screen shows them."""

MOST_AT_ONCE = 1000.0
"""Messages that it may send at once after a pause."""

ALL_MESSAGES_A_SECOND = 3000.0
"""Messages that all sources together may send: a tenth of one core."""

MAX_SOURCES = 256
"""Sources that are remembered. One more, and the one that was silent for longest is forgotten: its allowance is full
again when it comes back, which the allowance of all bounds."""

_Ip = ipaddress.IPv4Address | ipaddress.IPv6Address

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Where a datagram says that it comes from."""

    address: tuple[str | int, ...]
    """As the socket gives it and takes it: host and port, for IPv6 two numbers more."""
    is_local: bool
    """Whether it is a program on this machine."""


class Allowance:
    """A token bucket: so many a second, so many at once.

    Args:
        rate_per_s: Tokens that come back in a second.
        most: Tokens that it holds, and begins with.
        now_s: Monotonic seconds.
    """

    def __init__(self, rate_per_s: float, most: float, now_s: float) -> None:
        self._rate_per_s = rate_per_s
        self._most = most
        self._left = most
        self._seen_s = now_s

    def take(self, n: int, now_s: float) -> bool:
        """Takes tokens; False, and none taken, where there are fewer."""
        self._left = min(self._most, self._left + (now_s - self._seen_s) * self._rate_per_s)
        self._seen_s = now_s
        if n > self._left:
            return False
        self._left -= n
        return True


class Gate:
    """Admits sources. All methods are [loop].

    Args:
        networks: Allowed beside loopback.
        clock: Monotonic seconds.
    """

    def __init__(self, networks: Iterable[Network], clock: Callable[[], float]) -> None:
        self._networks = tuple(networks)
        self._clock = clock
        self._everyone = Allowance(ALL_MESSAGES_A_SECOND, ALL_MESSAGES_A_SECOND, clock())
        self._sources: OrderedDict[tuple[str | int, ...], tuple[Peer, Allowance]] = OrderedDict()  # to MAX_SOURCES

    def peer(self, address: tuple[str | int, ...]) -> Peer | None:
        """Who sends; ``None`` for someone who may not."""
        known = self._sources.get(address)
        if known is not None:
            self._sources.move_to_end(address)
            return known[0]
        ip = _ip(str(address[0]))
        if ip is None or not (ip.is_loopback or any(ip in network for network in self._networks)):
            return None
        peer = Peer(address=address, is_local=ip.is_loopback)
        self._sources[address] = (peer, Allowance(MESSAGES_A_SECOND, MOST_AT_ONCE, self._clock()))
        if len(self._sources) > MAX_SOURCES:
            self._sources.popitem(last=False)
        return peer

    def take(self, peer: Peer, n_messages: int) -> bool:
        """Whether a peer that ``peer`` has just given may send so much now."""
        now_s = self._clock()
        _, allowance = self._sources[peer.address]
        return allowance.take(n_messages, now_s) and self._everyone.take(n_messages, now_s)


def _ip(host: str) -> _Ip | None:
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return None
    return ip.ipv4_mapped or ip if isinstance(ip, ipaddress.IPv6Address) else ip
