"""One beat for all streams: each counts it in its own samples, evenly."""

from __future__ import annotations

from deepmusic.stage.metronome import Metronome
from deepmusic.stage.tempo import Quantise, Tempo
from tests.stage.streams import FakeStream


def test_a_stream_is_brought_onto_the_grid_at_its_own_rate():
    metronome = Metronome(Tempo(), 99.75)  # a bar each 2 s: at 101.75 s, 1.75 s into the stream
    assert metronome.boundary(FakeStream(), Quantise.BAR, 100.1) == 84000
    assert metronome.boundary(FakeStream(rate_hz=96000), Quantise.BAR, 100.1) == 168000
    assert metronome.boundary(FakeStream(), Quantise.BEAT, 100.1) == 12000


def test_nothing_is_waited_for_where_it_is_off_or_no_audio_comes():
    metronome = Metronome(Tempo(), 0.0)
    assert metronome.boundary(FakeStream(), Quantise.OFF, 101.0) is None
    assert metronome.boundary(FakeStream(is_live=False), Quantise.BAR, 101.0) is None


def test_beats_stay_even_in_samples_when_the_sound_cards_clock_is_another_one():
    stream, metronome = FakeStream(speed=1.0001), Metronome(Tempo(), 100.0)
    first = metronome.boundary(stream, Quantise.BEAT, 100.1)
    assert first is not None
    later = [metronome.boundary(stream, Quantise.BEAT, 100.1 + 10.0 * n) for n in range(360)]
    assert {(position - first) % 24000 for position in later if position is not None} == {0}


def test_a_new_tempo_takes_the_running_beat_along_in_every_stream():
    stream, metronome = FakeStream(), Metronome(Tempo(), 100.0)
    assert metronome.boundary(stream, Quantise.BEAT, 100.1) == 24000
    metronome.set_tempo(Tempo(bpm=60.0), 100.25)  # half of a beat is over: half a second of it is left
    assert metronome.boundary(stream, Quantise.BEAT, 100.3) == 36000
    assert metronome.boundary(FakeStream(), Quantise.BEAT, 100.3) == 36000
    assert metronome.tempo == Tempo(bpm=60.0)


def test_a_new_tempo_may_wait_for_the_bar():
    stream, metronome = FakeStream(), Metronome(Tempo(), 100.0)
    metronome.boundary(stream, Quantise.BEAT, 100.1)
    metronome.set_tempo(Tempo(bpm=60.0), 100.1, Quantise.BAR)
    for one in (stream, FakeStream()):
        assert metronome.boundary(one, Quantise.BAR, 101.9) == 96000
        assert metronome.boundary(one, Quantise.BEAT, 102.1) == 144000


def test_while_a_new_tempo_waits_for_the_bar_the_old_beats_hold():
    stream, metronome = FakeStream(), Metronome(Tempo(), 100.0)
    metronome.boundary(stream, Quantise.BEAT, 100.1)
    metronome.set_tempo(Tempo(bpm=70.0), 100.1, Quantise.BAR)
    for one in (stream, FakeStream()):
        assert metronome.boundary(one, Quantise.BEAT, 100.2) == 24000
        assert metronome.boundary(one, Quantise.BEAT, 101.1) == 72000


def test_until_a_downbeat_that_is_to_come_the_old_beats_hold():
    stream, metronome = FakeStream(), Metronome(Tempo(), 100.0)
    metronome.boundary(stream, Quantise.BEAT, 100.1)
    metronome.downbeat(101.3)
    for one in (stream, FakeStream()):
        assert metronome.boundary(one, Quantise.BEAT, 100.2) == 24000
        assert metronome.boundary(one, Quantise.BAR, 100.2) == 62400


def test_a_downbeat_begins_a_bar_there():
    stream, metronome = FakeStream(), Metronome(Tempo(), 100.0)
    assert metronome.boundary(stream, Quantise.BAR, 100.5) == 96000
    metronome.downbeat(100.6)
    for one in (stream, FakeStream()):
        assert metronome.boundary(one, Quantise.BAR, 100.7) == 124800


def test_an_outer_clock_moves_the_beats_of_streams_that_are_on_the_grid_already():
    stream, metronome = FakeStream(), Metronome(Tempo(), 100.0)
    metronome.boundary(stream, Quantise.BAR, 100.5)
    metronome.align(Tempo(bpm=100.0), 5, 100.2)  # beat 5 is the second of a bar of 4
    for one in (stream, FakeStream()):
        assert metronome.boundary(one, Quantise.BEAT, 100.3) == 9600 + 28800
        assert metronome.boundary(one, Quantise.BAR, 100.3) == 9600 + 3 * 28800


def test_a_stream_that_rested_is_brought_onto_the_grid_anew():
    stream, metronome = FakeStream(), Metronome(Tempo(), 100.0)
    assert metronome.boundary(stream, Quantise.BAR, 100.5) == 96000
    stream.began_s += 7.3  # its samples did not count for so long
    assert metronome.boundary(stream, Quantise.BAR, 110.1) == round((112.0 - 107.3) * 48000)
    stream.is_live = False
    metronome.downbeat(111.0)
    stream.is_live = True
    assert metronome.boundary(stream, Quantise.BAR, 111.5) == round((113.0 - 107.3) * 48000)
