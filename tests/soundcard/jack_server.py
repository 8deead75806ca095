"""A JACK server with the dummy driver, and a client of the test that plays a signal in and records what comes out."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from deepmusic.audio import Audio
from deepmusic.transports.soundcard.jack_library import (
    AUDIO_TYPE,
    IS_INPUT,
    IS_OUTPUT,
    NO_START_SERVER,
    ffi,
    jack_library,
)

RATE_HZ = 48000
PATIENCE_S = 20.0
"""Only a hang takes as long."""


@dataclass(eq=False, kw_only=True)
class JackServer:
    """A server of its own name, so that nobody else's is met."""

    name: str
    period_samples: int
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it; returns once clients are taken on."""
        assert shutil.which("jackd"), "expected jackd; scripts/test installs it (Debian: jackd2)"
        scheduling = ["-R", "-P", "10"] if can_have_realtime() else ["-r"]
        driver = ["-d", "dummy", "-r", str(RATE_HZ), "-p", str(self.period_samples)]
        command = ["jackd", *scheduling, "-n", self.name, *driver]
        self.process = subprocess.Popen(
            command,
            env={**os.environ, "JACK_NO_AUDIO_RESERVATION": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for(self.is_there, "the JACK server")

    def is_there(self) -> bool:
        """Whether it takes clients on."""
        library = jack_library()
        client: Any = library.jack_client_open(b"test-look", NO_START_SERVER, ffi.new("int *"))
        if client == ffi.NULL:
            return False
        library.jack_client_close(client)
        return True

    def kill(self) -> None:
        """Ends it as a cable that is pulled does. JACK keeps the name of a server that was killed, and has room for
        eight: one of the same name must be started again.
        """
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ends it in good order."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(PATIENCE_S)
            self.process = None


def can_have_realtime() -> bool:
    """Whether the system gives real-time scheduling to this user."""
    look = "from deepmusic.transports.soundcard.priority import *; print(take_realtime(LIVE_PRIORITY))"
    return subprocess.run([sys.executable, "-c", look], stdout=subprocess.PIPE, check=True).stdout == b"True\n"


@contextlib.contextmanager
def jack_server(period_samples: int) -> Iterator[JackServer]:
    """A server that everything in this process and below it meets, and nothing else."""
    name = f"deepmusic-test-{os.getpid()}"
    before = os.environ.get("JACK_DEFAULT_SERVER")
    os.environ["JACK_DEFAULT_SERVER"] = name
    server = JackServer(name=name, period_samples=period_samples)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        if before is None:
            del os.environ["JACK_DEFAULT_SERVER"]
        else:
            os.environ["JACK_DEFAULT_SERVER"] = before


def wait_for(holds: Callable[[], bool], what: str) -> None:
    """Looks again and again."""
    ends_s = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < ends_s, f"waited {PATIENCE_S} s for {what}"
        threading.Event().wait(0.02)


class Patch:
    """Two clients of the test: one plays, one records, both in step, with whoever is tested between them.

    They are two so that the graph has no loop: JACK delays a loop by a period.

    Args:
        signal: float32 ``(channels, samples)``, played once.
        n_more: Samples that are recorded beyond it.
    """

    def __init__(self, signal: Audio, n_more: int) -> None:
        self._library = jack_library()
        n_channels = signal.shape[0]
        self._signal = signal
        self.recorded: Audio = np.zeros((n_channels, signal.shape[1] + n_more), np.float32)
        self.is_over = threading.Event()
        self._began: int | None = None
        self._is_on = False
        self._handles: list[Any] = []  # C holds only their addresses
        self._player, self._sources = self._client(b"test-player", IS_OUTPUT, self._play)
        self._recorder, self._sinks = self._client(b"test-recorder", IS_INPUT, self._record)
        for client in (self._player, self._recorder):
            assert self._library.jack_activate(client) == 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for client in (self._player, self._recorder):
            self._library.jack_client_close(client)

    def connect(self, inputs: list[str], outputs: list[str]) -> None:
        """Puts somebody between player and recorder: the signal begins with the next cycle."""

        def is_connected() -> bool:
            pairs = [(self._name(source), port.encode()) for source, port in zip(self._sources, inputs, strict=True)]
            pairs += [(port.encode(), self._name(sink)) for port, sink in zip(outputs, self._sinks, strict=True)]
            return all(self._library.jack_connect(self._player, *pair) in (0, 17) for pair in pairs)

        wait_for(is_connected, f"the ports {inputs} and {outputs}")
        self._is_on = True

    def total_latency(self, port: str, *, is_input: bool) -> int:
        """What JACK says of a port of somebody: since capture of an output, until playback of an input."""
        latency: Any = ffi.new("jack_latency_range_t *")
        found = self._library.jack_port_by_name(self._player, port.encode())
        assert found != ffi.NULL, port
        self._library.jack_port_get_latency_range(found, int(is_input), latency)
        return int(latency.max)

    def wait(self) -> None:
        """Until everything has been recorded."""
        assert self.is_over.wait(PATIENCE_S + self.recorded.shape[1] / RATE_HZ)

    def _client(self, name: bytes, flags: int, process: Callable[[int], None]) -> tuple[Any, list[Any]]:
        client: Any = self._library.jack_client_open(name, NO_START_SERVER, ffi.new("int *"))
        assert client != ffi.NULL
        ports = [
            self._library.jack_port_register(client, b"%d" % channel, AUDIO_TYPE, flags, 0)
            for channel in range(self._signal.shape[0])
        ]

        def callback(n_samples: int, _: object) -> int:
            process(n_samples)
            return 0

        handle = ffi.callback("int(jack_nframes_t, void *)", callback)
        self._handles.append(handle)
        self._library.jack_set_process_callback(client, handle, ffi.NULL)
        return client, ports

    def _name(self, port: Any) -> bytes:
        return ffi.string(self._library.jack_port_name(port))

    def _play(self, n_samples: int) -> None:
        now = self._library.jack_last_frame_time(self._player)
        if self._is_on and self._began is None:
            self._began = now
        for port, channel in zip(self._sources, self._signal, strict=True):
            buffer = self._array(port, n_samples)
            buffer[:] = 0.0
            if self._began is not None:
                piece = channel[now - self._began : now - self._began + n_samples]
                buffer[: len(piece)] = piece

    def _record(self, n_samples: int) -> None:
        now = self._library.jack_last_frame_time(self._recorder)
        if self._began is None or self.is_over.is_set():
            return
        start = now - self._began
        for port, channel in zip(self._sinks, self.recorded, strict=True):
            place = channel[start : start + n_samples]
            place[:] = self._array(port, n_samples)[: len(place)]
        if start + n_samples >= self.recorded.shape[1]:
            self.is_over.set()

    def _array(self, port: Any, n_samples: int) -> Any:
        return np.frombuffer(ffi.buffer(self._library.jack_port_get_buffer(port, n_samples), 4 * n_samples), np.float32)


def delay_of(recorded: Audio, signal: Audio, *, piece_samples: int) -> list[int]:
    """By how many samples the pieces of a signal without repetition came later, of those that came exactly."""
    found: list[int] = []
    for start in range(0, signal.shape[1] - piece_samples + 1, piece_samples):
        piece = signal[0, start : start + piece_samples]
        found += [
            int(place) - start
            for place in np.flatnonzero(recorded[0] == piece[0])
            if np.array_equal(recorded[:, place : place + piece_samples], signal[:, start : start + piece_samples])
        ]
    return found
