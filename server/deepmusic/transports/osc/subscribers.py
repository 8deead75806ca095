"""Peers that want to hear what happens, and how those from afar prove that they are where they say.

::

    peer                          server
    /notify 1         ----------->            anyone can write a foreign address onto a datagram
                      <-----------  /token n  so this is all it gets: no larger than the request
    /notify 1 n       ----------->            only who really hears there knows n
                      <-----------  /done /notify 60

A local peer needs no token, nor does one that is connected. While it is subscribed a peer is verified: answers to it
may be larger than its requests.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable

from deepmusic.transports.osc.gate import Peer
from deepmusic.transports.osc.ports import LiveSession
from deepmusic.transports.osc.stage import StageTold
from deepmusic.transports.osc.watch import Told

MAX_SUBSCRIBERS = 16
"""Peers at a time; one more is refused until another has left or expired."""

EXPIRY_S = 60
"""Seconds after which a subscription ends, unless ``/notify 1`` renews it: UDP does not say when a peer has gone."""

TOKEN_LIFE_S = 30.0
"""Seconds for which a token is good, at least."""


class Subscription:
    """One peer's, with what it has been told already.

    Args:
        expires_s: When it ends, monotonic seconds.
    """

    def __init__(self, expires_s: float) -> None:
        self.expires_s = expires_s
        self.told: dict[LiveSession, Told] = {}
        """By session; sessions that are over leave it."""
        self.stage = StageTold()
        """Of the beat and the set."""


class Subscribers:
    """The table of subscriptions. All methods are [loop].

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._table: dict[Peer, Subscription] = {}  # bounded by MAX_SUBSCRIBERS

    def __len__(self) -> int:
        return len(self.current())

    def current(self) -> dict[Peer, Subscription]:
        """Those that have not expired."""
        now_s = self._clock()
        self._table = {peer: entry for peer, entry in self._table.items() if entry.expires_s > now_s}
        return self._table

    def is_verified(self, peer: Peer) -> bool:
        """Whether it is certain that the peer is where it says."""
        return peer.is_local or peer.is_connected or peer in self.current()

    def token(self, peer: Peer) -> int:
        """What a peer has to send back, 0 to 2**31 - 1; nothing is kept until it does."""
        return self._token(peer, self._window())

    def knows_token(self, peer: Peer, token: int) -> bool:
        """Whether it is the peer's token, or was a moment ago."""
        window = self._window()
        return token in (self._token(peer, window), self._token(peer, window - 1))

    def add(self, peer: Peer) -> bool:
        """Subscribes a peer, or renews it; False where there are too many."""
        table = self.current()
        expires_s = self._clock() + EXPIRY_S
        if peer in table:
            table[peer].expires_s = expires_s
        elif len(table) >= MAX_SUBSCRIBERS:
            return False
        else:
            table[peer] = Subscription(expires_s)
        return True

    def remove(self, peer: Peer) -> None:
        """Ends a peer's subscription, if it has one."""
        self._table.pop(peer, None)

    def _window(self) -> int:
        return int(self._clock() // TOKEN_LIFE_S)

    def _token(self, peer: Peer, window: int) -> int:
        text = repr((peer.address, window)).encode()
        return int.from_bytes(hashlib.blake2s(text, key=self._key, digest_size=4).digest()) & 0x7FFFFFFF
