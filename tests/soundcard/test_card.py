"""A sound card from the live process's side: a real audio process, with the clock as its device."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from deepmusic.audio import Audio
from deepmusic.errors import BadConfig, DeepmusicError, DeviceNotFound, DeviceUnavailable
from deepmusic.transports.soundcard.card import CardTerms, SoundCard
from deepmusic.transports.soundcard.clock_device import PERIOD_SAMPLES
from deepmusic.transports.soundcard.cycle import Cycle
from deepmusic.transports.soundcard.device import DeviceFacts, DeviceWish
from deepmusic.transports.soundcard.jack_device import JackDevice
from tests.soundcard.jack_server import jack_server

PATIENCE_S = 20.0
"""Only a hang takes as long."""


class Listener:
    """Answers every block with itself, and keeps what it hears."""

    def __init__(self, cushion_samples: int = 4 * PERIOD_SAMPLES) -> None:
        self.terms = CardTerms(latency_samples=0, cushion_samples=cushion_samples)
        self.card: SoundCard | None = None
        self.facts: list[DeviceFacts] = []
        self.cycles: list[Cycle] = []
        self.blocks: list[Audio] = []
        self.errors: list[DeepmusicError] = []
        self.wanted = 0
        self.has_wanted = threading.Event()

    def opened(self, facts: DeviceFacts) -> CardTerms:
        self.facts.append(facts)
        return self.terms

    def take(self, block: Audio, cycle: Cycle) -> None:
        self.cycles.append(cycle)
        self.blocks.append(block)
        assert self.card is not None
        self.card.play(block, cycle.first_sample)
        if len(self.cycles) >= self.wanted:
            self.has_wanted.set()

    def gone(self, error: DeepmusicError) -> None:
        self.errors.append(error)

    def wait_for_cycles(self, n_more: int) -> None:
        self.has_wanted.clear()
        self.wanted = len(self.cycles) + n_more
        assert self.has_wanted.wait(PATIENCE_S)


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    listener.card = SoundCard(DeviceWish(input="clock", n_channels=2), listener)
    listener.card.start()
    yield listener
    listener.card.stop()


def pid_of(card: SoundCard) -> int:
    assert card._process is not None
    return card._process.pid


def test_blocks_come_in_order_without_gaps_and_what_they_are_told_is_what_the_device_is(listener: Listener):
    listener.wait_for_cycles(50)
    facts = listener.facts[0]
    assert (facts.name, facts.sample_rate_hz, facts.n_channels, facts.period_samples) == ("clock", 48000, 2, 256)
    cycles = listener.cycles[:50]
    assert [cycle.first_sample for cycle in cycles] == [index * PERIOD_SAMPLES for index in range(50)]
    assert all(block.shape == (2, PERIOD_SAMPLES) for block in listener.blocks)
    assert all(earlier.began_ns < later.began_ns for earlier, later in itertools.pairwise(cycles))
    np.testing.assert_array_equal(listener.blocks[0], listener.blocks[8])  # the clock repeats its noise


def test_an_audio_process_that_dies_is_replaced_and_the_stream_goes_on_where_it_was(listener: Listener):
    assert listener.card is not None
    listener.wait_for_cycles(5)
    os.kill(pid_of(listener.card), 9)
    n_before = len(listener.facts)
    while len(listener.facts) == n_before:
        listener.wait_for_cycles(1)
    listener.wait_for_cycles(5)
    assert listener.errors
    firsts = [cycle.first_sample for cycle in listener.cycles]
    assert firsts == [index * PERIOD_SAMPLES for index in range(len(firsts))]


def test_a_live_process_that_hangs_holds_no_cycle_up_and_loses_no_sample():
    """The stream's side is busy for half a second of Python; the device is asked for nothing meanwhile, and goes on."""

    class Busy(Listener):
        def take(self, block: Audio, cycle: Cycle) -> None:
            super().take(block, cycle)
            if len(self.cycles) == 10:
                ends_ns = cycle.began_ns + 500_000_000
                while time.monotonic_ns() < ends_ns:
                    pass

    listener = Busy()
    listener.card = SoundCard(DeviceWish(input="clock"), listener)
    listener.card.start()
    listener.wait_for_cycles(200)
    listener.card.stop()
    cycles = listener.cycles[:200]
    assert [cycle.first_sample for cycle in cycles] == [index * PERIOD_SAMPLES for index in range(200)]
    during = [cycle for cycle in cycles if 0 < cycle.began_ns - cycles[9].began_ns < 450_000_000]
    assert len(during) >= 60  # of 84 that are due
    assert any(cycle.is_starved for cycle in during)  # the delayed input was played


def test_cycles_longer_than_the_cushion_make_the_device_open_anew():
    listener = Listener(cushion_samples=PERIOD_SAMPLES - 1)
    listener.card = SoundCard(DeviceWish(input="clock"), listener)
    listener.card.start()
    listener.wait_for_cycles(1)
    listener.terms = CardTerms(latency_samples=0, cushion_samples=PERIOD_SAMPLES)
    listener.wait_for_cycles(20)
    listener.card.stop()
    assert len(listener.facts) >= 2


def test_after_the_end_no_process_and_no_memory_are_left(listener: Listener):
    assert listener.card is not None
    listener.wait_for_cycles(1)
    process, path = listener.card._process, listener.card._rings.path
    assert process is not None
    assert path.exists()
    listener.card.stop()
    assert process.returncode == 0
    assert not path.exists()


@pytest.mark.parametrize(
    ("wish", "error", "words"),
    [
        (DeviceWish(input="jack", output="0"), BadConfig, "of one kind"),
        (DeviceWish(input="no such card"), (DeviceNotFound, DeviceUnavailable), "--list|libportaudio2"),
    ],
)
def test_a_device_that_cannot_be_opened_is_refused_in_our_words(
    wish: DeviceWish, error: type[DeepmusicError], words: str
):
    card = SoundCard(wish, Listener())
    with pytest.raises(error, match=words):
        card.start()
    assert not card._rings.path.exists()


@pytest.mark.parametrize(
    ("numbers", "flag"),
    [
        ({"period_samples": -5}, "--period"),
        ({"period_samples": 10_000_000}, "--period"),
        ({"sample_rate_hz": 44_000}, "--rate"),  # PortAudio would be asked for 48000 Hz instead
        ({"n_channels": 9}, "--channels"),
        ({"n_channels": -1}, "--channels"),
    ],
)
def test_a_number_that_no_device_has_is_refused_before_one_is_opened(numbers: dict[str, int], flag: str):
    with pytest.raises(BadConfig, match=flag):
        DeviceWish(**numbers)  # type: ignore[arg-type]


def test_a_name_that_is_too_long_for_jack_is_cut_and_taken_twice():
    name = "Гитара соло, вторая песня большого вечера"
    with jack_server(period_samples=256), JackDevice(DeviceWish(input="jack:", client_name=name), print) as one:
        assert one.facts.name == f"JACK client {name[:32]}"
        with JackDevice(DeviceWish(input="jack:", client_name=name), print) as another:
            assert another.facts.name == f"JACK client {name[:32]}-01"


def test_without_a_jack_server_one_is_asked_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("JACK_DEFAULT_SERVER", "a-server-that-nobody-has-started")
    with pytest.raises(DeviceUnavailable, match=r"start jackd|apt-get install jackd2"):
        SoundCard(DeviceWish(input="jack"), Listener()).start()
