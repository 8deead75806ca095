"""A client of the JACK server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from deepmusic.errors import DeviceNotFound, DeviceUnavailable
from deepmusic.transports.soundcard.device import DeviceFacts, DeviceWish, OnCycle
from deepmusic.transports.soundcard.exchange import Port
from deepmusic.transports.soundcard.jack_library import (
    AUDIO_TYPE,
    CAPTURE,
    IS_INPUT,
    IS_OUTPUT,
    IS_PHYSICAL,
    NO_START_SERVER,
    ffi,
    jack_library,
)
from deepmusic.transports.soundcard.rings import Rings, Word

MAX_NAME_BYTES = 60
"""Of a client's name: JACK takes 63, and adds three where the name is taken. Of a longer one it says nothing but no."""

N_CHANNELS = 2
"""Channels where nobody asked for another number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JackClient:
    """Another client of the server."""

    name: str
    """What stands before the colon in its ports' names."""
    n_sources: int
    """Ports that sound comes out of."""
    n_sinks: int
    """Ports that sound goes into."""
    is_physical: bool
    """Whether its ports are those of a sound card."""


class JackDevice:
    """A client with an input and an output a channel.

    Args:
        wish: ``jack`` connects to the sound card's ports, ``jack:CLIENT`` to another client's, ``jack:`` to none.
        on_gone: [device] Called when the server has ended or has thrown the client out.

    Raises:
        DeviceNotFound: There is no such client.
        DeviceUnavailable: No server runs.
    """

    def __init__(self, wish: DeviceWish, on_gone: Callable[[], None]) -> None:
        self._library = jack_library()
        self._wish = wish
        self._on_gone = on_gone
        self._callbacks: list[Any] = []  # C holds only their addresses
        self._rings: Rings | None = None
        status: Any = ffi.new("int *")
        name = wish.client_name.encode()[:MAX_NAME_BYTES].decode(errors="ignore").encode()  # no half characters
        self._client: Any = self._library.jack_client_open(name, NO_START_SERVER, status)
        if self._client == ffi.NULL:
            raise DeviceUnavailable(
                "expected a JACK server, found none that runs; start jackd, or choose another --input"
            )
        n_channels = wish.n_channels or N_CHANNELS
        self._inputs = [self._port(f"in_{1 + c}", IS_INPUT) for c in range(n_channels)]
        self._outputs = [self._port(f"out_{1 + c}", IS_OUTPUT) for c in range(n_channels)]
        self._sources = self._ports_of(wish.input, IS_OUTPUT)
        self._sinks = self._ports_of(wish.output or wish.input, IS_INPUT)
        self.facts = DeviceFacts(
            name=f"JACK client {ffi.string(self._library.jack_get_client_name(self._client)).decode()}",
            sample_rate_hz=self._library.jack_get_sample_rate(self._client),
            n_channels=n_channels,
            period_samples=self._library.jack_get_buffer_size(self._client),
            input=wish.input or "jack",
            output=wish.output or wish.input or "jack",
        )

    @classmethod
    def is_running(cls) -> bool:
        """Whether there is a server to be a client of."""
        try:
            cls(DeviceWish(input="jack:", client_name="deepmusic-look"), lambda: None).close()
        except DeviceUnavailable:
            return False
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self, on_cycle: OnCycle, rings: Rings) -> None:
        """Takes part in every cycle from now on."""
        library, inputs, outputs = self._library, self._inputs, self._outputs
        self._rings = rings

        def arrays(ports: list[Any], n_samples: int) -> list[Port]:
            return [
                np.frombuffer(ffi.buffer(library.jack_port_get_buffer(port, n_samples), 4 * n_samples), np.float32)
                for port in ports
            ]

        def process(n_samples: int, _: object) -> int:
            on_cycle(arrays(inputs, n_samples), arrays(outputs, n_samples))
            return 0

        def shutdown(_: object) -> None:
            self._on_gone()

        def xrun(_: object) -> int:
            rings[Word.XRUNS] += 1
            return 0

        set_callback = {
            "jack_set_process_callback": ("int(jack_nframes_t, void *)", process),
            "jack_set_xrun_callback": ("int(void *)", xrun),
            "jack_set_latency_callback": ("void(int, void *)", self._pass_latency_on),
            "jack_on_shutdown": ("void(void *)", shutdown),
        }
        for setter, (signature, function) in set_callback.items():
            self._callbacks.append(ffi.callback(signature, function))
            getattr(library, setter)(self._client, self._callbacks[-1], ffi.NULL)
        if library.jack_activate(self._client):
            raise DeviceUnavailable("expected JACK to take a client on, it did not; look at the server's messages")
        for source, port in zip(self._sources, inputs, strict=False):
            library.jack_connect(self._client, source, library.jack_port_name(port))
        for port, sink in zip(outputs, self._sinks, strict=False):
            library.jack_connect(self._client, library.jack_port_name(port), sink)

    def close(self) -> None:
        """Leaves the server."""
        if self._client is not None:
            self._library.jack_client_close(self._client)
            self._client = None

    def clients(self) -> list[JackClient]:
        """The other clients that have ports for audio, by name, sound cards first."""
        sources, sinks = (Counter(map(_client_of, self._named(flags))) for flags in (IS_OUTPUT, IS_INPUT))
        cards = set(map(_client_of, self._named(IS_PHYSICAL)))
        names = sorted(set(sources) | set(sinks), key=lambda name: (name not in cards, name))
        return [
            JackClient(name=name, n_sources=sources[name], n_sinks=sinks[name], is_physical=name in cards)
            for name in names
        ]

    def _port(self, name: str, flags: int) -> Any:
        port = self._library.jack_port_register(self._client, name.encode(), AUDIO_TYPE, flags, 0)
        if port == ffi.NULL:
            self.close()
            raise DeviceUnavailable(f"expected JACK to give a port {name}, it did not; its ports may have run out")
        return port

    def _ports_of(self, choice: str, flags: int) -> list[bytes]:
        """Names of the ports to connect to, in order."""
        client = choice.partition(":")[2]
        if choice == "jack" or not choice:
            return self._named(flags | IS_PHYSICAL)
        if not client:
            return []
        found = [name for name in self._named(flags) if _client_of(name) == client]
        if not found:
            names = ", ".join(sorted(set(map(_client_of, self._named(flags))))) or "none"
            self.close()
            raise DeviceNotFound(f"no JACK client {client!r} has such ports; there are: {names}", resource=client)
        return found

    def _named(self, flags: int) -> list[bytes]:
        """Names of the others' ports for audio that have all of these flags."""
        names: Any = self._library.jack_get_ports(self._client, ffi.NULL, AUDIO_TYPE, flags)
        if names == ffi.NULL:
            return []
        found: list[bytes] = []
        while names[len(found)] != ffi.NULL:
            found.append(ffi.string(names[len(found)]))
        self._library.jack_free(names)
        own = ffi.string(self._library.jack_get_client_name(self._client)).decode()
        return [name for name in found if _client_of(name) != own]

    def _pass_latency_on(self, mode: int, _: object) -> None:
        """[device] Tells JACK what comes out how late after it came in: both ends of the graph count through us."""
        assert self._rings is not None
        near, far = (self._inputs, self._outputs) if mode == CAPTURE else (self._outputs, self._inputs)
        delay = self._rings[Word.LATENCY] + self._rings[Word.CUSHION]
        latency: Any = ffi.new("jack_latency_range_t *")
        lowest, highest = 0, 0
        for index, port in enumerate(near):
            self._library.jack_port_get_latency_range(port, mode, latency)
            lowest = latency.min if index == 0 else min(lowest, latency.min)
            highest = max(highest, latency.max)
        self._rings[Word.DEVICE_INPUT if mode == CAPTURE else Word.DEVICE_OUTPUT] = highest
        latency.min, latency.max = lowest + delay, highest + delay
        for port in far:
            self._library.jack_port_set_latency_range(port, mode, latency)


def _client_of(port: bytes) -> str:
    return port.decode().rpartition(":")[0]
