"""Answers on their way to a client: bounded, with a stated rule for what goes when the client does not read."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, replace

from deepmusic.session.events import AudioFlag
from deepmusic.transports.wire.messages import EventKind, StreamEvent, StreamResponse, StyledMessage

MAX_EVENTS = 256
"""Events that wait; further ones are dropped, since they only tell people what the counters say. GOING_AWAY never is: a
client has to act on it."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    response: StreamResponse
    n_samples: int


class Outbox:
    """A queue between a session's thread (through the loop) and the task that writes. All methods are [loop].

    Args:
        max_samples: Audio that may wait; beyond it the oldest audio is dropped and the next block carries
            DISCONTINUITY. ``None`` never drops: then credit bounds it.
    """

    def __init__(self, max_samples: int | None) -> None:
        self._max_samples = max_samples
        self._waiting: deque[_Waiting] = deque()
        self._n_samples = 0
        self._n_blocks = 0
        self._n_events = 0
        self._has_jumped = False
        self._is_closed = False
        self._filled = asyncio.Event()
        self.dropped_blocks = 0
        """Blocks of audio that were dropped."""

    def widen(self, n_samples: int) -> None:
        """Lets so much more audio wait: the tail of a stream comes all at once."""
        if self._max_samples is not None:
            self._max_samples += n_samples

    def put_audio(self, message: StyledMessage, n_samples: int) -> None:
        """Queues audio; drops the oldest where there is too much."""
        self._put(message, n_samples)
        if self._max_samples is None:
            return
        dropped = 0
        while self._n_samples > self._max_samples and self._drop_oldest_audio():
            dropped += 1
        if dropped:
            if not self.dropped_blocks:
                self.put(
                    StreamEvent(
                        kind=EventKind.OUTPUT_DROPPED,
                        message="answers were not read in time; the oldest were dropped",
                        at_sample=message.first_sample,
                    )
                )
            self.dropped_blocks += dropped

    def put(self, response: StreamResponse) -> None:
        """Queues anything else; an event beyond the bound is dropped."""
        if isinstance(response, StreamEvent):
            if self._n_events >= MAX_EVENTS and response.kind is not EventKind.GOING_AWAY:
                return
            self._n_events += 1
        self._put(response, 0)

    def close(self) -> None:
        """Nothing more will come: ``get`` says so once the rest is out."""
        self._is_closed = True
        self._filled.set()

    async def get(self) -> tuple[StreamResponse | None, int]:
        """The next answer and its samples, once there is one; ``None`` once it is closed and empty."""
        while not self._waiting:
            if self._is_closed:
                return None, 0
            self._filled.clear()
            await self._filled.wait()
        entry = self._waiting.popleft()
        self._forget(entry)
        response = entry.response
        if isinstance(response, StreamEvent):
            self._n_events -= 1
        elif isinstance(response, StyledMessage) and self._has_jumped:
            self._has_jumped = False
            response = replace(response, flags=response.flags | AudioFlag.DISCONTINUITY)
        return response, entry.n_samples

    def _put(self, response: StreamResponse, n_samples: int) -> None:
        self._waiting.append(_Waiting(response, n_samples))
        self._n_samples += n_samples
        self._n_blocks += n_samples > 0
        self._filled.set()

    def _forget(self, entry: _Waiting) -> None:
        self._n_samples -= entry.n_samples
        self._n_blocks -= entry.n_samples > 0

    def _drop_oldest_audio(self) -> bool:
        """Drops the oldest block but never the newest, so that a block larger than the bound still goes out."""
        if self._n_blocks < 2:
            return False
        oldest = next(place for place, entry in enumerate(self._waiting) if entry.n_samples)
        self._forget(self._waiting[oldest])
        del self._waiting[oldest]
        self._has_jumped = True
        return True
