r"""One stream of audio, from its config to its summary.

::

    requests -> reader -> credit -> session (its own thread) -> outbox -> writer -> answers
                 | \-> style lookups --^                            ^
                 \---------- events about what was ignored --------/

The reader stops reading while more than the credit is unanswered, so that memory stays bounded by it; gRPC's small
flow-control window then holds the client back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import cast

from deepmusic.errors import ConfigRepeated, DeepmusicError, IdleTimeout, SlowConsumer, StreamCancelled
from deepmusic.session.events import (
    AudioFlag,
    AudioIn,
    AudioOut,
    Control,
    Failure,
    Finish,
    Flush,
    Held,
    Notice,
    Summary,
)
from deepmusic.transports.rpc.credit import LiveCredit
from deepmusic.transports.rpc.outbox import Outbox
from deepmusic.transports.rpc.ports import Emitted, RunningSession
from deepmusic.transports.rpc.style_lookups import PATIENCE_S, StyleLookups
from deepmusic.transports.rpc.terms import StreamTerms
from deepmusic.transports.rpc.wait_limit import WaitLimit
from deepmusic.transports.wire.messages import (
    AudioMessage,
    EventKind,
    IgnoredControl,
    KeepAlive,
    StreamConfig,
    StreamEvent,
    StreamRequest,
    StreamResponse,
    StreamSummary,
    StyleControl,
    StyledMessage,
    UnknownMessage,
)
from deepmusic.transports.wire.responses import event_from_notice

LAST_POSITION = 2**53
"""Largest position of a sample, some 5000 years: beyond it arithmetic in doubles (JavaScript's) is not exact."""

MAX_UNANSWERED_BLOCKS = 1024
"""Blocks that the session may still have to answer: the reader waits beyond it, and the inbox is never full."""


class Requests:
    """A client's messages, one at a time, with the limit on silence.

    Args:
        messages: Ends when the client half-closes or vanishes, which look the same.
        idle_s: Longest silence in seconds.
    """

    def __init__(self, messages: AsyncIterator[StreamRequest], idle_s: float) -> None:
        self._messages = messages
        self._idle_s = idle_s
        self._limit = WaitLimit(idle_s)

    async def next(self) -> StreamRequest:
        """The next message.

        Raises:
            IdleTimeout: None came.
            StreamCancelled: No more will come.
            RequestError: It is malformed.
        """
        try:
            with self._limit:
                return await anext(self._messages)
        except TimeoutError:
            raise IdleTimeout(
                f"expected a message within {self._idle_s:g} s, got none; while stopped, send keep_alive"
            ) from None
        except StopAsyncIteration:
            raise StreamCancelled(
                "expected finish before the stream's end, got none; the stream is abandoned"
            ) from None

    def close(self) -> None:
        """Nobody asks for messages any more."""
        self._limit.close()


class TransferStream:
    """Runs one stream on a session that is open. All methods are [loop], but ``emit``.

    Args:
        terms: What was agreed at its start.
        requests: What the client sends after the config.
        write: Sends one answer; returns once it is on its way.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        terms: StreamTerms,
        requests: Requests,
        write: Callable[[StreamResponse], Awaitable[None]],
        clock: Callable[[], float],
    ) -> None:
        self._terms = terms
        self._requests = requests
        self._write = write
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._outbox = Outbox(terms.max_unread_samples)
        self._unread_limit = WaitLimit(terms.unread_limit_s)
        self._has_room = asyncio.Event()
        self._unanswered_samples = 0
        self._unanswered_blocks = 0
        self._next_sample = 0
        self._failure: DeepmusicError | None = None
        self._is_over = False

    async def run(self, session: RunningSession) -> None:
        """Runs the stream to its summary; the session is closed whatever happens.

        Raises:
            DeepmusicError: What ended it before its summary.
        """
        self._outbox.widen(session.facts.latency_samples)
        lookups = StyleLookups(session, self.announce, PATIENCE_S if self._terms.is_live else None)
        try:
            await self._write(self._terms.ready(session.facts))
            async with asyncio.TaskGroup() as tasks:
                others = (tasks.create_task(self._receive(session, lookups)), tasks.create_task(lookups.run()))
                writing = tasks.create_task(self._send())
                # The summary is the last word: nothing that comes after it is waited for.
                writing.add_done_callback(lambda _: [other.cancel() for other in others])
        except BaseExceptionGroup as group:
            raise _first_of(group) from None
        finally:
            self._is_over = True
            self._unread_limit.close()
            session.close()

    def announce(self, event: StreamEvent) -> None:
        """Tells the client something."""
        self._outbox.put(event)

    def emit(self, emitted: Emitted) -> None:
        """[worker] Takes what the session hands out; encodes audio here, off the loop."""
        if self._is_over:
            return
        if isinstance(emitted, AudioOut):
            message = StyledMessage(
                pcm=self._terms.codec.encode(emitted.block),
                first_sample=emitted.first_sample,
                sequence=emitted.sequence,
                flags=emitted.flags,
                timing=emitted.timing,
            )
            self._loop.call_soon_threadsafe(self._take_audio, message, emitted.block.shape[1])
        else:
            self._loop.call_soon_threadsafe(self._take, emitted)

    def _take_audio(self, message: StyledMessage, n_samples: int) -> None:
        if self._terms.is_live:
            self._answered(message, n_samples)
        self._outbox.put_audio(message, n_samples)

    def _take(self, emitted: Notice | Held | Summary | Failure) -> None:
        match emitted:
            case Held():
                self._outbox.put(emitted.statistics)
            case Notice():
                self._outbox.put(event_from_notice(emitted))
            case Summary():
                self._outbox.put(
                    StreamSummary(
                        stats=emitted.stats,
                        unread_blocks=self._outbox.dropped_blocks,
                        latency_samples=emitted.latency_samples,
                        bundle=emitted.bundle,
                    )
                )
            case Failure():
                self._failure = emitted.error
                self._outbox.close()

    def _fits(self, n_samples: int) -> bool:
        if self._unanswered_blocks >= MAX_UNANSWERED_BLOCKS:
            return False
        return not self._unanswered_blocks or self._unanswered_samples + n_samples <= self._terms.credit_samples

    def _answered(self, message: StyledMessage, n_samples: int) -> None:
        if AudioFlag.TAIL in message.flags:
            return
        self._unanswered_samples -= n_samples
        self._unanswered_blocks -= 1
        self._has_room.set()

    async def _receive(self, session: RunningSession, lookups: StyleLookups) -> None:
        credit = LiveCredit(self._terms.credit_samples, self._terms.sample_rate_hz, self._clock())
        while True:
            match await self._requests.next():
                case AudioMessage() as message:
                    await self._receive_audio(session, message, credit)
                case Control() as control:
                    session.post(control)
                case StyleControl() as control:
                    await lookups.add(control)
                case Flush() as flush:
                    await lookups.settle()
                    session.post(flush)
                case Finish() as finish:
                    await lookups.settle()  # nothing may come after it
                    session.post(finish)
                    return
                case KeepAlive():
                    pass
                case UnknownMessage():
                    text = "expected audio, control, flush, finish or keep_alive, got none of them; ignored"
                    self.announce(StreamEvent(kind=EventKind.UNKNOWN_MESSAGE, message=text))
                case IgnoredControl() as ignored:
                    self.announce(StreamEvent(kind=ignored.kind, message=ignored.message, name=ignored.name))
                case StreamConfig():
                    raise ConfigRepeated("expected one config, got a second; open another stream for another config")

    async def _receive_audio(self, session: RunningSession, message: AudioMessage, credit: LiveCredit) -> None:
        block = self._terms.codec.decode(message.pcm, max_samples=self._terms.max_block_samples)
        n_samples = block.shape[1]
        if self._terms.is_live:
            credit.spend(n_samples, self._clock())
        if message.first_sample + n_samples > LAST_POSITION:
            text = f"expected a position below 2**53, got {message.first_sample}; the block was dropped"
            self.announce(StreamEvent(kind=EventKind.BLOCK_DROPPED, message=text))
            return
        while not self._fits(n_samples):
            self._has_room.clear()
            await self._has_room.wait()
        if message.first_sample >= self._next_sample:  # the session drops an older block, and answers it by a notice
            self._next_sample = message.first_sample + n_samples
            self._unanswered_samples += n_samples
            self._unanswered_blocks += 1
        session.post(AudioIn(block=block, first_sample=message.first_sample, sequence=message.sequence))

    async def _send(self) -> None:
        """Writes answers until the summary is out."""
        while True:
            response, n_samples = await self._outbox.get()
            if response is None:
                assert self._failure is not None
                raise self._failure
            try:
                with self._unread_limit:
                    await self._write(response)
            except TimeoutError:
                raise SlowConsumer(
                    f"expected answers to be read within {self._terms.unread_limit_s:g} s, they were not; "
                    "read them while sending, in a task or thread of their own"
                ) from None
            if isinstance(response, StyledMessage) and not self._terms.is_live:
                self._answered(response, n_samples)
            if isinstance(response, StreamSummary):
                return


def _first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What ended the stream: one task's failure cancels the other, so that there is one cause, seldom two."""
    first = group.exceptions[0]
    if isinstance(first, BaseExceptionGroup):
        return _first_of(cast("BaseExceptionGroup[BaseException]", first))
    return first
