"""What every kind of device has in common, within the audio process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from deepmusic.audio import MAX_CHANNELS, SUPPORTED_RATES_HZ
from deepmusic.errors import BadConfig
from deepmusic.transports.soundcard.exchange import Port
from deepmusic.transports.soundcard.rings import Rings

OnCycle = Callable[[Sequence[Port], Sequence[Port]], None]
"""[device] Carries a cycle out: the ports of its inputs, the ports of its outputs."""


LONGEST_PERIOD_SAMPLES = 8192
"""Of a cycle: JACK's own limit, and nothing that anybody plays with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceWish:
    """Which device, and how it is to be opened.

    Raises:
        BadConfig: A number is one that no device has.
    """

    input: str = ""
    """As ``docs/live.md`` has it: ``jack``, ``jack:CLIENT``, ``clock``, or a number or name of PortAudio's; empty for
    the JACK server if one runs, else PortAudio's default."""
    output: str = ""
    """The same; empty for the input's counterpart."""
    n_channels: int = 0
    """Channels of the stream, 1 to 8; 0 for two, or one where the device has no more."""
    sample_rate_hz: int = 0
    """Rate for PortAudio, one of ``SUPPORTED_RATES_HZ``; 0 for the device's own. JACK and its clients share one."""
    period_samples: int = 0
    """Samples of a cycle for PortAudio, 1 to 8192; 0 for what suits the device. JACK's clients share one."""
    client_name: str = "deepmusic"
    """Name as a JACK client."""

    def __post_init__(self) -> None:
        if not 0 <= self.n_channels <= MAX_CHANNELS:
            raise BadConfig(f"expected 1 to {MAX_CHANNELS} channels, got {self.n_channels}; see --channels")
        if self.sample_rate_hz and self.sample_rate_hz not in SUPPORTED_RATES_HZ:
            rates = ", ".join(map(str, SUPPORTED_RATES_HZ))
            raise BadConfig(f"expected a rate of {rates} Hz, got {self.sample_rate_hz}; see --rate")
        if not 0 <= self.period_samples <= LONGEST_PERIOD_SAMPLES:
            raise BadConfig(
                f"expected a cycle of 1 to {LONGEST_PERIOD_SAMPLES} samples, got {self.period_samples}; see --period"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFacts:
    """What a device turned out to be, once it is open."""

    name: str
    """For people."""
    sample_rate_hz: int
    """Its rate."""
    n_channels: int
    """Channels of the stream."""
    period_samples: int
    """Samples of a cycle; 0 where that is known only when it runs."""
    input: str
    """What to wish for to get the same input again: numbers of devices move when one is unplugged, names stay."""
    output: str
    """The same for the output."""


class OpenDevice(Protocol):
    """A device that is open and does not run yet."""

    @property
    def facts(self) -> DeviceFacts:
        """What it is."""
        ...

    def start(self, on_cycle: OnCycle, rings: Rings) -> None:
        """Runs it: from now on ``on_cycle`` is called on a thread of the device."""
        ...

    def close(self) -> None:
        """Stops it and gives it back."""
        ...


class DeviceOpener(Protocol):
    """Opens a kind of device."""

    def __call__(self, wish: DeviceWish, on_gone: Callable[[], None]) -> OpenDevice:
        """Opens a device.

        Args:
            wish: Which.
            on_gone: [device] Called when it has vanished.

        Raises:
            DeviceNotFound: There is none of that name.
            DeviceUnavailable: It cannot be opened.
        """
        ...
