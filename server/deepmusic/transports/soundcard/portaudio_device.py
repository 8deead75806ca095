"""A sound card through PortAudio: ALSA, Core Audio, WASAPI, ASIO and what else it knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from deepmusic.audio import SUPPORTED_RATES_HZ
from deepmusic.errors import DeviceNotFound, DeviceUnavailable
from deepmusic.transports.soundcard.device import DeviceFacts, DeviceWish, OnCycle
from deepmusic.transports.soundcard.exchange import Port
from deepmusic.transports.soundcard.rings import Rings, Word

FALLBACK_RATE_HZ = 48000
"""Rate that is asked for where the device's own is one that no stream has."""


def portaudio() -> Any:
    """The module sounddevice, which loads PortAudio.

    Raises:
        DeviceUnavailable: PortAudio is not installed.
    """
    try:
        import sounddevice
    except OSError as error:
        raise DeviceUnavailable(
            "expected PortAudio, found none; install it (Debian: apt-get install libportaudio2)"
        ) from error
    return sounddevice


class PortAudioDevice:
    """One stream of PortAudio, in and out.

    Args:
        wish: Number or name of its device or devices.
        on_gone: [device] Called when PortAudio has ended the stream by itself.

    Raises:
        DeviceNotFound: There is no such device.
        DeviceUnavailable: It cannot be opened.
    """

    def __init__(self, wish: DeviceWish, on_gone: Callable[[], None]) -> None:
        self._module = portaudio()
        self._on_gone = on_gone
        self._on_cycle: OnCycle | None = None
        self._rings: Rings | None = None
        source = self._device(wish.input, "input")
        sink = self._device(wish.output or wish.input, "output")
        n_channels = wish.n_channels or min(2, source["max_input_channels"])
        n_outputs = max(n_channels, min(2, sink["max_output_channels"]))
        rate_hz = wish.sample_rate_hz or round(source["default_samplerate"])
        if rate_hz not in SUPPORTED_RATES_HZ:
            rate_hz = FALLBACK_RATE_HZ
        try:
            self._stream: Any = self._module.RawStream(
                device=(source["index"], sink["index"]),
                samplerate=rate_hz,
                blocksize=wish.period_samples,
                channels=(n_channels, n_outputs),
                dtype="float32",
                latency="low",
                callback=self._call,
                finished_callback=on_gone,
                prime_output_buffers_using_stream_callback=False,
            )
        except (self._module.PortAudioError, ValueError) as error:
            raise DeviceUnavailable(
                f"expected {source['name'][:60]!r} and {sink['name'][:60]!r} to open with {n_channels} channels at "
                f"{rate_hz} Hz, they do not; choose others, --channels or --rate (deepmusic live --list)"
            ) from error
        self._n_inputs, self._n_outputs = n_channels, n_outputs
        name = source["name"] if source["index"] == sink["index"] else f"{source['name']} and {sink['name']}"
        self.facts = DeviceFacts(
            name=name,
            sample_rate_hz=rate_hz,
            n_channels=n_channels,
            period_samples=wish.period_samples,
            input=self._full_name(source),
            output=self._full_name(sink),
        )

    def start(self, on_cycle: OnCycle, rings: Rings) -> None:
        """Starts the stream."""
        self._on_cycle, self._rings = on_cycle, rings
        try:
            self._stream.start()
        except self._module.PortAudioError as error:
            raise DeviceUnavailable(
                f"expected {self.facts.name[:60]!r} to start, it does not; is it in use?"
            ) from error
        seconds_in, seconds_out = self._stream.latency
        rings[Word.DEVICE_INPUT] = round(seconds_in * self.facts.sample_rate_hz)
        rings[Word.DEVICE_OUTPUT] = round(seconds_out * self.facts.sample_rate_hz)

    def close(self) -> None:
        """Closes the stream."""
        self._stream.close()

    def _call(self, indata: Any, outdata: Any, n_samples: int, time: Any, status: Any) -> None:
        """[device] One cycle."""
        assert self._on_cycle is not None
        assert self._rings is not None
        if status.input_overflow or status.output_underflow:
            self._rings[Word.XRUNS] += 1
        self._on_cycle(_columns(indata, self._n_inputs), _columns(outdata, self._n_outputs))

    def _full_name(self, device: dict[str, Any]) -> str:
        return f"{device['name']}, {self._module.query_hostapis(device['hostapi'])['name']}"

    def _device(self, choice: str, kind: str) -> dict[str, Any]:
        wanted: int | str | None = int(choice) if choice.isdecimal() else choice or None
        try:
            return dict(self._module.query_devices(wanted, kind))
        except (ValueError, self._module.PortAudioError) as error:
            named = f"no {kind} device is {choice[:60]!r}" if choice else f"there is no default {kind} device"
            raise DeviceNotFound(
                f"{named}; deepmusic live --list shows those that there are", resource=choice[:60]
            ) from error


def _columns(buffer: Any, n_channels: int) -> list[Port]:
    samples = np.frombuffer(buffer, np.float32).reshape(-1, n_channels)
    return [samples[:, channel] for channel in range(n_channels)]
