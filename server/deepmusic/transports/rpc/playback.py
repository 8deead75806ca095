"""A whole recording through a stream, with the latency taken off."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from deepmusic.audio import Audio
from deepmusic.errors import InternalError
from deepmusic.session.events import AudioFlag
from deepmusic.transports.rpc.client import RpcClient, StyledAudio, TransferCall
from deepmusic.transports.wire.messages import StreamConfig, StreamEvent, StreamReady, StreamSummary


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Played:
    """What came back for a recording."""

    audio: Audio
    """float32 ``(channels, samples)``, as long as what was sent: sample i is what was made of sample i."""
    ready: StreamReady
    """What the server decided."""
    summary: StreamSummary
    """What the server counted."""
    late_blocks: int
    """Blocks with the flag LATE."""
    dry_blocks: int
    """Blocks with the flag DRY."""
    n_events: Mapping[str, int]
    """How often each kind of event came."""
    rtf: float
    """Time from the first block to the summary, over the recording's length; near 1 at live pace."""


async def play_through(client: RpcClient, config: StreamConfig, audio: Audio, *, block_samples: int) -> Played:
    """Sends a recording and gathers what comes back; at live pace a block goes out when its last sample is due.

    Args:
        client: Connected to a server.
        config: Its pacing is what is played at.
        audio: float32 ``(channels, samples)``.
        block_samples: Samples of a block.

    Raises:
        DeepmusicError: The stream failed.
    """
    loop = asyncio.get_running_loop()
    async with client.transfer(config) as call:
        started_s = loop.time()
        sending = asyncio.create_task(_send(call, config, audio, min(block_samples, call.ready.max_block_samples)))
        try:
            gathered = await _gather(call, audio)
            await sending
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
    seconds = max(audio.shape[1], 1) / config.audio_format.sample_rate_hz
    return Played(
        audio=gathered.audio,
        ready=call.ready,
        summary=gathered.summary,
        late_blocks=gathered.flags[AudioFlag.LATE],
        dry_blocks=gathered.flags[AudioFlag.DRY],
        n_events=gathered.events,
        rtf=(loop.time() - started_s) / seconds,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Gathered:
    audio: Audio
    summary: StreamSummary
    flags: Counter[AudioFlag]
    events: Counter[str]


async def _send(call: TransferCall, config: StreamConfig, audio: Audio, block_samples: int) -> None:
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    for start in range(0, audio.shape[1], block_samples):
        block = audio[:, start : start + block_samples]
        if config.deadline_samples is not None:
            due_s = started_s + (start + block.shape[1]) / config.audio_format.sample_rate_hz
            await asyncio.sleep(due_s - loop.time())
        await call.send(block)
    await call.finish()


async def _gather(call: TransferCall, audio: Audio) -> _Gathered:
    result = np.zeros(audio.shape, np.float32)
    flags: Counter[AudioFlag] = Counter()
    events: Counter[str] = Counter()
    async for answer in call:
        match answer:
            case StyledAudio():
                flags.update(flag for flag in AudioFlag if flag in answer.flags)
                start = answer.first_sample - call.ready.latency_samples
                used = answer.block[:, max(0, -start) :]
                result[:, max(0, start) : max(0, start) + used.shape[1]] = used[:, : audio.shape[1] - max(0, start)]
            case StreamEvent():
                events[answer.kind.value] += 1
            case StreamSummary():
                return _Gathered(audio=result, summary=answer, flags=flags, events=events)
    raise InternalError("expected a summary at the stream's end, got none; look at the server's log")
