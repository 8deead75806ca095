"""Cues: the way through a set, and what the streams get of one."""

from __future__ import annotations

import pytest

from deepmusic.errors import BadParameter, NoCapacity, StyleNotFound
from deepmusic.model.style_share import StyleShare
from deepmusic.session.config import Setting
from deepmusic.session.events import ChangeStyle, Control
from deepmusic.stage.cue_list import CueList
from deepmusic.stage.performer import Performer
from deepmusic.stage.set_list import Cue, SetList
from deepmusic.stage.tempo import Quantise, Tempo
from tests.stage.streams import FakeFacts, FakeStream

VERSE = Cue(
    name="verse",
    styles=(StyleShare(name="brass"),),
    settings=(Setting(name="strength", value=0.5), Setting(name="mix", value=1.0)),
    ramp_ms=100.0,
    quantise=Quantise.BAR,
)
SET = SetList(tempo=Tempo(), cues=(VERSE, Cue(name="bridge"), Cue(name="out")))


class Streams:
    def __init__(self, *streams: FakeStream) -> None:
        self.streams = streams

    def running(self) -> tuple[FakeStream, ...]:
        return self.streams


def played(cue: Cue, *streams: FakeStream, at_s: float = 100.5, handed_in_s: float = 100.5) -> int:
    play = Performer(Streams(*streams), SET, 100.0).begin(cue, at_s)
    play.look_up()
    return play.hand_in(handed_in_s)


def test_a_set_begins_before_its_first_cue_and_is_walked_in_both_directions():
    cues = CueList(SET)
    assert (cues.number, cues.current, len(cues)) == (0, None, 3)
    assert [cues.next().name, cues.next().name, cues.number] == ["verse", "bridge", 2]
    assert cues.previous() is VERSE
    assert cues.go("out").name == "out"
    assert cues.go(2).name == "bridge"


@pytest.mark.parametrize("way", ["next", "previous", "nobody", 0, 4])
def test_there_is_nothing_beyond_the_ends_and_a_wrong_name_changes_nothing(way: str | int):
    cues = CueList(SET)
    cues.go(3 if way == "next" else 1)
    before = cues.number
    with pytest.raises(BadParameter):
        {"next": cues.next, "previous": cues.previous}.get(str(way), lambda: cues.go(way))()
    assert cues.number == before


def test_a_server_without_a_set_says_so():
    with pytest.raises(BadParameter, match="--set FILE"):
        CueList(SetList()).next()


def test_everything_of_a_cue_acts_on_one_sample_of_each_stream():
    slow, fast = FakeStream(), FakeStream(rate_hz=96000)
    assert played(VERSE, slow, fast) == 2
    for stream, sample, ramp in ((slow, 96000, 4800), (fast, 192000, 9600)):
        *controls, style = stream.offered
        assert controls == [
            Control(name="strength", value=0.5, at_sample=sample, ramp_samples=ramp),
            Control(name="mix", value=1.0, at_sample=sample, ramp_samples=ramp),
        ]
        assert isinstance(style, ChangeStyle)
        assert (style.vector.name, style.at_sample, style.fade_samples) == ("brass", sample, ramp)


NOW = Cue(name="now", settings=(Setting(name="mix", value=0.5), Setting(name="strength", value=1.0)))


@pytest.mark.parametrize(("handed_in_s", "sample"), [(100.4, 24000), (100.52, 24960)])
def test_a_cue_that_waits_for_nothing_acts_on_one_sample_that_is_still_to_come(handed_in_s: float, sample: int):
    stream = FakeStream()
    played(NOW, stream, handed_in_s=handed_in_s)
    assert stream.offered == [
        Control(name="mix", value=0.5, at_sample=sample),
        Control(name="strength", value=1.0, at_sample=sample),
    ]


def test_a_cue_that_waits_for_nothing_acts_at_once_where_a_sample_cannot_be_told():
    stream = FakeStream(is_live=False)
    played(NOW, stream)
    assert stream.offered == [Control(name="mix", value=0.5), Control(name="strength", value=1.0)]


def test_each_bundle_gets_the_style_in_its_own_space():
    streams = FakeStream(), FakeStream(facts=FakeFacts(bundle_digest="e" * 64))
    played(VERSE, *streams)
    digests = [
        event.vector.bundle_digest
        for stream in streams
        for event in stream.offered[-1:]
        if isinstance(event, ChangeStyle)
    ]
    assert digests == ["d" * 64, "e" * 64]


def test_a_style_that_is_not_there_costs_the_cue_its_style_alone():
    stream = FakeStream()
    cue = Cue(name="x", styles=(StyleShare(name="nobody"),), settings=(Setting(name="mix", value=0.5),))
    with pytest.raises(StyleNotFound):
        played(cue, stream)
    assert stream.offered == [Control(name="mix", value=0.5, at_sample=24000)]


def test_a_stream_without_room_is_said_and_the_others_are_played():
    full, other = FakeStream(room=1), FakeStream()
    with pytest.raises(NoCapacity, match="1 of 2"):
        played(VERSE, full, other)
    assert len(other.offered) == 3


def test_the_tempo_of_a_cue_begins_where_the_cue_does():
    performer = Performer(Streams(), SET, 100.0)
    performer.begin(Cue(name="slow", bpm=60.0, quantise=Quantise.BAR), 100.5)
    assert performer.metronome.tempo == Tempo(bpm=60.0)
    assert performer.metronome.boundary(FakeStream(), Quantise.BEAT, 102.5) == 3 * 48000
