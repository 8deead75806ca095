"""MIDI to beats and cues: bytes in, changes on streams out."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence

import pytest

from deepmusic.model.style_share import StyleShare
from deepmusic.model.style_vector import StyleVector
from deepmusic.session.events import Control
from deepmusic.stage.performer import Performer
from deepmusic.stage.set_list import MidiMap, parse_set
from deepmusic.stage.tempo import Quantise
from deepmusic.transports.midi.messages import (
    Continue,
    Controller,
    Program,
    SongPosition,
    Start,
    Stop,
    Tick,
    read_message,
)
from deepmusic.transports.midi.pedalboard import MAX_WAITING_CUES, Pedalboard
from tests.stage.streams import FakeStream

CUES = "".join(
    f'[[cue]]\nname = "{name}"\nparameters = {{ mix = {mix} }}\n' for name, mix in (("a", 0.1), ("b", 0.2), ("c", 0.3))
)
ON, OFF = bytes([0xB0, 64, 127]), bytes([0xB0, 64, 0])


class Stage:
    """A pedalboard, its set, and a stream."""

    def __init__(self, cues: str = CUES, switches: MidiMap | None = None) -> None:
        self.stream = FakeStream()
        self.performer = Performer(self, parse_set(cues), 100.0)
        self.board = Pedalboard(self.performer, switches or MidiMap(), lambda: 100.1)

    def running(self) -> tuple[FakeStream, ...]:
        return (self.stream,)

    async def hear(self, *messages: bytes) -> list[float]:
        """The values that the stream's mix was given since."""
        n_before = len(self.stream.offered)
        for message in messages:
            self.board.take(message, 100.0)
        playing = asyncio.create_task(self.board.run())
        async with asyncio.timeout(20):
            while not self.board._waiting.empty():  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.02)
        playing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await playing
        return [event.value for event in self.stream.offered[n_before:] if isinstance(event, Control)]


@pytest.mark.parametrize(
    ("data", "meaning"),
    [
        (b"\xf8", Tick()),
        (b"\xfa", Start()),
        (b"\xf2\x10\x01", SongPosition(sixteenths=144)),
        (b"\xb0\x40\x7f", Controller(channel=1, number=64, value=127)),
        (b"\xcf\x00", Program(channel=16, number=1)),
        (b"\x90\x40\x7f", None),
        (b"\xfb", Continue()),
        (b"\xfc", Stop()),
        (b"\xfe", None),
        (b"\xb0\x40", None),
        (b"\xb0\x40\xff", None),
        (b"\xf8\x00", None),
        (b"\x40", None),
        (b"", None),
    ],
)
def test_bytes_are_read(data: bytes, meaning: object):
    assert read_message(data) == meaning


async def test_a_foot_switch_steps_once_each_time_it_goes_on():
    stage = Stage()
    assert await stage.hear(ON) == [0.1]
    assert await stage.hear(ON, bytes([0xB5, 64, 100])) == []  # it says again that it is on
    assert await stage.hear(OFF, ON) == [0.2]
    assert await stage.hear(bytes([0xB0, 67, 64])) == [0.1]
    assert await stage.hear(bytes([0xB0, 1, 127])) == []


async def test_a_program_plays_the_cue_of_its_number():
    stage = Stage()
    assert await stage.hear(bytes([0xC3, 2])) == [0.3]
    assert await stage.hear(bytes([0xC3, 0])) == [0.1]


async def test_other_switches_and_one_channel_can_be_chosen():
    stage = Stage(switches=MidiMap(next=80, previous=81, channel=2))
    assert await stage.hear(ON, bytes([0xB1, 64, 127]), bytes([0xB0, 80, 127]), bytes([0xC0, 1])) == []
    assert await stage.hear(bytes([0xB1, 80, 127])) == [0.1]


async def test_beyond_the_end_nothing_happens_and_the_log_says_why(caplog: pytest.LogCaptureFixture):
    stage = Stage()
    with caplog.at_level(logging.WARNING):
        assert await stage.hear(bytes([0xC0, 9])) == []
        assert await stage.hear(bytes([0xC0, 1])) == [0.2]
    assert "expected a cue from 1 to 3, got 10" in caplog.text


async def test_a_style_that_is_not_there_is_in_the_log(caplog: pytest.LogCaptureFixture):
    stage = Stage('[[cue]]\nname = "a"\nstyle = "nobody"\nparameters = { mix = 0.5 }')
    with caplog.at_level(logging.WARNING):
        assert await stage.hear(ON) == [0.5]
    assert "not played in full" in caplog.text


class FoulStream(FakeStream):
    def style(self, styles: Sequence[StyleShare]) -> StyleVector:
        raise OSError("the disk has gone")


async def test_a_cue_that_fails_as_nobody_foresaw_is_not_the_last_one(caplog: pytest.LogCaptureFixture):
    stage = Stage('[[cue]]\nname = "a"\nstyle = "brass"\n[[cue]]\nname = "b"\nparameters = { mix = 0.5 }')
    stage.stream = FoulStream()
    assert await stage.hear(ON, OFF, ON) == [0.5]
    assert "a cue failed" in caplog.text


def test_a_foot_that_trembles_fills_nothing_up(caplog: pytest.LogCaptureFixture):
    stage = Stage()
    for _ in range(3 * MAX_WAITING_CUES):
        stage.board.take(bytes([0xC0, 0]), 100.0)
    assert stage.board._waiting.qsize() == MAX_WAITING_CUES
    assert "one is dropped" in caplog.text


def test_the_beat_follows_a_clock():
    stage = Stage()
    metronome = stage.performer.metronome
    metronome.boundary(stage.stream, Quantise.BEAT, 100.0)
    stage.board.take(b"\xfa", 100.2)
    for n in range(24 * 4 + 1):
        stage.board.take(b"\xf8", 100.2 + n * 60.0 / 150.0 / 24)  # a beat is 0.4 s
    assert metronome.tempo.bpm == pytest.approx(150.0)
    now_s = 100.2 + 4 * 0.4
    assert metronome.boundary(stage.stream, Quantise.BEAT, now_s + 0.1) == round((0.2 + 5 * 0.4) * 48000)
    assert metronome.boundary(stage.stream, Quantise.BAR, now_s + 0.1) == round((0.2 + 8 * 0.4) * 48000)


def test_a_song_that_goes_on_is_in_the_bar_in_which_it_was_stopped():
    stage = Stage()
    tick_s = 60.0 / 120.0 / 24

    def ticks(count: int, begins: int) -> None:
        for n in range(begins, begins + count):
            stage.board.take(b"\xf8", 100.0 + n * tick_s)

    stage.board.take(b"\xfa", 100.0)
    ticks(60, 0)
    stage.board.take(b"\xfc", 101.25)
    ticks(24, 60)  # a beat while the song stands still
    stage.board.take(b"\xfb", 101.75)
    ticks(25, 84)  # the half beat that was left, then beat 3
    bar = stage.performer.metronome.boundary(stage.stream, Quantise.BAR, 102.26)
    assert bar == round((1.75 + 0.25 + 0.5) * 48000)
