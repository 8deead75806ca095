"""Live: the sound card's input in the sound of a style, back to its output, with a cushion against late blocks.

    apt-get install libportaudio2             # Debian; elsewhere PortAudio comes along
    python live.py brass                      # a style of the server: deepmusic styles add brass brass.wav
    python live.py brass --file content.wav --out out.wav      # the same without a sound card, in real time

What the performer hears lies this far behind what is played: the stream's latency, plus the cushion, plus the card's.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator

import numpy as np
import soundfile

from deepmusic.audio import AudioFormat
from deepmusic.transports.rpc.client import RpcClient, StyledAudio
from deepmusic.transports.wire.messages import StreamConfig, StyleShare


class Cushion:
    """Blocks between the network and the sound card, each for its own time; silence where one is late or lost."""

    def __init__(self, n_channels: int, block_samples: int, n_blocks: int) -> None:
        self._silence = np.zeros((n_channels, block_samples), np.float32)
        self._n_blocks = n_blocks
        self._waiting: dict[int, np.ndarray] = {}
        self._next = 0
        self.n_late = 0

    def put(self, block: np.ndarray, first_sample: int) -> None:
        """A block came from the server. Too late it is not played at all: that would make all the others late."""
        place = first_sample // self._silence.shape[1] + self._n_blocks
        if place >= self._next:
            self._waiting[place] = block

    def get(self) -> np.ndarray:
        """The card wants a block, now."""
        place, self._next = self._next, self._next + 1
        block = self._waiting.pop(place, None)
        if block is None:
            self.n_late += place >= self._n_blocks
            return self._silence
        return block


async def from_file(
    audio: np.ndarray, rate_hz: int, cushion: Cushion, played: list[np.ndarray], block: int
) -> AsyncIterator[np.ndarray]:
    """A file as a sound card would give it: a block each time its samples have passed."""
    loop = asyncio.get_running_loop()
    start_s = loop.time()
    for n in range(0, audio.shape[1] - block + 1, block):
        await asyncio.sleep(start_s + (n + block) / rate_hz - loop.time())
        yield audio[:, n : n + block]
        played.append(cushion.get())


async def from_card(n_channels: int, rate_hz: int, cushion: Cushion, block: int) -> AsyncIterator[np.ndarray]:
    """The sound card's input; its output is played from the cushion at the same time."""
    import sounddevice

    loop = asyncio.get_running_loop()
    heard: asyncio.Queue[np.ndarray] = asyncio.Queue(maxsize=64)

    def callback(indata: np.ndarray, outdata: np.ndarray, frames: int, time: object, status: object) -> None:
        loop.call_soon_threadsafe(heard.put_nowait, indata.T.copy())
        outdata[:] = cushion.get().T

    with sounddevice.Stream(rate_hz, block, channels=n_channels, dtype="float32", callback=callback):
        while True:
            yield await heard.get()


async def play(args: argparse.Namespace) -> None:
    """Opens the stream and keeps both directions going."""
    audio, rate_hz = None, 48000
    n_channels = 2
    if args.file:
        samples, rate_hz = soundfile.read(args.file, dtype="float32", always_2d=True)
        audio = np.ascontiguousarray(samples.T)
        n_channels = audio.shape[0]
    cushion = Cushion(n_channels, args.block, args.cushion)
    played: list[np.ndarray] = []
    config = StreamConfig(
        audio_format=AudioFormat(sample_rate_hz=rate_hz, n_channels=n_channels),
        styles=(StyleShare(name=args.style),),
        nominal_block_samples=args.block,
        deadline_samples=args.cushion * args.block,
    )
    async with RpcClient(args.server) as client, client.transfer(config) as call, asyncio.TaskGroup() as tasks:

        async def listen() -> None:
            async for answer in call:
                if isinstance(answer, StyledAudio):
                    cushion.put(answer.block, answer.first_sample)
                else:
                    print(answer, file=sys.stderr)

        tasks.create_task(listen())
        behind_ms = 1000.0 * (call.ready.latency_samples + args.cushion * args.block) / rate_hz
        print(f"{behind_ms:.1f} ms behind, sound card not counted", file=sys.stderr)
        if audio is None:
            source = from_card(n_channels, rate_hz, cushion, args.block)
        else:
            source = from_file(audio, rate_hz, cushion, played, args.block)
        async for block in source:
            await call.send(block)
        await call.finish()
    if args.out:
        soundfile.write(args.out, np.concatenate(played, axis=1).T, rate_hz, subtype="FLOAT")
    print(f"{cushion.n_late} blocks came too late for the card", file=sys.stderr)


def main(argv: list[str] | None = None) -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("style")
    parser.add_argument("--server", default="127.0.0.1:50051")
    parser.add_argument("--block", type=int, default=480, help="samples")
    parser.add_argument("--cushion", type=int, default=4, help="blocks")
    parser.add_argument("--file")
    parser.add_argument("--out")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(play(parser.parse_args(argv)))


if __name__ == "__main__":
    main()
