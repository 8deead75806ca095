"""Changes style on the way: a file begins in one style, morphs through a mix of both, and ends in the other.

    python change_style.py content.wav brass strings out.wav

Every change is set to a sample of the input, so that a second run gives the same file.
"""

from __future__ import annotations

import asyncio
import sys

import numpy as np
import soundfile

from deepmusic.audio import AudioFormat
from deepmusic.transports.rpc.client import RpcClient, StyledAudio, TransferCall
from deepmusic.transports.wire.messages import StreamConfig, StreamEvent, StyleShare

BLOCK_SAMPLES = 1024
FADE_S = 0.2


async def send(call: TransferCall, audio: np.ndarray, rate_hz: int, first: str, second: str) -> None:
    """Schedules the changes, then sends the audio; credit holds it back where the server is slower."""
    fade_samples, third = round(FADE_S * rate_hz), audio.shape[1] // 3
    both = [StyleShare(name=first, weight=0.5), StyleShare(name=second, weight=0.5)]
    await call.change_style(both, at_sample=third, fade_samples=fade_samples)
    await call.change_style(second, at_sample=2 * third, fade_samples=fade_samples)
    await call.control("strength", 0.7, at_sample=2 * third, ramp_samples=fade_samples)
    for start in range(0, audio.shape[1], BLOCK_SAMPLES):
        await call.send(audio[:, start : start + BLOCK_SAMPLES])
    await call.finish()


async def main(content: str, first: str, second: str, out: str, server: str = "127.0.0.1:50051") -> None:
    """Reads, sends, listens, writes."""
    samples, rate_hz = soundfile.read(content, dtype="float32", always_2d=True)
    audio = np.ascontiguousarray(samples.T)
    config = StreamConfig(
        audio_format=AudioFormat(sample_rate_hz=rate_hz, n_channels=audio.shape[0]),
        styles=(StyleShare(name=first),),
        deadline_samples=None,  # pacing fast: nothing is late
    )
    heard: list[np.ndarray] = []
    async with RpcClient(server) as client, client.transfer(config) as call, asyncio.TaskGroup() as tasks:
        tasks.create_task(send(call, audio, rate_hz, first, second))
        async for answer in call:
            if isinstance(answer, StyledAudio):
                heard.append(answer.block)
            elif isinstance(answer, StreamEvent):
                print(f"{answer.at_sample}: {answer.message}", file=sys.stderr)
    sound = np.concatenate(heard, axis=1)[:, call.ready.latency_samples :]
    soundfile.write(out, sound.T, rate_hz, subtype="FLOAT")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
