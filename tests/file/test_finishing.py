"""A finished file has the content's loudness and no peak above -1 dBTP, measured on the file."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from deepmusic.audio import Audio
from deepmusic.dsp.loudness import integrated_loudness_lufs
from deepmusic.dsp.true_peak import true_peak_dbtp
from deepmusic.transports.file.finishing import finish, true_peak_of_long_dbtp
from deepmusic.transports.file.reader import read_audio
from deepmusic.transports.file.writer import AudioWriter, encoding_for
from tests.file.recordings import melody

LOUDNESS_TOLERANCE_LU = 0.5
"""MODEL.md: where the ceiling takes less than 0.5 dB."""


def opener(path: Path, audio: Audio, rate_hz: int) -> Callable[[], AudioWriter]:
    return lambda: AudioWriter(path, encoding=encoding_for(path), sample_rate_hz=rate_hz, n_channels=audio.shape[0])


def spiky(seconds: float, rate_hz: int) -> Audio:
    """A melody with a click every half second that is 20 dB above it."""
    audio = melody(seconds, rate_hz, amplitude=0.02)
    audio[:, rate_hz // 4 :: rate_hz // 2] = 0.6
    return audio


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg"])
@pytest.mark.parametrize("rate_hz", [8000, 44_100, 96_000])
def test_a_quiet_render_gets_the_contents_loudness(suffix: str, rate_hz: int, tmp_path: Path) -> None:
    content = melody(2.0, rate_hz)
    path = tmp_path / f"a{suffix}"
    report = finish(content[:, ::-1] * np.float32(0.1), content, rate_hz, opener(path, content, rate_hz))
    read, _ = read_audio(path)
    assert integrated_loudness_lufs(read, rate_hz) == pytest.approx(report.content_lufs, abs=LOUDNESS_TOLERANCE_LU)
    assert report.loudness_lufs == pytest.approx(integrated_loudness_lufs(read, rate_hz), abs=1e-6)
    assert read.shape == content.shape
    assert report.ceiling_db == 0.0
    assert report.gain_db == pytest.approx(20.0, abs=1.0)


@pytest.mark.parametrize("suffix", [".wav", ".ogg"])
@pytest.mark.parametrize("rate_hz", [8000, 48_000, 96_000, 192_000])
def test_no_peak_of_the_file_is_above_the_ceiling(suffix: str, rate_hz: int, tmp_path: Path) -> None:
    content = melody(1.5, rate_hz, amplitude=0.8)
    path = tmp_path / f"a{suffix}"
    report = finish(spiky(1.5, rate_hz), content, rate_hz, opener(path, content, rate_hz))
    read, _ = read_audio(path)
    assert true_peak_dbtp(read, rate_hz) <= -1.0
    assert report.true_peak_dbtp == pytest.approx(true_peak_dbtp(read, rate_hz), abs=1e-6)
    assert report.ceiling_db > 0.5


def test_silence_stays_silent(tmp_path: Path) -> None:
    silence = np.zeros((2, 48_000), np.float32)
    path = tmp_path / "a.wav"
    report = finish(silence, silence, 48_000, opener(path, silence, 48_000))
    assert math.isinf(report.content_lufs)
    assert report.gain_db == 0.0
    assert not read_audio(path)[0].any()


def test_one_sample_stays_one_sample(tmp_path: Path) -> None:
    one = np.full((1, 1), 0.25, np.float32)
    path = tmp_path / "a.wav"
    finish(one, one, 48_000, opener(path, one, 48_000))
    assert read_audio(path)[0].shape == (1, 1)


@pytest.mark.parametrize("n_samples", [1, 16_384, 16_390, 50_000])
def test_the_true_peak_of_a_long_recording_is_that_of_a_short_one(n_samples: int) -> None:
    audio = (np.random.default_rng(4).standard_normal((2, n_samples)) * 0.2).astype(np.float32)
    assert true_peak_of_long_dbtp(audio, 48_000) == pytest.approx(true_peak_dbtp(audio, 48_000), abs=1e-6)
