"""Training examples and labels from a corpus."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from deepmusic.dsp.gains import BandLayout
from deepmusic_export.band_corpus import BandCorpus
from deepmusic_export.data import LEVEL_SPREAD_DB, Corpus
from deepmusic_export.training.labelled import (
    DRUM_FAMILY,
    LOWEST_KEY,
    NOTE_FRAME_SAMPLES,
    SYNTH_FAMILY,
    UNKNOWN,
    WINDOW_LAG_SAMPLES,
    LabelledCorpus,
    piano_roll,
)

N_SAMPLES = 32768

#: int16 samples and the level change of an example.
SILENT = 1e-6


def retold(source: Path, folder: Path, **changes: object) -> Path:
    """A copy of a corpus whose first group's JSON file has other entries; None removes one."""
    shutil.copytree(source, folder)
    path = folder / "group_00000.json"
    meta = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({name: value for name, value in meta.items() if value is not None}))
    return folder


def test_an_example_is_one_score_on_two_patches_and_another_as_style(synth_corpus: Path) -> None:
    corpus = Corpus(synth_corpus)
    batch = corpus.batch(np.random.default_rng(0), 6, N_SAMPLES)
    for audio in (batch.content, batch.style, batch.oracle):
        assert audio.shape == (6, N_SAMPLES)
        assert audio.dtype == torch.float32
        assert torch.isfinite(audio).all()
        level_db = 10 * torch.log10(audio.square().mean(1))
        assert ((level_db + 20).abs() <= LEVEL_SPREAD_DB + 0.01).all()
    content_db, oracle_db = (10 * torch.log10(a.square().mean(1)) for a in (batch.content, batch.oracle))
    torch.testing.assert_close(content_db, oracle_db, atol=1e-3, rtol=0)


def test_a_batch_follows_from_its_generator(synth_corpus: Path) -> None:
    corpus = Corpus(synth_corpus)
    first, second = (corpus.batch(np.random.default_rng(7), 4, N_SAMPLES) for _ in range(2))
    assert first.sample_rate_hz == second.sample_rate_hz
    assert torch.equal(first.content, second.content)
    assert torch.equal(first.style, second.style)
    assert torch.equal(first.oracle, second.oracle)


def test_a_part_as_long_as_the_clip_is_the_clip_and_a_longer_one_is_refused(synth_corpus: Path, tmp_path: Path) -> None:
    length = 1024
    shutil.copy(synth_corpus / "group_00000.json", tmp_path)
    path = shutil.copy(synth_corpus / "group_00000.npy", tmp_path)
    np.save(path, np.load(path)[:, :, 4096 : 4096 + length])
    corpus, rng = Corpus(tmp_path), np.random.default_rng(0)
    assert corpus.batch(rng, 2, length).content.shape == (2, length)
    with pytest.raises(ValueError, match="expected clips of at least 1025 samples, got one of 1024; render longer"):
        corpus.batch(rng, 2, length + 1)
    with pytest.raises(ValueError, match="expected clips of at least 4096 samples, got one of 1024; render longer"):
        LabelledCorpus(corpus).batch(rng, 4, NOTE_FRAME_SAMPLES)
    with pytest.raises(ValueError, match="expected clips of at least 5 frames, got one of 4; render longer"):
        BandCorpus(corpus, BandLayout()).batch(rng, 2, 5)


def test_groups_that_appear_later_are_found(synth_corpus: Path, tmp_path: Path) -> None:
    for suffix in (".npy", ".json"):
        shutil.copy(synth_corpus / f"group_00000{suffix}", tmp_path)
    corpus = Corpus(tmp_path)
    hours = corpus.hours
    for suffix in (".npy", ".json"):
        shutil.copy(synth_corpus / f"group_00001{suffix}", tmp_path)
    corpus.refresh()
    assert len(corpus.groups()) == 2
    assert corpus.hours > hours > 0


def test_a_favoured_folder_of_one_rate_has_its_share_of_the_audio(soundfont_corpus: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    shutil.copy(soundfont_corpus / "group_00000.json", own)
    audio = np.load(soundfont_corpus / "group_00000.npy")
    np.save(own / "group_00000.npy", np.full_like(audio, 3000))  # known by its level, which never moves
    corpus, rng = Corpus(soundfont_corpus, own, favoured=own, share=0.4), np.random.default_rng(0)
    rates = {json.loads(path.read_text())["sample_rate_hz"] for path in soundfont_corpus.glob("group_*.json")}
    assert rates == {44100, 48000}
    batches = [corpus.batch(rng, 4, 1024) for _ in range(400)]
    is_own = torch.cat([batch.style.std(1) < SILENT for batch in batches])
    assert float(is_own.float().mean()) == pytest.approx(0.4, abs=0.05)


def test_an_empty_folder_is_told_how_to_be_filled(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="deepmusic-export render"):
        Corpus(tmp_path)


def test_a_corpus_of_before_the_notes_were_told_still_loads(synth_corpus: Path, tmp_path: Path) -> None:
    folder = retold(synth_corpus, tmp_path / "old", scores=None)
    corpus = Corpus(folder)
    assert corpus.batch(np.random.default_rng(0), 2, N_SAMPLES).content.shape == (2, N_SAMPLES)
    clips = LabelledCorpus(corpus).whole(folder / "group_00000.npy")
    assert not clips.has_notes.any()
    assert not clips.notes.any()


def test_labels_say_program_family_instrument_and_notes(soundfont_corpus: Path) -> None:
    corpus = LabelledCorpus(Corpus(soundfont_corpus))
    meta = json.loads((soundfont_corpus / "group_00000.json").read_text())
    clips = corpus.whole(soundfont_corpus / "group_00000.npy")
    assert clips.program.shape == (6,)
    for row, (patch, score) in enumerate((p, s) for p in range(3) for s in range(2)):
        alone = meta["patches"][patch]["program"] == meta["patches"][patch]["accompaniment"]
        if alone:
            assert clips.program[row] == meta["patches"][patch]["program"]
        if clips.program[row] != UNKNOWN:
            assert clips.family[row] == clips.program[row] // 8
        assert clips.instrument[row] == clips.instrument[2 * patch]
        assert clips.score[row] == score
    assert clips.has_notes.all()
    keys = {int(pitch) - LOWEST_KEY for _, _, pitch, _, _ in meta["scores"][0]}
    assert set(clips.notes[0].nonzero()[:, 1].tolist()) <= keys
    assert clips.notes[0].any()
    assert torch.equal(clips.notes[0], clips.notes[2])
    assert len(clips.instrument.unique()) == 3


def test_two_programs_at_once_have_no_program(synth_corpus: Path, tmp_path: Path) -> None:
    meta = json.loads((synth_corpus / "group_00000.json").read_text())
    two = {**meta["patches"][0], "source": "soundfont", "program": 5, "accompaniment": 40}
    both = [[0.0, 0.3, 60, 90, 0], [0.5, 0.3, 60, 90, 1]]
    folder = retold(
        synth_corpus,
        tmp_path / "two",
        kind="soundfont",
        patches=[two, {**two, "accompaniment": 5}],
        scores=[both, [[0.0, 0.3, 60, 90, 1]]],
    )
    clips = LabelledCorpus(Corpus(folder)).whole(folder / "group_00000.npy")
    assert clips.program.tolist() == [UNKNOWN, 40, 5, 5]
    assert clips.family.tolist() == [UNKNOWN, 5, 0, 0]


def test_drums_and_synthesis_are_families_without_programs(synth_corpus: Path, tmp_path: Path) -> None:
    clips = LabelledCorpus(Corpus(synth_corpus)).whole(synth_corpus / "group_00000.npy")
    assert set(clips.family.tolist()) == {SYNTH_FAMILY}
    assert set(clips.program.tolist()) == {UNKNOWN}
    assert clips.has_notes.all()
    meta = json.loads((synth_corpus / "group_00000.json").read_text())
    patches = [{**patch, "source": "drums", "program": 8, "accompaniment": 8} for patch in meta["patches"]]
    folder = retold(synth_corpus, tmp_path / "drums", kind="drums", patches=patches)
    drums = LabelledCorpus(Corpus(folder)).whole(folder / "group_00000.npy")
    assert set(drums.family.tolist()) == {DRUM_FAMILY}
    assert not drums.has_notes.any()


def test_labelled_crops_come_as_two_scores_on_two_patches(synth_corpus: Path) -> None:
    clips = LabelledCorpus(Corpus(synth_corpus)).batch(np.random.default_rng(0), 8, N_SAMPLES)
    assert clips.audio.shape == (8, N_SAMPLES)
    assert clips.notes.shape[:2] == (8, N_SAMPLES // NOTE_FRAME_SAMPLES)
    for four in range(0, 8, 4):
        a, b, c, d = clips.instrument[four : four + 4].tolist()
        assert a == b != c == d
        a, b, c, d = clips.score[four : four + 4].tolist()
        assert a == c != b == d


def test_a_piano_roll_holds_the_keys_that_are_down_in_the_middle_of_a_frame() -> None:
    rate = 48000
    second = WINDOW_LAG_SAMPLES / rate
    score = np.array([[0.5 - second, 0.25, 60, 90, 0], [0.0, 9.0, 5, 90, 0]])
    roll = piano_roll(score, 0, 12, rate)
    middles_s = (np.arange(12) + 0.5) * NOTE_FRAME_SAMPLES / rate
    np.testing.assert_array_equal(roll[:, 60 - LOWEST_KEY], (middles_s >= 0.5) & (middles_s < 0.75))
    assert roll.sum() == roll[:, 60 - LOWEST_KEY].sum()
    later = piano_roll(score, 2 * NOTE_FRAME_SAMPLES, 10, rate)
    np.testing.assert_array_equal(later, roll[2:])
