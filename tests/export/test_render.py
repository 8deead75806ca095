"""Scores, patches, synthesis, FluidSynth and the corpus on disk."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepmusic_export.cli import main
from deepmusic_export.cli import render as render_command
from deepmusic_export.render.corpus import CLIP_LEVEL_DBFS, CorpusPlan, render_corpus
from deepmusic_export.render.patches import (
    HELD_OUT_PROGRAMS,
    Edit,
    Effects,
    Patch,
    apply_effects,
    random_edit,
    random_effects,
)
from deepmusic_export.render.scores import (
    DRUM_KEYS,
    HIGHEST_PITCH,
    LOWEST_PITCH,
    MIN_NOTES,
    Note,
    random_drum_score,
    random_score,
)
from deepmusic_export.render.soundfont import render_clips
from deepmusic_export.render.synthesis import play, voice_of
from deepmusic_export.whole_file import partial_path

RATE_HZ = 44100

HALF_A_SEMITONE = 2 ** (0.5 / 12)

ONSET_SLACK_S = 0.03
"""MIDI ticks are 1 ms; the softest attack of the piano needs the rest to pass the threshold."""


def strongest_hz(audio: np.ndarray, sample_rate_hz: int) -> float:
    spectrum = np.abs(np.fft.rfft(audio * np.hanning(len(audio)), 1 << 17))
    return float(np.argmax(spectrum) * sample_rate_hz / (1 << 17))


def onset_s(audio: np.ndarray) -> float:
    return float(np.argmax(np.abs(audio) > 0.02 * np.abs(audio).max())) / RATE_HZ


def centroid_hz(audio: np.ndarray) -> float:
    power = np.abs(np.fft.rfft(audio * np.hanning(len(audio)))) ** 2
    return float(np.sum(power * np.fft.rfftfreq(len(audio), 1 / RATE_HZ)) / np.sum(power))


def harmonic_pitch_hz(audio: np.ndarray) -> float:
    """Highest peak of the autocorrelation between 80 and 500 Hz."""
    spectrum = np.fft.rfft(audio * np.hanning(len(audio)), 4 * len(audio))
    lags = np.fft.irfft(np.abs(spectrum) ** 2)
    shortest, longest = RATE_HZ // 500, RATE_HZ // 80
    return RATE_HZ / float(shortest + np.argmax(lags[shortest:longest]))


def piano(program: int = 0) -> Patch:
    return Patch(source="soundfont", program=program, accompaniment=program)


@given(seed=st.integers(0, 2**32))
def test_a_score_follows_from_its_seed_and_stays_within_its_clip(seed: int) -> None:
    score = random_score(np.random.default_rng(seed), 6.0)
    assert score == random_score(np.random.default_rng(seed), 6.0)
    assert len(score) >= MIN_NOTES
    assert [note.start_s for note in score] == sorted(note.start_s for note in score)
    for note in score:
        assert 0 <= note.start_s < 6.0
        assert note.duration_s > 0
        assert LOWEST_PITCH <= note.pitch <= HIGHEST_PITCH
        assert 1 <= note.velocity <= 127
        assert note.part in {0, 1}


@given(seed=st.integers(0, 2**32))
def test_a_drum_score_uses_only_keys_that_every_kit_has(seed: int) -> None:
    score = random_drum_score(np.random.default_rng(seed), 3.0)
    assert score == random_drum_score(np.random.default_rng(seed), 3.0)
    assert score
    assert {note.pitch for note in score} <= set(DRUM_KEYS)
    assert all(note.start_s < 3.0 and 1 <= note.velocity <= 127 for note in score)


def test_effects_at_their_defaults_give_the_input_back() -> None:
    audio = np.random.default_rng(0).standard_normal(4000).astype(np.float32)
    np.testing.assert_array_equal(apply_effects(audio, Effects(), RATE_HZ), audio)


@given(seed=st.integers(0, 2**32))
def test_effects_keep_the_length_and_stay_finite(seed: int) -> None:
    audio = 0.1 * np.random.default_rng(0).standard_normal(4000).astype(np.float32)
    kept = audio.copy()
    effects = random_effects(np.random.default_rng(seed))
    out = apply_effects(audio, effects, RATE_HZ)
    assert out.shape == audio.shape
    assert out.dtype == np.float32
    assert np.isfinite(out).all()
    np.testing.assert_array_equal(out, apply_effects(audio, effects, RATE_HZ))
    np.testing.assert_array_equal(audio, kept)


def test_an_equaliser_raises_its_own_band() -> None:
    seconds = np.arange(RATE_HZ) / RATE_HZ
    tone = np.sin(2 * np.pi * 1000 * seconds).astype(np.float32)
    out = apply_effects(tone, Effects(eq_db=(0, 0, 0, 0, 6, 0, 0, 0, 0)), RATE_HZ)
    middle = slice(RATE_HZ // 4, RATE_HZ // 2)
    gain_db = 20 * np.log10(np.std(out[middle]) / np.std(tone[middle]))
    assert gain_db == pytest.approx(6.0, abs=0.1)


def test_a_reverb_rings_on_after_the_sound_has_ended() -> None:
    click = np.zeros(RATE_HZ, np.float32)
    click[0] = 1.0
    wet = apply_effects(click, Effects(reverb_s=0.5, reverb_mix=0.5, seed=3), RATE_HZ)
    assert wet[0] == pytest.approx(1.0, abs=0.1)  # the tail starts at once
    assert np.abs(wet[100 : RATE_HZ // 4]).max() > 1e-3
    assert np.abs(wet[int(0.6 * RATE_HZ) :]).max() < 1e-5


@settings(max_examples=10)
@given(seed=st.integers(0, 2**31 - 1))
def test_a_synthesised_note_follows_from_its_seed_and_is_finite(seed: int) -> None:
    score = [Note(start_s=0.1, duration_s=0.2, pitch=60, velocity=90, part=0)]
    audio = play(score, voice_of(seed), 0.5, RATE_HZ)
    assert audio.shape == (RATE_HZ // 2,)
    assert audio.dtype == np.float32
    assert np.isfinite(audio).all()
    assert np.abs(audio).max() < 50.0
    assert not audio[: RATE_HZ // 10].any()
    assert audio.any()
    np.testing.assert_array_equal(audio, play(score, voice_of(seed), 0.5, RATE_HZ))


def test_a_synthesised_note_has_the_pitch_of_its_key() -> None:
    seed = next(
        s
        for s in range(100)
        if voice_of(s).kind == "additive" and voice_of(s).slope_db > 12 and not voice_of(s).formants
    )
    audio = play([Note(start_s=0.0, duration_s=0.8, pitch=69, velocity=100, part=0)], voice_of(seed), 1.0, RATE_HZ)
    assert 440 / HALF_A_SEMITONE < strongest_hz(audio, RATE_HZ) < 440 * HALF_A_SEMITONE


def test_fluidsynth_plays_each_clip_in_its_own_slot(soundfont: Path) -> None:
    low = [Note(start_s=0.1, duration_s=0.6, pitch=57, velocity=100, part=0)]
    high = [Note(start_s=0.4, duration_s=0.3, pitch=81, velocity=100, part=1)]
    clips = [(piano(73), low), (piano(73), high), (piano(73), low)]
    audio = render_clips(soundfont, clips, 0.8, RATE_HZ)
    assert audio.shape == (3, round(0.8 * RATE_HZ))
    assert np.isfinite(audio).all()
    for row, (pitch_hz, start_s) in enumerate([(220.0, 0.1), (880.0, 0.4), (220.0, 0.1)]):
        first_s = np.flatnonzero(np.abs(audio[row]) > 0.02 * np.abs(audio[row]).max())[0] / RATE_HZ
        assert start_s - ONSET_SLACK_S < first_s < start_s + 3 * ONSET_SLACK_S
        steady = audio[row, round((start_s + 0.1) * RATE_HZ) : round((start_s + 0.3) * RATE_HZ)]
        harmonic = strongest_hz(steady, RATE_HZ) / pitch_hz
        assert min(abs(harmonic / whole - 1) for whole in (1, 2, 3)) < HALF_A_SEMITONE - 1


def test_fluidsynth_renders_the_same_twice(soundfont: Path) -> None:
    clips = [(piano(), [Note(start_s=0.0, duration_s=0.2, pitch=60, velocity=90, part=0)])]
    first, second = (render_clips(soundfont, clips, 0.3, RATE_HZ) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_drums_sound_on_the_drum_channel(soundfont: Path) -> None:
    kick = [Note(start_s=0.0, duration_s=0.1, pitch=36, velocity=100, part=0)]
    drums = render_clips(soundfont, [(Patch(source="drums", program=0, accompaniment=0), kick)], 0.3, RATE_HZ)
    keys = render_clips(soundfont, [(piano(), kick)], 0.3, RATE_HZ)
    assert np.abs(drums).max() > 0.01
    assert not np.allclose(drums, keys, atol=1e-3)


def test_a_group_plays_every_score_on_every_patch(synth_corpus: Path, synth_plan: CorpusPlan) -> None:
    for path in sorted(synth_corpus.glob("group_*.npy")):
        audio = np.load(path)
        meta = json.loads(path.with_suffix(".json").read_text())
        n_samples = round(synth_plan.clip_s * meta["sample_rate_hz"])
        assert audio.dtype == np.int16
        assert audio.shape == (synth_plan.n_patches, synth_plan.n_scores, n_samples)
        assert len(meta["patches"]) == synth_plan.n_patches
        loud = np.sort((audio / 32768.0) ** 2, axis=-1)[..., n_samples // 2 :].mean(-1)
        assert (10 * np.log10(loud) < CLIP_LEVEL_DBFS + 3.0).all()
        assert audio.any(axis=-1).all()


def test_a_group_tells_its_notes(synth_corpus: Path, synth_plan: CorpusPlan) -> None:
    meta = json.loads((synth_corpus / "group_00000.json").read_text())
    audio = np.load(synth_corpus / "group_00000.npy")
    assert len(meta["scores"]) == synth_plan.n_scores
    for index, score in enumerate(meta["scores"]):
        assert len(score) >= MIN_NOTES
        notes = [Note(**dict(zip(Note.__dataclass_fields__, row, strict=True))) for row in score]
        assert all(LOWEST_PITCH <= note.pitch <= HIGHEST_PITCH for note in notes)
        first = round(notes[0].start_s * meta["sample_rate_hz"])
        effects_that_move = [patch["effects"]["eq_db"] or patch["effects"]["reverb_s"] for patch in meta["patches"]]
        for patch, moved in enumerate(effects_that_move):
            if not moved:
                assert not audio[patch, index, : max(first - 2, 0)].any()
                assert audio[patch, index, first : first + 4410].any()


def test_a_run_that_was_stopped_renders_only_what_is_missing(
    synth_corpus: Path, synth_plan: CorpusPlan, tmp_path: Path
) -> None:
    kept, lost = "group_00000.npy", "group_00001.npy"
    for suffix in (".npy", ".json"):
        (tmp_path / kept).with_suffix(suffix).write_bytes((synth_corpus / kept).with_suffix(suffix).read_bytes())
    before = (tmp_path / kept).stat().st_mtime_ns
    partial_path(tmp_path / lost).write_bytes(b"half of a group")
    render_corpus(synth_plan, tmp_path, n_processes=1)
    assert (tmp_path / kept).stat().st_mtime_ns == before
    assert (tmp_path / lost).read_bytes() == (synth_corpus / lost).read_bytes()
    assert (tmp_path / lost).with_suffix(".json").read_bytes() == (synth_corpus / lost).with_suffix(
        ".json"
    ).read_bytes()
    assert not list(tmp_path.glob("*.part"))


def test_groups_of_another_plan_are_not_gone_on_with(
    synth_corpus: Path, synth_plan: CorpusPlan, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(synth_corpus, tmp_path / "corpus"))
    render_corpus(replace(synth_plan, n_groups=1), folder, n_processes=1)
    with pytest.raises(ValueError, match=r"got some with seed 4 instead of 5 and clip_s .*; name another"):
        render_corpus(replace(synth_plan, seed=5, clip_s=9.0, n_groups=3), folder, n_processes=1)
    assert len(list(folder.glob("group_*.npy"))) == synth_plan.n_groups


def test_training_never_hears_a_held_out_program(soundfont_corpus: Path) -> None:
    meta = json.loads((soundfont_corpus / "group_00000.json").read_text())
    heard = {patch[part] for patch in meta["patches"] for part in ("program", "accompaniment")}
    assert not heard & set(HELD_OUT_PROGRAMS)


@pytest.mark.parametrize("semitones", [-7, 5])
def test_another_body_keeps_pitch_and_time_and_moves_the_formants(semitones: int, soundfont: Path) -> None:
    choir = 52
    score = [Note(start_s=start_s, duration_s=0.5, pitch=57, velocity=100, part=0) for start_s in (0.2, 0.9)]
    own = Patch(source="soundfont", program=choir, accompaniment=choir)
    clips = [(own, score), (replace(own, body_semitones=semitones), score)]
    plain, other = render_clips(soundfont, clips, 1.6, RATE_HZ)
    assert len(plain) == len(other) == round(1.6 * RATE_HZ)
    for audio in (plain, other):
        assert onset_s(audio) == pytest.approx(0.2, abs=ONSET_SLACK_S)
    centroids = [centroid_hz(audio[RATE_HZ // 3 : RATE_HZ // 3 * 2]) for audio in (plain, other)]
    assert (centroids[1] > 1.1 * centroids[0]) if semitones > 0 else (centroids[1] < 0.9 * centroids[0])
    fundamentals = [harmonic_pitch_hz(audio[RATE_HZ // 3 : RATE_HZ // 3 * 2]) for audio in (plain, other)]
    assert fundamentals[0] == pytest.approx(220.0, rel=HALF_A_SEMITONE - 1)
    assert fundamentals[1] == pytest.approx(220.0, rel=HALF_A_SEMITONE - 1)


def level_db(audio: np.ndarray, from_s: float, to_s: float) -> float:
    part = audio[round(from_s * RATE_HZ) : round(to_s * RATE_HZ)]
    return float(10 * np.log10(np.mean(part**2) + 1e-12))


def test_an_edited_patch_has_another_filter_and_envelope_and_the_next_one_has_its_own(soundfont: Path) -> None:
    brass = Patch(source="soundfont", program=61, accompaniment=61)
    score = [Note(start_s=0.2, duration_s=1.0, pitch=57, velocity=100, part=0)]
    edits = [
        Edit(),
        Edit(cutoff_cents=-5000),
        Edit(attack_timecents=9600),
        Edit(decay_timecents=11000, sustain_cb=900),
        Edit(release_timecents=3600),
        Edit(),
    ]
    clips = [(replace(brass, edit=edit), score) for edit in edits]
    plain, dull, slow, struck, ringing, again = render_clips(soundfont, clips, 2.0, RATE_HZ)
    sounding = slice(RATE_HZ // 2, RATE_HZ)
    assert centroid_hz(dull[sounding]) < 0.5 * centroid_hz(plain[sounding])
    assert level_db(slow, 0.2, 0.25) < level_db(plain, 0.2, 0.25) - 6
    assert level_db(slow, 0.9, 1.2) == pytest.approx(level_db(plain, 0.9, 1.2), abs=1.0)
    assert level_db(struck, 0.9, 1.2) < level_db(plain, 0.9, 1.2) - 40
    assert level_db(ringing, 1.6, 2.0) > level_db(plain, 1.6, 2.0) + 40
    assert centroid_hz(again[sounding]) == pytest.approx(centroid_hz(plain[sounding]), rel=0.02)
    for from_s, to_s in ((0.2, 0.25), (0.9, 1.2), (1.3, 1.4)):
        assert level_db(again, from_s, to_s) == pytest.approx(level_db(plain, from_s, to_s), abs=1.0)


@given(seed=st.integers(0, 2**32 - 1))
def test_edits_fit_into_their_messages(seed: int) -> None:
    for amount in random_edit(np.random.default_rng(seed)).offsets.values():
        assert -8192 <= amount / 2 <= 8191


def test_edits_are_drawn_where_they_are_asked_for(soundfont: Path, tmp_path: Path) -> None:
    plan = CorpusPlan(
        soundfont=soundfont, n_groups=1, n_scores=2, clip_s=1.0, synth_share=0, drum_share=0, edit_share=1
    )
    render_corpus(plan, tmp_path, n_processes=1)
    meta = json.loads((tmp_path / "group_00000.json").read_text())
    assert all(any(patch["edit"].values()) for patch in meta["patches"])


def test_a_missing_soundfont_is_told_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(render_command, "DEFAULT_SOUNDFONT", tmp_path / "none.sf2")
    assert main(["render", "-o", str(tmp_path / "out")]) == 1
    assert "none.sf2; install it, or name one with --soundfont" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--hours", "0"], "expected --hours above 0, got 0"),
        (["--synth-share", "0.8", "--drum-share", "0.3"], "that make 1 at most, got 0.8, 0.3, 0"),
    ],
    ids=["hours", "shares"],
)
def test_a_corpus_that_cannot_be_is_refused(
    options: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["render", "-o", str(tmp_path / "corpus"), *options]) == 1
    assert told in capsys.readouterr().err
    assert not (tmp_path / "corpus").exists()
