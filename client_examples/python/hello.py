"""Hello, deepmusic: a WAV file through a server, in the sound of another, with nothing but grpc and the stubs.

deepmusic serve                                   # in another terminal
python hello.py content.wav style.wav out.wav
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import grpc
import numpy as np
import soundfile

from deepmusic.v1 import style_service_pb2, style_service_pb2_grpc, transfer_service_pb2, transfer_service_pb2_grpc
from deepmusic.v1.audio_pb2 import SAMPLE_FORMAT_F32LE, AudioBlock, AudioFormat
from deepmusic.v1.style_pb2 import StyleMix, WeightedStyle

BLOCK_SAMPLES = 1024


def blocks(audio: np.ndarray) -> Iterator[bytes]:
    """Interleaved float32, little endian: soundfile's own layout, (samples, channels)."""
    for start in range(0, len(audio), BLOCK_SAMPLES):
        yield audio[start : start + BLOCK_SAMPLES].astype("<f4").tobytes()


def learn(channel: grpc.Channel, path: str) -> str:
    """Uploads a recording; the name of the style that was learned from it."""
    audio, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    sound = AudioFormat(sample_rate_hz=rate_hz, n_channels=audio.shape[1], sample_format=SAMPLE_FORMAT_F32LE)
    header = style_service_pb2.StyleUpload(format=sound, temporary=True)
    parts = [style_service_pb2.CreateStyleRequest(header=header)]
    parts += [style_service_pb2.CreateStyleRequest(pcm=pcm) for pcm in blocks(audio)]
    return style_service_pb2_grpc.StyleServiceStub(channel).CreateStyle(iter(parts)).style.name


def requests(audio: np.ndarray, rate_hz: int, style: str) -> Iterator[transfer_service_pb2.StreamTransferRequest]:
    """A config first, then audio, then finish: without it the stream counts as abandoned."""
    config = transfer_service_pb2.StreamConfig(
        format=AudioFormat(sample_rate_hz=rate_hz, n_channels=audio.shape[1], sample_format=SAMPLE_FORMAT_F32LE),
        style=StyleMix(styles=[WeightedStyle(name=style, weight=1.0)]),
        fast=transfer_service_pb2.FastPacing(),
    )
    yield transfer_service_pb2.StreamTransferRequest(config=config)
    for sequence, pcm in enumerate(blocks(audio)):
        block = AudioBlock(sequence=sequence, first_sample=sequence * BLOCK_SAMPLES, pcm=pcm)
        yield transfer_service_pb2.StreamTransferRequest(audio=block)
    yield transfer_service_pb2.StreamTransferRequest(finish=transfer_service_pb2.Finish())


def transfer(channel: grpc.Channel, audio: np.ndarray, rate_hz: int, style: str) -> np.ndarray:
    """The recording in the sound of the style."""
    stub = transfer_service_pb2_grpc.TransferServiceStub(channel)
    heard, latency_samples = [], 0
    for answer in stub.StreamTransfer(requests(audio, rate_hz, style)):
        if answer.HasField("ready"):
            latency_samples = answer.ready.latency_samples
        elif answer.HasField("audio"):
            heard.append(np.frombuffer(answer.audio.pcm, "<f4").reshape(-1, audio.shape[1]))
        elif answer.HasField("event"):
            print(answer.event.message, file=sys.stderr)
    return np.concatenate(heard)[latency_samples:]  # the tail comes last: what is left is as long as the input


def main(content: str, style: str, out: str, server: str = "127.0.0.1:50051") -> None:
    """Reads, sends, writes."""
    audio, rate_hz = soundfile.read(content, dtype="float32", always_2d=True)
    with grpc.insecure_channel(server) as channel:
        soundfile.write(out, transfer(channel, audio, rate_hz, learn(channel, style)), rate_hz, subtype="FLOAT")


if __name__ == "__main__":
    main(*sys.argv[1:])
