"""A cycle of the device: what is played when answers are there, when they are not, and where the two meet."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from deepmusic.audio import Audio
from deepmusic.transports.soundcard.exchange import FADE_S, Exchange, Turn
from deepmusic.transports.soundcard.rings import RING_SAMPLES, Rings, Word, read_ring, write_ring

RATE_HZ = 48000
PERIOD = 256
LATENCY, CUSHION = 1855, 1024


@pytest.fixture
def rings() -> Iterator[Rings]:
    rings = Rings.create()
    rings[Word.LATENCY], rings[Word.CUSHION] = LATENCY, CUSHION
    yield rings
    rings.remove()


def played(exchange: Exchange, signal: Audio, period: int = PERIOD) -> tuple[Audio, list[Turn]]:
    """What comes out while a signal goes in."""
    out = np.full_like(signal, np.nan)
    turns = [
        exchange.turn(list(signal[:, start : start + period]), list(out[:, start : start + period]))
        for start in range(0, signal.shape[1], period)
    ]
    return out, turns


def noise(n_samples: int, n_channels: int = 2) -> Audio:
    return np.random.default_rng(1).uniform(-0.5, 0.5, (n_channels, n_samples)).astype(np.float32)


@pytest.mark.parametrize("start", [0, RING_SAMPLES - 1000, 10**12])
@pytest.mark.parametrize("period", [1, 64, 300])
def test_an_answer_that_is_there_is_played_the_cushion_later_to_the_sample(rings: Rings, start: int, period: int):
    rings[Word.START] = start
    answers = noise(12 * 300)
    write_ring(rings.output, answers, start)
    rings[Word.WRITTEN_TO] = start + answers.shape[1]
    out, turns = played(Exchange(rings, 2, RATE_HZ), noise(2400), period)
    np.testing.assert_array_equal(out[:, CUSHION:], answers[:, : 2400 - CUSHION])
    assert not out[:, :CUSHION].any()
    assert not any(turn.is_starved for turn in turns)
    assert [turn.first_sample for turn in turns[:2]] == [start, start + period]


def test_input_lies_in_the_ring_where_its_position_says(rings: Rings):
    rings[Word.START] = RING_SAMPLES - 100
    signal = noise(1024)
    played(Exchange(rings, 2, RATE_HZ), signal)
    np.testing.assert_array_equal(read_ring(rings.input, 2, RING_SAMPLES - 100, 1024), signal)


def test_without_answers_the_input_is_played_as_late_as_the_dry_signal_of_the_stream(rings: Rings):
    signal = noise(64 * PERIOD)
    out, turns = played(Exchange(rings, 2, RATE_HZ), signal)
    np.testing.assert_array_equal(out[:, LATENCY + CUSHION :], signal[:, : -(LATENCY + CUSHION)])
    assert [turn.is_starved for turn in turns] == [False] * 4 + [True] * 60


def test_where_the_source_changes_there_is_no_click(rings: Rings):
    """Both sources are slow sines of different level: a step from sample to sample would be a click."""
    time_s = np.arange(64 * PERIOD) / RATE_HZ
    signal = np.stack([0.5 * np.sin(2 * np.pi * 100 * time_s)] * 2).astype(np.float32)
    answers = -0.8 * signal
    exchange = Exchange(rings, 2, RATE_HZ)
    write_ring(rings.output, answers, 0)
    pieces: list[Audio] = []
    for index in range(64):
        rings[Word.WRITTEN_TO] = (index + 1) * PERIOD if not 20 <= index < 24 else 16 * PERIOD
        pieces.append(played(exchange, signal[:, index * PERIOD : (index + 1) * PERIOD])[0])
    out = np.concatenate(pieces, axis=1)
    steepest = np.abs(np.diff(signal)).max() + 1.3 / (FADE_S * RATE_HZ)  # its own, and that of the fade of both
    assert np.abs(np.diff(out)).max() <= steepest
    faded = round(FADE_S * RATE_HZ)
    behind = 24 * PERIOD + faded
    np.testing.assert_array_equal(out[:, behind:], answers[:, behind - CUSHION : -CUSHION])


def test_a_late_answer_is_not_played_and_shifts_nothing(rings: Rings):
    answers = noise(32 * PERIOD)
    exchange = Exchange(rings, 2, RATE_HZ)
    out, turns = played(exchange, np.zeros((2, 8 * PERIOD), np.float32))
    assert turns[-1].is_starved
    write_ring(rings.output, answers, 0)  # all of it, eight cycles late
    rings[Word.WRITTEN_TO] = answers.shape[1]
    out, turns = played(exchange, np.zeros((2, 8 * PERIOD), np.float32))
    faded = round(FADE_S * RATE_HZ)
    np.testing.assert_array_equal(out[:, faded:], answers[:, 4 * PERIOD + faded : 12 * PERIOD])
    assert not any(turn.is_starved for turn in turns)


def test_a_mono_stream_is_played_on_both_outputs(rings: Rings):
    answers = noise(4 * PERIOD, 1)
    rings[Word.CUSHION] = 0
    write_ring(rings.output, answers, 0)
    rings[Word.WRITTEN_TO] = answers.shape[1]
    exchange = Exchange(rings, 1, RATE_HZ)
    outputs = [np.zeros(PERIOD, np.float32), np.zeros(PERIOD, np.float32)]
    exchange.turn([np.ones(PERIOD, np.float32)], outputs)
    for output in outputs:
        np.testing.assert_array_equal(output, answers[0, :PERIOD])


def test_two_processes_that_map_the_same_file_see_the_same(rings: Rings):
    other = Rings(rings.path)
    other[Word.XRUNS] = 7
    write_ring(other.input, noise(100), 5)
    assert rings[Word.XRUNS] == 7
    np.testing.assert_array_equal(read_ring(rings.input, 2, 5, 100), noise(100))
    rings.clear()
    assert not other.input.any()
