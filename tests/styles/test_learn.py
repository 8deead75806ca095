"""Recordings become vectors."""

from __future__ import annotations

import numpy as np
import pytest

from deepmusic.errors import StyleSilent
from deepmusic.model.runtime import StyleEncoder
from deepmusic.styles.learn import learn, sounding_bands

RATE_HZ = 48_000
LEVEL_TOLERANCE_DB = 0.5
"""What a resampler and another frame rate may move of the level that the test encoder hears."""


def noise(seconds: float, amplitude: float = 0.1, *, channels: int = 1, rate_hz: int = RATE_HZ) -> np.ndarray:
    random = np.random.default_rng(5)
    return (amplitude * random.standard_normal((channels, round(seconds * rate_hz)))).astype(np.float32)


def tone(seconds: float, rate_hz: int, hz: float = 500.0) -> np.ndarray:
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    return (0.3 * np.sin(2 * np.pi * hz * time_s)).astype(np.float32)[np.newaxis]


def test_a_style_carries_its_name_and_its_bundle(encoder: StyleEncoder) -> None:
    vector = learn(noise(1.0), RATE_HZ, encoder, name="hiss")
    assert vector.name == "hiss"
    assert vector.bundle_digest == encoder.bundle_digest


def test_a_louder_style_is_another_style(encoder: StyleEncoder) -> None:
    quiet = learn(noise(1.0, 0.02), RATE_HZ, encoder).values[0]
    loud = learn(noise(1.0, 0.2), RATE_HZ, encoder).values[0]
    assert loud - quiet == pytest.approx(20.0, abs=LEVEL_TOLERANCE_DB)


@pytest.mark.parametrize("rate_hz", [8000, 22_050, 37_800, 44_100, 96_000, 192_000])
def test_the_same_sound_at_another_rate_is_the_same_style(rate_hz: int, encoder: StyleEncoder) -> None:
    expected = learn(tone(1.0, RATE_HZ), RATE_HZ, encoder).values[0]
    assert learn(tone(1.0, rate_hz), rate_hz, encoder).values[0] == pytest.approx(expected, abs=LEVEL_TOLERANCE_DB)


def test_channels_that_cancel_are_not_silence(encoder: StyleEncoder) -> None:
    side = noise(1.0)
    mono = learn(side, RATE_HZ, encoder).values
    assert learn(np.concatenate([side, -side]), RATE_HZ, encoder).values == pytest.approx(mono, abs=1e-3)


def test_rests_do_not_count(encoder: StyleEncoder) -> None:
    rest = np.zeros((1, 2 * RATE_HZ), np.float32)
    with_rests = learn(np.concatenate([rest, noise(2.0), rest], axis=1), RATE_HZ, encoder).values[0]
    assert with_rests == pytest.approx(learn(noise(2.0), RATE_HZ, encoder).values[0], abs=LEVEL_TOLERANCE_DB)


def test_all_of_a_long_recording_is_heard(encoder: StyleEncoder) -> None:
    half_and_half = np.concatenate([noise(60.0, 0.2), noise(60.0, 0.02)], axis=1)
    loud, quiet = learn(noise(6.0, 0.2), RATE_HZ, encoder), learn(noise(6.0, 0.02), RATE_HZ, encoder)
    middle = (loud.values[0] + quiet.values[0]) / 2
    assert learn(half_and_half, RATE_HZ, encoder).values[0] == pytest.approx(middle, abs=LEVEL_TOLERANCE_DB)


def test_frames_before_the_window_is_full_are_not_heard(encoder: StyleEncoder) -> None:
    bands = sounding_bands(tone(0.5, RATE_HZ), RATE_HZ, encoder.manifest)
    assert np.ptp(bands.max(axis=1)) < 0.01 * bands.max()


def test_a_click_in_silence_is_no_style(encoder: StyleEncoder) -> None:
    audio = np.zeros((1, RATE_HZ), np.float32)
    audio[0, RATE_HZ // 2 : RATE_HZ // 2 + 20] = 0.9
    audio = np.concatenate([audio[:, : RATE_HZ // 2 + 20]], axis=1)
    with pytest.raises(StyleSilent, match="next to nothing"):
        learn(audio, RATE_HZ, encoder)


def test_learning_does_not_change_the_recording(encoder: StyleEncoder) -> None:
    audio = noise(1.0, channels=2)
    before = audio.copy()
    learn(audio, RATE_HZ, encoder)
    assert np.array_equal(audio, before)
