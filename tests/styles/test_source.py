"""Which parts of a recording a style is learned from."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepmusic.errors import AudioTooShort, StyleSilent
from deepmusic.styles.source import (
    EXCERPT_S,
    MAX_EXCERPTS,
    SourceCollector,
    SourceSurvey,
    style_source,
)

RATE_HZ = 8000


def noise(seconds: float, amplitude: float = 0.1, *, channels: int = 1, rate_hz: int = RATE_HZ) -> np.ndarray:
    random = np.random.default_rng(3)
    return (amplitude * random.standard_normal((channels, round(seconds * rate_hz)))).astype(np.float32)


def test_a_short_recording_is_taken_whole() -> None:
    audio = noise(13.7, channels=2)
    source = style_source(audio, RATE_HZ)
    assert np.array_equal(np.concatenate(source.pieces, axis=1), audio)
    assert max(piece.shape[1] for piece in source.pieces) <= EXCERPT_S * RATE_HZ


def test_excerpts_of_a_long_recording_are_spread_over_all_of_it() -> None:
    survey = SourceSurvey(RATE_HZ)
    survey.add(noise(600.0))
    spans = survey.spans()
    assert len(spans) == MAX_EXCERPTS
    assert spans[0][0] < 60 * RATE_HZ
    assert spans[-1][1] > 540 * RATE_HZ
    assert all(stop - start == EXCERPT_S * RATE_HZ for start, stop in spans)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))


def test_excerpts_of_a_long_recording_go_where_the_sound_is() -> None:
    audio = np.concatenate([noise(300.0, 1e-4), noise(40.0), noise(300.0, 1e-4)], axis=1)
    source = style_source(audio, RATE_HZ)
    loud = [piece for piece in source.pieces if np.sqrt(np.mean(piece**2)) > 0.03]
    assert len(loud) >= 5
    assert len(source.pieces) - len(loud) <= 2


@given(cuts=st.lists(st.integers(0, 10 * RATE_HZ), max_size=5))
def test_the_pieces_do_not_depend_on_how_the_recording_is_cut_into_blocks(cuts: list[int]) -> None:
    audio = noise(10.0)
    blocks = np.split(audio, sorted(cuts), axis=1)
    survey = SourceSurvey(RATE_HZ)
    for block in blocks:
        survey.add(block)
    collector = SourceCollector(survey.spans(), RATE_HZ)
    for block in blocks:
        collector.add(block)
    assert collector.is_complete
    for piece, expected in zip(collector.source().pieces, style_source(audio, RATE_HZ).pieces, strict=True):
        assert np.array_equal(piece, expected)


def test_a_style_of_50_ms_is_refused_with_its_length() -> None:
    with pytest.raises(AudioTooShort, match="at least 250 ms, got 50 ms"):
        style_source(noise(0.05), RATE_HZ)


def test_a_silent_style_is_refused() -> None:
    with pytest.raises(StyleSilent, match="got silence"):
        style_source(np.zeros((2, RATE_HZ), np.float32), RATE_HZ)


def test_a_style_of_nan_is_silence() -> None:
    with pytest.raises(StyleSilent):
        style_source(np.full((1, RATE_HZ), np.nan, np.float32), RATE_HZ)
