"""Finishing: a gain between loudnesses, and a pass through gain and ceiling that keeps its place."""

from __future__ import annotations

import math

import numpy as np
import pytest

from deepmusic.dsp.finishing import MAX_GAIN_DB, LimitedPass, gain_between_db
from deepmusic.dsp.true_peak import true_peak_dbtp
from tests.support import laws


def through(audio: np.ndarray, gain_db: float, ceiling_dbtp: float = -1.0) -> tuple[np.ndarray, float]:
    limited = LimitedPass(audio, 48000, gain_db, ceiling_dbtp)
    return np.concatenate(list(limited), axis=1), limited.taken_db


@pytest.mark.parametrize("n_samples", [1, 63, 16_384, 40_000])
def test_what_stays_under_the_ceiling_is_the_recording_times_its_gain(n_samples: int) -> None:
    audio = laws.music(2, n_samples) * np.float32(0.1)
    out, taken_db = through(audio, -6.0)
    np.testing.assert_array_equal(out, audio * np.float32(10 ** (-6.0 / 20)))
    assert taken_db == 0.0


def test_what_passes_the_ceiling_is_held_and_told() -> None:
    audio = laws.music(2, 40_000)
    audio /= np.abs(audio).max()
    out, taken_db = through(audio, 12.0)
    assert out.shape == audio.shape
    assert true_peak_dbtp(out, 48000) <= -0.98
    assert taken_db == pytest.approx(13.0, abs=1.5)


@pytest.mark.parametrize(
    ("from_lufs", "to_lufs", "gain_db"), [(-20, -14, 6.0), (-60, -10, MAX_GAIN_DB), (-5, -60, -24)]
)
def test_the_gain_is_the_difference_within_its_limits(from_lufs: float, to_lufs: float, gain_db: float) -> None:
    assert gain_between_db(from_lufs, to_lufs) == gain_db


@pytest.mark.parametrize("lufs", [(-math.inf, -20.0), (-20.0, -math.inf)])
def test_silence_gets_no_gain(lufs: tuple[float, float]) -> None:
    assert gain_between_db(*lufs) == 0.0
