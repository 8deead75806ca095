"""What a set shows of itself: one line for a log, and a picture for a terminal."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from deepmusic.app.live import LatencyParts, LiveStatus
from deepmusic.cli.live_view import line, live_view, picture
from deepmusic.session.stats import SessionStats
from deepmusic.transports.soundcard.device import DeviceFacts
from deepmusic.transports.soundcard.lateness import LatenessFacts

STATUS = LiveStatus(
    seconds=12.3,
    device=DeviceFacts(
        name="JACK client live", sample_rate_hz=48000, n_channels=2, period_samples=256, input="jack", output="jack"
    ),
    cycle_samples=256,
    is_running=True,
    trouble="",
    n_vanished=0,
    latency=LatencyParts(device_input=256, stream=1855, cushion=1024, device_output=512),
    input_db=(-12.0, -60.0),
    output_db=(-3.0, 0.0),
    answers=LatenessFacts(n_answers=100, p50_s=0.0012, p99_s=0.0045, longest_s=0.0099),
    n_cycles=2306,
    n_starved=0,
    n_xruns=3,
    longest_turn_s=0.0002,
    stats=SessionStats(late_blocks=1),
    style="cello",
    strength=1.0,
    is_dry=False,
)


def drawn(status: LiveStatus, cue: str = "") -> str:
    console = Console(file=io.StringIO(), width=120)
    console.print(picture(status, "127.0.0.1:9000", cue))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_line_says_level_style_latency_and_what_was_late():
    said = line(STATUS)
    for words in ("in -12/-60 dB", "out -3/0 dB", "cello", "latency 76.0 ms", "p99 4.5 of 21.3 ms", "1 late blocks"):
        assert words in said
    assert "\n" not in said


def test_the_picture_has_a_bar_a_channel_and_everything_the_line_has():
    lines = drawn(STATUS).splitlines()
    bars = [text for text in lines if "dB" in text]
    assert [text.count("█") for text in bars] == [32, 0, 38, 40]
    together = " ".join(lines)
    for words in ("JACK client live", "cello", "76.0 ms = device 256 + stream 1855", "longest 9.9 of 21.3", "9000"):
        assert words in together


@pytest.mark.parametrize("name", ["USB [hw:1,0]", "Mixer [/left]", "Bühne 🎻 :violin:"])
def test_a_device_is_shown_by_its_name_whatever_stands_in_it(name: str):
    assert name in drawn(replace(STATUS, device=replace(STATUS.device, name=name)))


@pytest.mark.parametrize("show", [line, drawn])
def test_steps_that_failed_are_among_what_went_wrong(show):
    assert "failed" not in show(STATUS)
    assert "1 late blocks, 2 failed steps, 0 starved" in show(
        replace(STATUS, stats=SessionStats(late_blocks=1, failed_steps=2))
    )


@pytest.mark.parametrize("show", [line, drawn])
def test_a_device_that_is_away_is_said_to_be(show):
    away = replace(STATUS, is_running=False, trouble="the device has vanished")
    assert "the device has vanished" in show(away)


@pytest.mark.parametrize("show", [line, drawn])
def test_where_a_set_is_is_shown_if_there_is_one(show):
    assert "cue" not in show(STATUS)
    shown = show(STATUS, "2 of 3: bridge [solo]; 126.5 beats per minute")
    assert "2 of 3: bridge [solo]; 126.5 beats per minute" in shown


def test_bypass_and_a_strength_below_one_are_shown():
    assert "dry (cello waits)" in line(replace(STATUS, is_dry=True))
    assert "cello at 0.25" in line(replace(STATUS, strength=0.25))


def test_where_nobody_looks_a_line_comes_when_the_device_comes_or_goes(capsys: pytest.CaptureFixture[str]):
    with live_view("") as show:
        show(STATUS)
        show(replace(STATUS, is_running=False, trouble="the device has vanished"))
        show(replace(STATUS, is_running=False, trouble="the device has vanished"))
        show(STATUS)
    assert [text.count("vanished") for text in capsys.readouterr().err.splitlines()] == [1, 0]
