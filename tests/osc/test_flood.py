"""A flood: held back, while a healthy stream stays exact and on time and another rig is still heard."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deepmusic.transports.osc.gate import MESSAGES_A_SECOND, MOST_AT_ONCE
from tests.osc.conftest import Stage
from tests.osc.rig import Rig
from tests.osc.test_datagram import TRAPS
from tests.rpc.canary import canary

FLOOD = Path(__file__).parent / "flood.py"
DATAGRAMS_A_SECOND = 50_000
FLOODED_FOR_S = 1.5
MOST_TRIES = 100
TRY_S = 0.3
LONGEST_AFTERWARDS_S = 1.0
"""For what still lies in the socket when the flood has ended."""


@contextlib.asynccontextmanager
async def flooded(address: str) -> AsyncIterator[list[int]]:
    """Floods while the block runs; then holds how many datagrams were sent, and how many a second."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(FLOOD), address, str(DATAGRAMS_A_SECOND)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    await process.stdout.readline()
    sent: list[int] = []
    try:
        yield sent
    finally:
        out, _ = await process.communicate(b"")  # the end of its input ends it
        sent += map(int, out.split())


async def test_a_flood_is_held_back_and_the_canary_stays_exact_and_on_time(stage: Stage, rig: Rig):
    async with canary(stage.serving, bundle="passthrough", style="plain"), flooded(stage.osc_address) as sent:
        await asyncio.sleep(FLOODED_FOR_S)
        for tries in range(
            1, MOST_TRIES + 1
        ):  # the flood fills the socket; who is lost in it asks again, as on any UDP
            rig.say("/sync", tries)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TRY_S):
                    await rig.hear("/synced")
                    break
        else:
            pytest.fail("nobody else is heard during a flood")
    stats = stage.osc.stats
    print(f"{sent[0]} sent at {sent[1]}/s, {stats.datagrams} read, {stats.messages} taken up, rig heard at try {tries}")
    assert stats.messages <= MOST_AT_ONCE + MESSAGES_A_SECOND * (sent[0] / sent[1] + LONGEST_AFTERWARDS_S) + tries
    assert stats.messages < sent[0]


async def test_bad_input_leaves_a_stream_exact_and_on_time_and_the_bridge_alive(stage: Stage, rig: Rig):
    async with canary(stage.serving):
        for trap in TRAPS.values():
            rig.throw(trap)
        await rig.sync()
    assert stage.osc.stats.malformed == len(TRAPS)
