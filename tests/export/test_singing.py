"""Singers: what espeak-ng says, sung on the notes of a score."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepmusic_export.cli import main
from deepmusic_export.data import Corpus
from deepmusic_export.render.corpus import CorpusPlan, render_corpus
from deepmusic_export.render.scores import Note
from deepmusic_export.render.singing import (
    FADE_OUT_S,
    HELD_OUT_LANGUAGES,
    HELD_OUT_VARIANTS,
    LONGEST_LEAD_S,
    Singer,
    Syllable,
    sing,
    singer_of,
    syllables_of,
)

RATE_HZ = 48000

CENT = 2 ** (1 / 1200)

ALTO = Singer(
    voice="it+f2",
    pitch=60,
    lyric=("sa", "lo", "mi"),
    body=1.0,
    n_unison=1,
    spread_cents=0.0,
    spread_s=0.0,
    vibrato_hz=5.0,
    vibrato_cents=0.0,
    seed=1,
)


@pytest.fixture(scope="module")
def syllables() -> list[Syllable]:
    return syllables_of(ALTO, RATE_HZ)


def note(pitch: int = 69, start_s: float = 0.2, duration_s: float = 1.0, velocity: int = 127) -> Note:
    return Note(start_s=start_s, duration_s=duration_s, pitch=pitch, velocity=velocity, part=0)


def spectrum_db(audio: np.ndarray) -> np.ndarray:
    return 20 * np.log10(np.abs(np.fft.rfft(audio * np.hanning(len(audio)), RATE_HZ)) + 1e-9)


def loud_between(audio: np.ndarray, low_hz: int, high_hz: int) -> float:
    """Level between two frequencies in dB."""
    return float(10 * np.log10(np.sum(10 ** (spectrum_db(audio)[low_hz:high_hz] / 10))))


@given(seed=st.integers(0, 2**32))
def test_a_singer_follows_from_a_seed_and_who_is_held_out_is_never_heard_in_training(seed: int) -> None:
    heard, held_out = singer_of(seed), singer_of(seed, is_held_out=True)
    assert heard == singer_of(seed)
    for singer, is_held_out in ((heard, False), (held_out, True)):
        language, variant = singer.voice.split("+")
        assert (language in HELD_OUT_LANGUAGES) == is_held_out
        assert (variant in HELD_OUT_VARIANTS) == is_held_out
    assert (heard.n_unison > 1) == (heard.spread_cents > 0)


@pytest.mark.parametrize("pitch", [45, 57, 69, 81])
def test_a_note_has_the_pitch_of_its_key(pitch: int, syllables: list[Syllable]) -> None:
    audio = sing([note(pitch)], ALTO, syllables, 1.5, RATE_HZ)
    held = audio[round(0.5 * RATE_HZ) : round(1.1 * RATE_HZ)]
    f0 = 440 * 2 ** ((pitch - 69) / 12)
    fine = np.abs(np.fft.rfft(held * np.hanning(len(held)), 1 << 19))
    step_hz = RATE_HZ / (1 << 19)
    for harmonic in (1, 2, 3):
        near = np.arange(int(0.9 * harmonic * f0 / step_hz), int(1.1 * harmonic * f0 / step_hz))
        found = near[np.argmax(fine[near])] * step_hz
        assert abs(np.log(found / (harmonic * f0)) / np.log(CENT)) < 5  # cents


def test_a_vowel_stays_where_it_is_at_every_pitch(syllables: list[Syllable]) -> None:
    """[o] has its first two resonances under 1.2 kHz, [i] its second above 1.8."""
    for pitch in (48, 55, 62):
        _, open_vowel, close_vowel = (
            sing([note(pitch)], ALTO, [syllable], 1.5, RATE_HZ)[round(0.6 * RATE_HZ) : round(1.1 * RATE_HZ)]
            for syllable in syllables
        )
        brightness = [
            loud_between(audio, 1800, 3500) - loud_between(audio, 700, 1500) for audio in (open_vowel, close_vowel)
        ]
        assert brightness[1] > brightness[0] + 12


def test_a_sibilant_comes_before_its_vowel(syllables: list[Syllable]) -> None:
    audio = sing([note()], ALTO, syllables, 1.5, RATE_HZ)
    start, voice = round(0.2 * RATE_HZ), round((0.2 + LONGEST_LEAD_S) * RATE_HZ)
    assert not audio[:start].any()
    hiss, vowel = audio[start : voice - 1000], audio[voice + 8000 : voice + 12000]
    assert loud_between(hiss, 4000, 10000) > loud_between(hiss, 100, 2000) + 6
    assert loud_between(vowel, 4000, 10000) < loud_between(vowel, 100, 2000) - 6


def test_notes_end_without_a_step_and_keep_the_clips_length(syllables: list[Syllable]) -> None:
    audio = sing([note(duration_s=0.4)], ALTO, syllables, 1.5, RATE_HZ)
    assert audio.shape == (round(1.5 * RATE_HZ),)
    assert audio.dtype == np.float32
    assert np.isfinite(audio).all()
    end = round((0.2 + LONGEST_LEAD_S + 0.4 + FADE_OUT_S) * RATE_HZ)
    assert not audio[end:].any()
    assert np.abs(audio[end - 400 : end]).max() < 0.05 * np.abs(audio).max()
    late = sing([note(start_s=1.4)], ALTO, syllables, 1.5, RATE_HZ)
    assert late.shape == audio.shape


def test_softer_notes_are_softer(syllables: list[Syllable]) -> None:
    loud, soft = (sing([note(velocity=velocity)], ALTO, syllables, 1.5, RATE_HZ) for velocity in (120, 60))
    assert np.std(soft) == pytest.approx(np.std(loud) * 0.5**1.5, rel=1e-3)


def test_a_chord_is_sung_on_one_syllable(syllables: list[Syllable]) -> None:
    chord = [note(60), note(64), note(60, start_s=0.8, duration_s=0.3)]
    together = sing(chord, ALTO, syllables, 1.5, RATE_HZ)
    apart = sing([chord[0]], ALTO, syllables[:1], 1.5, RATE_HZ) + sing([chord[1]], ALTO, syllables[:1], 1.5, RATE_HZ)
    start = slice(round(0.2 * RATE_HZ), round(0.26 * RATE_HZ))  # the consonant, in which nothing is drawn
    np.testing.assert_allclose(together[start], apart[start], atol=1e-6)


def test_a_group_of_voices_has_singers_beside_instruments(soundfont: Path, tmp_path: Path) -> None:
    plan = CorpusPlan(
        soundfont=soundfont, n_groups=1, n_patches=4, n_scores=2, clip_s=2.0, synth_share=0, drum_share=0, voice_share=1
    )
    for folder in (tmp_path / "once", tmp_path / "again"):
        folder.mkdir()
        render_corpus(plan, folder, n_processes=1)
    meta = json.loads((tmp_path / "once" / "group_00000.json").read_text())
    assert [patch["source"] for patch in meta["patches"]] == ["voice", "soundfont"] * 2
    audio = np.load(tmp_path / "once" / "group_00000.npy")
    np.testing.assert_array_equal(audio, np.load(tmp_path / "again" / "group_00000.npy"))
    assert audio.any(axis=-1).all()
    assert set(Corpus(tmp_path / "once").styles(tmp_path / "once" / "group_00000.npy")) >= {0, 2}


def test_voices_without_the_program_that_speaks_are_told(
    soundfont: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--hours", "0.001", "--voice-share", "1", "--synth-share", "0", "--drum-share", "0", "--processes", "1"]
    monkeypatch.setattr("deepmusic_export.render.speech.SPEAKER", "no-such-program")
    monkeypatch.setattr("deepmusic_export.render.corpus.render_groups", lambda render, numbers, _: render(numbers[0]))
    assert main(["render", "-o", str(tmp_path / "out"), "--soundfont", str(soundfont), *options]) == 1
    assert "expected the program no-such-program, found none; install the package espeak-ng" in capsys.readouterr().err


def test_a_syllable_without_a_voice_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    hiss = rng.standard_normal(9000).astype(np.float32)
    hum = np.sign(np.sin(2 * np.pi * 150 * np.arange(9000) / 22050)).astype(np.float32)

    def speak(text: str, **_: object) -> tuple[np.ndarray, int]:
        return (hum if text == "lo" else hiss), 22050

    monkeypatch.setattr("deepmusic_export.render.singing.speak", speak)
    (only,) = syllables_of(ALTO, RATE_HZ)
    assert RATE_HZ / only.period == pytest.approx(150, rel=0.01)
    monkeypatch.setattr("deepmusic_export.render.singing.speak", lambda *_, **__: (hiss, 22050))
    with pytest.raises(RuntimeError, match=r"expected a voice on one tone, espeak-ng gave none as it\+f2"):
        syllables_of(ALTO, RATE_HZ)
