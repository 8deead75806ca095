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
    is_connected: bool = False
    """Whether it came over a connection: its handshake has proved that it hears."""


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

    def give_back(self, n: int) -> None:
        """Puts tokens back that were not used."""
        self._left += n


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
        self._sources: OrderedDict[tuple[tuple[str | int, ...], bool], tuple[Peer, Allowance]] = OrderedDict()

    def peer(self, address: tuple[str | int, ...], *, is_connected: bool = False) -> Peer | None:
        """Who sends; ``None`` for someone who may not."""
        known = self._sources.get((address, is_connected))
        if known is not None:
            self._sources.move_to_end((address, is_connected))
            return known[0]
        ip = _ip(str(address[0]))
        if ip is None or not (ip.is_loopback or any(ip in network for network in self._networks)):
            return None
        peer = Peer(address=address, is_local=ip.is_loopback, is_connected=is_connected)
        self._remember(peer)
        return peer

    def take(self, peer: Peer, n_messages: int) -> bool:
        """Whether a peer may send so much now; where it may not, nothing of its allowance is used."""
        now_s = self._clock()
        known = self._sources.get((peer.address, peer.is_connected))
        allowance = known[1] if known is not None else self._remember(peer)
        if not allowance.take(n_messages, now_s):
            return False
        if not self._everyone.take(n_messages, now_s):
            allowance.give_back(n_messages)
            return False
        return True

    def forget(self, peer: Peer) -> None:
        """A peer has gone."""
        self._sources.pop((peer.address, peer.is_connected), None)

    def _remember(self, peer: Peer) -> Allowance:
        allowance = Allowance(MESSAGES_A_SECOND, MOST_AT_ONCE, self._clock())
        self._sources[peer.address, peer.is_connected] = (peer, allowance)
        if len(self._sources) > MAX_SOURCES:
            self._sources.popitem(last=False)
        return allowance


def _ip(host: str) -> _Ip | None:
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return None
    return ip.ipv4_mapped or ip if isinstance(ip, ipaddress.IPv6Address) else ip
