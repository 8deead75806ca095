"""A set in TOML: what it may say, and that every mistake is named with the way to mend it."""

from __future__ import annotations

import pytest

from deepmusic.errors import BadConfig
from deepmusic.model.style_share import StyleShare
from deepmusic.session.config import Setting
from deepmusic.stage.set_list import Cue, MidiMap, SetList, parse_set
from deepmusic.stage.tempo import Quantise, Tempo

SET = """
title = "Friday"
bpm = 126.5
beats_per_bar = 3

[[cue]]
name = "verse"
style = "brass"
quantise = "bar"
ramp_ms = 500
parameters = { strength = 0.6, bypass = false }

[[cue]]
name = "bridge"
blend = { brass = 1, strings = 3 }
bpm = 90

[[cue]]
name = "out"
"""


def test_a_set_says_what_changes_at_each_cue():
    assert parse_set(SET) == SetList(
        title="Friday",
        tempo=Tempo(bpm=126.5, beats_per_bar=3),
        cues=(
            Cue(
                name="verse",
                styles=(StyleShare(name="brass"),),
                settings=(Setting(name="strength", value=0.6), Setting(name="bypass", value=0.0)),
                ramp_ms=500.0,
                quantise=Quantise.BAR,
            ),
            Cue(
                name="bridge",
                styles=(StyleShare(name="brass", weight=1.0), StyleShare(name="strings", weight=3.0)),
                bpm=90.0,
            ),
            Cue(name="out"),
        ),
    )
    assert parse_set(SET).style_names == ("brass", "strings")


def test_a_set_says_which_foot_switch_does_what():
    assert parse_set('[[cue]]\nname = "one"').midi == MidiMap(next=64, previous=67, channel=None)
    text = 'midi = { next = 80, previous = 81, channel = 16 }\n[[cue]]\nname = "one"'
    assert parse_set(text).midi == MidiMap(next=80, previous=81, channel=16)


def test_a_set_of_windows_editor_is_read_as_any_other():
    text = '\ufefftitle = "Süd 🎻"\r\n[[cue]]\r\nname = "Ärger"\r\n'
    assert (parse_set(text).title, parse_set(text).cues[0].name) == ("Süd 🎻", "Ärger")


def test_a_set_need_not_say_how_fast_it_is():
    assert parse_set('[[cue]]\nname = "one"').tempo is None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('title = "a"\n[[cue]\nname = "b"', "expected a set in TOML, got something else in line 2, column 6"),
        ('title = "a"\ntitle = "b"', "expected a set in TOML, got something else at the end of the file; write"),
        ("cue = " + "[" * 20_000, "expected a set in TOML, got something else; write"),
        ("bpm = 1" + "0" * 5_000, "expected a set in TOML, got something else; write"),
        ("bpm = 0x1" + "0" * 5_000, "expected a set in TOML, got something else; write"),
        ('name = "x"', "unknown key 'name'; valid keys: title, bpm, beats_per_bar, midi, cue"),
        ("", "expected 1 to 500 cues, got 0"),
        ("cue = 3", "expected cues as"),
        ("cue = [3]", "expected cues as"),
        ('title = 3\n[[cue]]\nname = "a"', "the set: expected title as a text in quotes, got 3"),
        ('bpm = 5\n[[cue]]\nname = "a"', "expected a tempo of 20 to 999"),
        ('bpm = "fast"\n[[cue]]\nname = "a"', "expected bpm as a number"),
        ('beats_per_bar = 3.5\n[[cue]]\nname = "a"', "expected beats_per_bar as a whole number"),
        ("[[cue]]", "cue 1: expected a name of 1 to 64 printable characters"),
        ('[[cue]]\nname = "a"\n[[cue]]\nname = "a"', "expected every cue once, got 'a' twice"),
        (
            '[[cue]]\nname = "a"\nfade = 3',
            "cue 1: unknown key 'fade'; valid keys: name, style, blend, parameters, ramp_ms, quantise, bpm",
        ),
        ('[[cue]]\nname = "a"\nstyle = "b"\nblend = { c = 1 }', "cue 1: expected a style or a blend, got both"),
        ('[[cue]]\nname = "a"\nstyle = ""', "cue 1: expected a name"),
        ('[[cue]]\nname = "a"\nblend = "c"', "cue 1: expected blend ="),
        ('[[cue]]\nname = "a"\nblend = {}', "a blend of 1 to 16 styles"),
        ('[[cue]]\nname = "a"\nblend = { c = 0 }', "one of them with a weight above 0"),
        ('[[cue]]\nname = "a"\nblend = { c = -1, d = 2 }', "expected weights of at least 0"),
        ('[[cue]]\nname = "a"\nblend = { c = nan }', "expected the weight of 'c' as a number"),
        ('[[cue]]\nname = "a"\nramp_ms = -1', "expected ramp_ms of 0 to 600000"),
        ('[[cue]]\nname = "a"\nramp_ms = true', "expected ramp_ms as a number"),
        ('midi = 3\n[[cue]]\nname = "a"', "expected a table [midi], got 3"),
        ('midi = { nxt = 3 }\n[[cue]]\nname = "a"', "unknown key 'nxt'; valid keys: next, previous, channel"),
        ('midi = { next = 128 }\n[[cue]]\nname = "a"', "midi: expected next from 0 to 127, got 128"),
        ('midi = { channel = 0 }\n[[cue]]\nname = "a"', "midi: expected channel from 1 to 16, got 0"),
        ('midi = { next = true }\n[[cue]]\nname = "a"', "midi: expected next from 0 to 127, got True"),
        ('midi = { next = 67 }\n[[cue]]\nname = "a"', "midi: expected two controllers, got 67 for both ways"),
        ('[[cue]]\nname = "a"\nquantise = "phrase"', "expected quantise off, beat, bar, got 'phrase'"),
        ('[[cue]]\nname = "a"\nquantise = ["bar"]', "expected quantise off, beat, bar"),
        ('[[cue]]\nname = "a"\nbpm = 5000', "cue 1: expected a tempo of 20 to 999"),
        ('[[cue]]\nname = "a"\nparameters = 3', "expected parameters ="),
        ('[[cue]]\nname = "a"\nparameters = { stregth = 1 }', "unknown key 'stregth'; valid keys: strength, mix"),
        ('[[cue]]\nname = "a"\nparameters = { style = 1 }', "unknown key 'style'"),
        ('[[cue]]\nname = "a"\nparameters = { mix = 1.5 }', "cue 1: expected mix between 0 and 1, got 1.5"),
        ('[[cue]]\nname = "a"\nparameters = { mix = "half" }', "expected mix as a number, got 'half'"),
    ],
)
def test_a_mistake_is_named(text: str, complaint: str):
    with pytest.raises(BadConfig) as raised:
        parse_set(text)
    assert complaint in raised.value.message
