"""Plays noise through the LV2 in jalv, on a JACK server without a sound card, and says how much of it came back styled.

apt-get install jackd2 jalv; pip install JACK-Client
deepmusic serve                                   # in another terminal
python jalv_noise.py cello --lv2 build/daw/.../Release/LV2
"""

from __future__ import annotations

import argparse
import os
import subprocess
import time
from pathlib import Path

import jack
import numpy as np

URI = "urn:deepmusic:plugin"
RATE_HZ = 48000


def client_of_server() -> jack.Client:
    """A client, once the server takes any."""
    for _ in range(100):
        try:
            return jack.Client("deepmusic-test", no_start_server=True)
        except jack.JackOpenError:
            time.sleep(0.1)
    raise SystemExit("expected a JACK server within 10 s, got none; look at jackd's output")


def connect(client: jack.Client, source: str, destination: str) -> None:
    """Connects two ports, once the host has made them and is active."""
    for _ in range(200):
        try:
            client.connect(source, destination)
        except jack.JackError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit(f"expected ports {source} and {destination}, got no connection; look at jalv's output")


def play(client: jack.Client, seconds: float) -> tuple[np.ndarray, np.ndarray, int]:
    """What went in and what came out, of one channel, and how often JACK was late."""
    out, into = client.outports.register("noise"), client.inports.register("heard")
    random = np.random.default_rng(1)
    sent: list[np.ndarray] = []
    heard: list[np.ndarray] = []
    xruns: list[float] = []
    client.set_xrun_callback(xruns.append)

    @client.set_process_callback
    def process(n_samples: int) -> None:
        block = (0.1 * random.standard_normal(n_samples)).astype(np.float32)
        out.get_array()[:] = block
        sent.append(block)
        heard.append(into.get_array().copy())

    with client:
        connect(client, out.name, "deepmusic:audio_in_1")
        connect(client, "deepmusic:audio_out_1", into.name)
        time.sleep(seconds)
    return np.concatenate(sent), np.concatenate(heard), len(xruns)


def dry_samples(sent: np.ndarray, heard: np.ndarray) -> np.ndarray:
    """Which samples are the delayed input: it is the input bit for bit, always as much later."""
    order = np.argsort(sent)
    places = np.searchsorted(sent[order], heard).clip(max=len(sent) - 1)
    lags = np.arange(len(heard)) - order[places]
    is_equal = (sent[order][places] == heard) & (lags > 0)
    if not is_equal.any():
        return is_equal
    found, counts = np.unique(lags[is_equal], return_counts=True)
    return is_equal & (lags == found[np.argmax(counts)])


def main() -> None:
    """Starts JACK and jalv, plays, and counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("style")
    parser.add_argument("--lv2", required=True, help="folder that deepmusic.lv2 lies in")
    parser.add_argument("--server", default="127.0.0.1:50051")
    parser.add_argument("--block", type=int, default=1024)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--deadline-ms", type=float, default=21.4, help="what the server may take for a step")
    asked = parser.parse_args()
    os.environ |= {
        "LV2_PATH": str(Path(asked.lv2).resolve()),
        "DEEPMUSIC_SERVER": asked.server,
        "DEEPMUSIC_STYLES": asked.style,
        "DEEPMUSIC_DEADLINE_MS": str(asked.deadline_ms),
        "JACK_NO_AUDIO_RESERVATION": "1",
        "JACK_DEFAULT_SERVER": "deepmusic",
    }
    dummy = ["jackd", "-n", "deepmusic", "-r", "-S", "-d", "dummy", "-r", str(RATE_HZ), "-p", str(asked.block)]
    with subprocess.Popen(dummy, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            client = client_of_server()
            # jalv reads commands, and runs in circles where there are none to wait for: it gets a pipe that stays open.
            with subprocess.Popen(["jalv", "-i", URI], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as host:
                try:
                    sent, heard, n_xruns = play(client, asked.seconds)
                finally:
                    host.kill()
        finally:
            server.terminate()
    is_dry = dry_samples(sent, heard)[len(heard) // 2 :]
    wet = 100 * (1 - is_dry.mean())
    print(f"{wet:.1f} % of the second half is styled, the rest is the delayed input; {n_xruns} xruns")


if __name__ == "__main__":
    main()
