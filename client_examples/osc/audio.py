"""A file through the server in datagrams: audio over OSC, in real time, put together again by its positions.

deepmusic serve                                   # in another terminal; a style: deepmusic styles add brass brass.wav
python audio.py brass content.wav out.wav
"""

from __future__ import annotations

import socket
import sys
import threading
import time

import numpy as np
import soundfile
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder, build_msg

BLOCK = 160  # samples: stereo float32 makes 1280 bytes, which fit into one frame of any network


def message(address: str, **arguments: object) -> bytes:
    """A message; the names of the arguments are their types, with a number behind them."""
    builder = OscMessageBuilder(address)
    for kind, value in arguments.items():
        builder.add_arg(value, kind[0])  # type: ignore[arg-type]
    return builder.build().dgram


def main(style: str, content: str, out: str, server: str = "127.0.0.1:9000") -> None:
    """Sends, while a thread receives, and writes what came."""
    audio, rate_hz = soundfile.read(content, dtype="float32", always_2d=True)
    host, _, port = server.rpartition(":")
    rig = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    rig.connect((host, int(port)))
    rig.settimeout(10.0)
    rig.send(build_msg("/deepmusic/audio/open", ["file", style, rate_hz, audio.shape[1], "F32LE"]).dgram)
    answer = OscMessage(rig.recv(4096))
    if answer.address != "/deepmusic/audio/ready":
        sys.exit(" ".join(map(str, answer.params)))
    latency = answer.params[5]
    result = np.zeros_like(audio)

    def receive() -> None:
        while (heard := OscMessage(rig.recv(4096))).address != "/deepmusic/audio/closed":
            if heard.address == "/deepmusic/audio/out":
                first, pcm = heard.params[2] - latency, np.frombuffer(heard.params[4], "<f4")
                block = pcm.reshape(-1, audio.shape[1])[max(0, -first) :]
                place = result[max(0, first) : max(0, first) + len(block)]
                place[:] = block[: len(place)]  # what the network lost stays silent: a player would conceal it
        print(*heard.params, file=sys.stderr)

    receiving = threading.Thread(target=receive)
    receiving.start()
    start_s = time.monotonic()
    for n, first in enumerate(range(0, len(audio), BLOCK)):
        time.sleep(max(0.0, start_s + first / rate_hz - time.monotonic()))
        pcm = audio[first : first + BLOCK].tobytes()
        rig.send(message("/deepmusic/audio/in", s="file", i=n, h=first, b=pcm))
    rig.send(build_msg("/deepmusic/audio/close", ["file"]).dgram)
    receiving.join()
    rig.close()
    soundfile.write(out, result, rate_hz, subtype="FLOAT")


if __name__ == "__main__":
    main(*sys.argv[1:])
