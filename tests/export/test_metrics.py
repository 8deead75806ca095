"""The measures of the model card against direct computations and known cases."""

from __future__ import annotations

from functools import cache

import librosa
import numpy as np
import pytest

from deepmusic_export.metrics import (
    Recording,
    chroma_cosine,
    log_spectral_distance_db,
    onset_f1,
    seam_ratio,
    signal_to_noise_db,
)
from deepmusic_export.render.scores import Note, random_score
from deepmusic_export.render.synthesis import play, voice_of

RATE_HZ = 22050

UNTOUCHED = (0.90, 1.11)
"""Seam ratio of audio without joins (measured)."""


@cache
def tune(pitches: tuple[int, ...], seed: int, step_s: float = 0.4) -> np.ndarray:
    notes = [
        Note(start_s=0.3 + step_s * index, duration_s=0.8 * step_s, pitch=pitch, velocity=100, part=0)
        for index, pitch in enumerate(pitches)
    ]
    return play(notes, voice_of(seed), 0.8 + step_s * len(pitches), RATE_HZ)


def heard(audio: np.ndarray) -> Recording:
    return Recording(audio, RATE_HZ)


def hits(times_s: list[float]) -> np.ndarray:
    """Short bursts of noise."""
    audio = np.zeros(round(2.5 * RATE_HZ), np.float32)
    burst = np.random.default_rng(0).standard_normal(4000) * np.exp(-np.arange(4000) / 800)
    for time_s in times_s:
        audio[round(time_s * RATE_HZ) :][:4000] += burst.astype(np.float32)
    return audio


def test_the_log_spectral_distance_is_that_of_the_paper() -> None:
    score = random_score(np.random.default_rng(0), 3.0)
    a, b = (play(score, voice_of(seed), 3.0, 16000) for seed in (1, 2))

    def log_mel(audio: np.ndarray) -> np.ndarray:
        audio = audio / (np.sqrt(np.mean(audio**2)) + np.finfo(np.float32).eps)
        power = librosa.feature.melspectrogram(y=audio, sr=16000, n_fft=2048, hop_length=512, n_mels=128)
        return librosa.power_to_db(power, top_db=80)

    expected = np.mean(np.sqrt(np.mean((log_mel(a) - log_mel(b)) ** 2, axis=1)))
    assert log_spectral_distance_db(Recording(a, 16000), Recording(b, 16000), 80.0) == pytest.approx(expected, rel=1e-5)


def test_the_log_spectral_distance_does_not_hear_the_level() -> None:
    audio = tune((60, 64, 67), 3)
    assert log_spectral_distance_db(heard(audio), heard(audio), 80.0) == 0.0
    assert log_spectral_distance_db(heard(0.1 * audio), heard(audio), 80.0) == pytest.approx(0.0, abs=0.02)


def test_a_smaller_range_takes_added_noise_less_seriously() -> None:
    audio = tune((60, 64, 67), 3)
    level = np.sqrt(np.mean(audio**2))
    noisy = audio + (3e-4 * level * np.random.default_rng(0).standard_normal(len(audio))).astype(np.float32)
    at_80, at_50 = (log_spectral_distance_db(heard(noisy), heard(audio), range_db) for range_db in (80.0, 50.0))
    assert at_80 > 3 * at_50


def test_chroma_is_one_for_equal_audio_and_stays_high_for_another_timbre() -> None:
    pitches = (60, 67, 62)
    same = tune(pitches, 3)
    assert chroma_cosine(heard(same), heard(same)) == pytest.approx(1.0, abs=1e-4)
    assert chroma_cosine(heard(0.2 * same), heard(same)) == pytest.approx(1.0, abs=1e-3)
    timbre = chroma_cosine(heard(tune(pitches, 8)), heard(same))
    notes = chroma_cosine(heard(tune(tuple(pitch + 1 for pitch in pitches), 3)), heard(same))
    assert timbre > notes + 0.2


def test_onsets_are_found_within_fifty_milliseconds() -> None:
    audio = hits([0.3, 0.7, 1.0, 1.5, 1.9])
    assert onset_f1(heard(audio), heard(audio)) == 1.0
    by_20_ms, by_150_ms = (np.roll(audio, round(shift * RATE_HZ)) for shift in (0.02, 0.15))
    assert onset_f1(heard(by_20_ms), heard(audio)) > 0.8
    assert onset_f1(heard(by_150_ms), heard(audio)) < 0.4


def test_half_of_the_onsets_give_two_thirds() -> None:
    all_hits, every_other = hits([0.3, 0.8, 1.3, 1.8]), hits([0.3, 1.3])
    assert onset_f1(heard(every_other), heard(all_hits)) == pytest.approx(2 / 3, abs=0.01)


def test_silence_has_the_onsets_of_silence() -> None:
    silence = np.zeros(RATE_HZ, np.float32)
    assert onset_f1(heard(silence), heard(silence)) == 1.0
    assert onset_f1(heard(silence), heard(hits([0.3, 0.8]))) == 0.0


@pytest.mark.parametrize("period", [256, 1024, 4096])
def test_untouched_noise_has_no_seams(period: int) -> None:
    noise = np.random.default_rng(1).standard_normal(period * 400).astype(np.float32)
    assert UNTOUCHED[0] < seam_ratio(noise, period) < UNTOUCHED[1]


@pytest.mark.parametrize("offset", [-3, 0, 3])
def test_a_click_at_every_join_is_seen(offset: int) -> None:
    noise = np.random.default_rng(1).standard_normal(1024 * 100).astype(np.float32)
    for join in range(1024, len(noise) - 4, 1024):
        noise[join + offset] += 10.0
    assert seam_ratio(noise, 1024) > 2.0


def test_a_click_between_the_joins_is_not_a_seam() -> None:
    noise = np.random.default_rng(1).standard_normal(1024 * 100).astype(np.float32)
    noise[1024 + 200 :: 1024] += 10.0
    assert UNTOUCHED[0] < seam_ratio(noise, 1024) < UNTOUCHED[1]


def test_joins_may_start_anywhere() -> None:
    noise = np.random.default_rng(1).standard_normal(1024 * 100).astype(np.float32)
    noise[300::1024] += 10.0
    assert seam_ratio(noise, 1024, first_join=300) > 2.0


def test_signal_to_noise_counts_power() -> None:
    reference = np.ones(100, np.float32)
    assert signal_to_noise_db(reference * 1.1, reference) == pytest.approx(20.0, abs=0.01)
    assert signal_to_noise_db(reference, reference) > 150
