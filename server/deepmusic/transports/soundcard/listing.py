"""The devices of this machine.

They are looked for in a process of their own: PortAudio and JACK are C code that talks to stderr, takes its time, and
now and then takes its process with it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from deepmusic.errors import DeviceUnavailable
from deepmusic.transports.soundcard.device import DeviceWish
from deepmusic.transports.soundcard.jack_device import JackDevice
from deepmusic.transports.soundcard.portaudio_device import portaudio

LOOK_S = 20.0
"""Longest time that a look may take; some ALSA plug-ins wait for a network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceListing:
    """A device as it is listed."""

    choice: str
    """What to give to ``--input`` and ``--output``."""
    api: str
    """Through what it is reached."""
    name: str
    """For people."""
    n_inputs: int
    """Channels that can come in."""
    n_outputs: int
    """Channels that can go out."""
    sample_rate_hz: int
    """Its own rate."""
    is_default: bool
    """Whether it is taken where nothing is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What was found."""

    devices: tuple[DeviceListing, ...]
    """JACK clients first, then PortAudio's devices."""
    notes: tuple[str, ...]
    """Why something could not be looked for."""


def list_devices() -> Listing:
    """Looks for devices.

    Raises:
        DeviceUnavailable: The look itself broke off.
    """
    try:
        look = subprocess.run(
            [sys.executable, "-m", "deepmusic.transports.soundcard.listing"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=LOOK_S,
            check=True,
        )
        found: Any = json.loads(look.stdout.splitlines()[-1])
    except (subprocess.SubprocessError, ValueError, IndexError) as error:
        raise DeviceUnavailable("expected a list of devices, a library broke off; look at the sound drivers") from error
    return Listing(devices=tuple(DeviceListing(**device) for device in found["devices"]), notes=tuple(found["notes"]))


def look() -> Listing:
    """Looks for devices in this process."""
    devices: list[DeviceListing] = []
    notes: list[str] = []
    for kind in (_jack_clients, _portaudio_devices):
        try:
            devices += kind(is_first=not devices)
        except DeviceUnavailable as error:
            notes.append(error.message)
    return Listing(devices=tuple(devices), notes=tuple(notes))


def _jack_clients(*, is_first: bool) -> Iterator[DeviceListing]:
    with JackDevice(DeviceWish(input="jack:", client_name="deepmusic-look"), lambda: None) as jack:
        for client in jack.clients():
            yield DeviceListing(
                choice="jack" if client.is_physical else f"jack:{client.name}",
                api="JACK",
                name=f"{client.name}, the sound card" if client.is_physical else client.name,
                n_inputs=client.n_sources,
                n_outputs=client.n_sinks,
                sample_rate_hz=jack.facts.sample_rate_hz,
                is_default=is_first and client.is_physical,
            )


def _portaudio_devices(*, is_first: bool) -> Iterator[DeviceListing]:
    module = portaudio()
    apis: Any = module.query_hostapis()
    defaults = {number for number in module.default.device if number >= 0}
    for device in module.query_devices():
        yield DeviceListing(
            choice=str(device["index"]),
            api=apis[device["hostapi"]]["name"],
            name=device["name"],
            n_inputs=device["max_input_channels"],
            n_outputs=device["max_output_channels"],
            sample_rate_hz=round(device["default_samplerate"]),
            is_default=is_first and device["index"] in defaults,
        )


if __name__ == "__main__":
    print(json.dumps(asdict(look())))  # noqa: T201 (what this process is for)
