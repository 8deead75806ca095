"""The two bounds of a stream: what a client may send ahead, and what may wait for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import numpy as np
import pytest

from deepmusic.errors import AudioTooFast
from deepmusic.session.events import AudioFlag
from deepmusic.transports.rpc.client import TransferCall
from deepmusic.transports.rpc.credit import REFILL, LiveCredit
from deepmusic.transports.rpc.outbox import MAX_EVENTS, Outbox
from deepmusic.transports.rpc.ports import SessionFacts
from deepmusic.transports.rpc.terms import StreamLimits, StreamTerms
from deepmusic.transports.wire.messages import EventKind, StreamEvent, StreamResponse, StyledMessage
from deepmusic.transports.wire.responses import write_response
from deepmusic.v1 import transfer_service_pb2
from tests.rpc.serving import config

EVENT = StreamEvent(kind=EventKind.GAP_FILLED, message="a gap")


def block(first_sample: int) -> StyledMessage:
    return StyledMessage(pcm=b"", first_sample=first_sample, sequence=first_sample)


def test_audio_in_real_time_never_uses_up_the_credit():
    credit = LiveCredit(1000, 1000, 0.0)
    for second in range(1, 100):
        credit.spend(1000, float(second))


def test_a_clock_that_runs_a_little_fast_never_uses_up_the_credit():
    credit = LiveCredit(1000, 1000, 0.0)
    for n_tenths in range(1, 10000):
        credit.spend(round(100 * (REFILL - 0.01)), n_tenths / 10)


def test_a_stall_of_the_network_of_the_credits_length_is_made_up_for():
    credit = LiveCredit(2000, 1000, 0.0)
    credit.spend(100, 0.1)
    for _ in range(20):
        credit.spend(100, 2.1)


def test_audio_beyond_the_credit_is_too_fast():
    credit = LiveCredit(1000, 1000, 0.0)
    credit.spend(1000, 0.0)
    with pytest.raises(AudioTooFast, match="pacing fast"):
        credit.spend(1, 0.0)


def test_credit_does_not_pile_up_while_nothing_is_sent():
    credit = LiveCredit(1000, 1000, 0.0)
    credit.spend(1000, 1000.0)
    with pytest.raises(AudioTooFast):
        credit.spend(1, 1000.0)


async def test_what_waits_comes_out_in_its_order():
    outbox = Outbox(1000)
    outbox.put_audio(block(0), 100)
    outbox.put(EVENT)
    outbox.put_audio(block(100), 100)
    assert [await outbox.get() for _ in range(3)] == [(block(0), 100), (EVENT, 0), (block(100), 100)]
    assert outbox.dropped_blocks == 0


async def test_the_oldest_audio_goes_when_too_much_waits_and_the_next_block_says_so():
    outbox = Outbox(250)
    for first_sample in (0, 100, 200, 300):
        outbox.put_audio(block(first_sample), 100)
    answers = [(await outbox.get())[0] for _ in range(3)]
    kinds = [answer.kind for answer in answers if isinstance(answer, StreamEvent)]
    blocks = [answer for answer in answers if isinstance(answer, StyledMessage)]
    assert kinds == [EventKind.OUTPUT_DROPPED]
    assert [answer.first_sample for answer in blocks] == [200, 300]
    assert [answer.flags for answer in blocks] == [AudioFlag.DISCONTINUITY, AudioFlag.NONE]
    assert outbox.dropped_blocks == 2


async def test_a_stream_whose_tail_is_long_has_room_for_it():
    outbox = Outbox(250)
    outbox.widen(300)
    for first_sample in (0, 100, 200, 300, 400):
        outbox.put_audio(block(first_sample), 100)
    assert outbox.dropped_blocks == 0


async def test_a_block_larger_than_the_bound_still_goes_out():
    outbox = Outbox(50)
    outbox.put_audio(block(0), 100)
    assert await outbox.get() == (block(0), 100)


async def test_without_a_bound_nothing_is_dropped():
    outbox = Outbox(None)
    for first_sample in range(0, 100000, 100):
        outbox.put_audio(block(first_sample), 100)
    assert outbox.dropped_blocks == 0


async def test_a_client_that_does_not_read_costs_the_loop_no_more_with_small_blocks_than_with_large_ones():
    def cost_s(block_samples: int) -> float:
        """Of a block that pushes out another, the best of many."""
        outbox = Outbox(24000)
        costs: list[float] = []
        for n in range(24000 // block_samples + 500):
            message = block(n)
            start_s = time.perf_counter()
            outbox.put_audio(message, block_samples)
            costs.append(time.perf_counter() - start_s)
        assert outbox.dropped_blocks
        return min(costs[-400:])

    assert cost_s(16) < 5.0 * cost_s(960)  # 1500 blocks wait, or 25


async def test_events_are_bounded_too():
    outbox = Outbox(None)
    for _ in range(2 * MAX_EVENTS):
        outbox.put(EVENT)
    outbox.close()
    n_events = 0
    while (await outbox.get())[0] is not None:
        n_events += 1
    assert n_events == MAX_EVENTS


async def test_a_goodbye_is_heard_behind_all_the_events_that_may_wait():
    outbox = Outbox(None)
    for _ in range(MAX_EVENTS):
        outbox.put(EVENT)
    goodbye = StreamEvent(kind=EventKind.GOING_AWAY, message="the server stops")
    outbox.put(goodbye)
    heard = [(await outbox.get())[0] for _ in range(MAX_EVENTS + 1)]
    assert heard[-1] == goodbye


class DroppingServer:
    """A call whose answers were not read in time: of every ten blocks that are sent only the last is answered."""

    def __init__(self, ready: StreamResponse) -> None:
        self._answers = asyncio.Queue[StreamResponse]()
        self._answers.put_nowait(ready)
        self._n_blocks = 0

    def add_done_callback(self, callback: Callable[[object], None]) -> None:
        pass

    def done(self) -> bool:
        return False

    def cancel(self) -> None:
        pass

    async def write(self, message: transfer_service_pb2.StreamTransferRequest) -> None:
        if message.WhichOneof("message") != "audio":
            return
        self._n_blocks += 1
        if self._n_blocks % 10 == 0:
            audio, flags = message.audio, AudioFlag.DISCONTINUITY
            self._answers.put_nowait(
                StyledMessage(pcm=audio.pcm, first_sample=audio.first_sample, sequence=audio.sequence, flags=flags)
            )

    async def read(self) -> transfer_service_pb2.StreamTransferResponse:
        return write_response(await self._answers.get())


async def test_answers_that_were_dropped_cost_a_client_none_of_its_credit():
    live = config(deadline_samples=1024)
    facts = SessionFacts(
        bundle="live",
        bundle_digest="d" * 64,
        latency_samples=1855,
        step_samples=1024,
        provider="CPUExecutionProvider",
        precision="int8",
        requested_device="cpu",
    )
    ready = StreamTerms(live, "guitar", StreamLimits()).ready(facts)
    n_samples = ready.credit_samples // 20
    async with asyncio.timeout(20), TransferCall(DroppingServer(ready), live, "a server") as call:
        answers = aiter(call)
        for _ in range(10):
            for _ in range(10):
                await call.send(np.zeros((2, n_samples), np.float32))
            await anext(answers)
