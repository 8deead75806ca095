"""A real MIDI port, on JACK's dummy driver: no sound card is needed."""

from __future__ import annotations

import asyncio
import os
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import rtmidi

from deepmusic.errors import BadConfig
from deepmusic.stage.performer import Performer
from deepmusic.stage.set_list import MidiMap, parse_set
from deepmusic.transports.midi import pedalboard
from deepmusic.transports.midi import port as port_module
from deepmusic.transports.midi.port import MidiInput
from tests.midi.test_pedalboard import CUES
from tests.stage.streams import FakeStream

PATIENCE_S = 30.0
BPM = 150.0


class Streams:
    def __init__(self) -> None:
        self.stream = FakeStream()

    def running(self) -> tuple[FakeStream, ...]:
        return (self.stream,)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 (another program's state has no event)
            await asyncio.sleep(0.02)


@pytest.fixture
async def pedal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """A port that the test plays on, of a JACK server of its own."""
    name = f"deepmusic-{os.getpid()}"
    monkeypatch.setenv("JACK_DEFAULT_SERVER", name)
    monkeypatch.setenv("JACK_NO_START_SERVER", "1")
    command = ["jackd", "-n", name, "-r", "-d", "dummy", "-r", "48000", "-p", "256"]
    with (tmp_path / "jackd.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: ASYNC220
    try:
        opened: list[Any] = []

        def is_there() -> bool:
            try:
                opened.append(rtmidi.MidiOut(rtmidi.API_UNIX_JACK, name="pedal"))
            except rtmidi.SystemError:
                assert server.poll() is None, (tmp_path / "jackd.log").read_text()
            return bool(opened)

        await until(is_there)
        opened[0].open_virtual_port("out")
        yield opened[0]
        opened[0].close_port()
        opened[0].delete()
    finally:
        server.terminate()
        server.wait()


async def test_a_foot_switch_and_a_clock_are_heard_through_a_real_port(pedal: Any):
    streams = Streams()
    performer = Performer(streams, parse_set(CUES), time.monotonic())
    midi = MidiInput(performer, MidiMap())
    assert await midi.start("PEDAL") == "pedal:out"
    pedal.send_message([0xB0, 64, 127])
    await until(lambda: streams.stream.offered)
    assert performer.cues.number == 1
    start_s = time.monotonic()
    for n in range(24 * 4 + 1):
        await asyncio.sleep(start_s + n * 60.0 / BPM / 24 - time.monotonic())
        pedal.send_message([0xF8])
    await until(lambda: abs(performer.metronome.tempo.bpm - BPM) < 10.0)
    print(f"a clock of {BPM:g} beats per minute is followed as {performer.metronome.tempo.bpm:.2f}")
    await midi.stop()


async def test_a_port_is_let_go_while_messages_pour_in(pedal: Any):
    """With a callback in Python a cancelled thread of JACK's took the interpreter's lock along."""
    done = threading.Event()

    def pour() -> None:
        while not done.wait(0.0002):
            pedal.send_message([0xF8])

    pouring = threading.Thread(target=pour, daemon=True)
    pouring.start()
    try:
        for _ in range(20):
            midi = MidiInput(Performer(Streams(), parse_set(CUES), time.monotonic()), MidiMap())
            await midi.start("pedal")
            await asyncio.sleep(0.03)
            await midi.stop()
    finally:
        done.set()
        pouring.join()


async def test_a_foot_switch_that_was_pulled_out_is_heard_again(pedal: Any, caplog: pytest.LogCaptureFixture):
    streams = Streams()
    performer = Performer(streams, parse_set(CUES), time.monotonic())
    midi = MidiInput(performer, MidiMap())
    await midi.start("pedal")
    pedal.send_message([0xB0, 64, 127])  # and the cable goes before the foot does
    await until(lambda: performer.cues.number == 1)
    pedal.close_port()
    await until(lambda: "has gone" in caplog.text)
    again = rtmidi.MidiOut(rtmidi.API_UNIX_JACK, name="pedal")
    again.open_virtual_port("out")
    await until(lambda: "is there again" in caplog.text)
    again.send_message([0xB0, 64, 127])
    await until(lambda: performer.cues.number == 2)
    await midi.stop()
    again.close_port()
    again.delete()


async def test_a_port_that_is_not_there_is_said_with_those_that_are(pedal: Any):
    midi = MidiInput(Performer(Streams(), parse_set(CUES), 0.0), MidiMap())
    with pytest.raises(BadConfig, match="'kazoo' in its name, there are: pedal:out"):
        await midi.start("kazoo")
    await midi.stop()


async def test_without_the_library_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch):
    def missing(_: str) -> None:
        raise ImportError

    monkeypatch.setattr(port_module.importlib, "import_module", missing)
    midi = MidiInput(Performer(Streams(), parse_set(CUES), 0.0), MidiMap())
    with pytest.raises(BadConfig, match=r"in the folder of deepmusic's source: pip install '\.\[midi\]'"):
        await midi.start("pedal")
    await midi.stop()


class Cable:
    """A port of a driver that is a fake; it may come loose between the look at its name and its opening."""

    API, SystemError = 1, OSError

    def __init__(self) -> None:
        self.names = ["pedal"]
        self.messages: list[tuple[list[int], float]] = []
        self.n_loose = self.n_open = 0

    def get_compiled_api(self) -> list[int]:
        return [self.API]

    def MidiIn(self, api: int, name: str, queue_size_limit: int) -> Cable:  # noqa: N802 (rtmidi's name)
        self.n_open += 1
        return self

    def get_ports(self) -> list[str]:
        return self.names

    def open_port(self, number: int, name: str) -> None:
        if self.n_loose:
            self.n_loose -= 1
            raise RuntimeError("no such port")

    def get_message(self) -> tuple[list[int], float] | None:
        return self.messages.pop(0) if self.messages else None

    def delete(self) -> None:
        self.n_open -= 1

    def _nothing(self, *_: object, **__: object) -> None:
        pass

    ignore_types = close_port = _nothing


async def test_a_cable_that_comes_loose_while_its_port_is_opened_is_looked_for_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    cable = Cable()
    monkeypatch.setattr(port_module.importlib, "import_module", lambda _: cable)
    monkeypatch.setattr(port_module, "LOOK_S", 0.001)
    midi = MidiInput(Performer(Streams(), parse_set(CUES), 0.0), MidiMap())
    await midi.start("pedal")
    cable.names, cable.n_loose = [], 3
    await until(lambda: "has gone" in caplog.text)
    cable.names = ["pedal"]
    await until(lambda: "is there again" in caplog.text)
    assert cable.n_open == 1
    await midi.stop()


async def test_a_message_that_fails_does_not_keep_the_next_from_being_heard(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    cable = Cable()
    monkeypatch.setattr(port_module.importlib, "import_module", lambda _: cable)
    performer = Performer(Streams(), parse_set(CUES), time.monotonic())
    midi = MidiInput(performer, MidiMap())
    await midi.start("pedal")
    with monkeypatch.context() as patch:
        patch.setattr(pedalboard, "read_message", lambda _: 1 / 0)
        cable.messages = [([0xB0, 64, 127], 0.0)]
        await until(lambda: "a MIDI message failed" in caplog.text)
    cable.messages = [([0xB0, 64, 127], 0.01)]
    await until(lambda: performer.cues.number == 1)
    await midi.stop()
