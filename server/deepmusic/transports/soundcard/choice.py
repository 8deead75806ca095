"""Which kind of device a choice means."""

from __future__ import annotations

from deepmusic.errors import BadConfig
from deepmusic.transports.soundcard.clock_device import ClockDevice
from deepmusic.transports.soundcard.device import DeviceOpener, DeviceWish
from deepmusic.transports.soundcard.jack_device import JackDevice
from deepmusic.transports.soundcard.portaudio_device import PortAudioDevice


def opener_of(wish: DeviceWish) -> DeviceOpener:
    """What opens the device that is wished for.

    Raises:
        BadConfig: Input and output are of different kinds.
    """
    kinds = {_kind_of(choice) for choice in (wish.input, wish.output) if choice}
    if len(kinds) > 1:
        raise BadConfig(
            f"expected --input and --output of one kind, got {wish.input[:40]!r} and {wish.output[:40]!r}; "
            "take both from JACK, or both from the sound card"
        )
    if kinds:
        return kinds.pop()
    return JackDevice if JackDevice.is_running() else PortAudioDevice


def _kind_of(choice: str) -> DeviceOpener:
    if choice == "jack" or choice.startswith("jack:"):
        return JackDevice
    return ClockDevice if choice == "clock" else PortAudioDevice
