"""Own recordings: what a folder holds, disguises that keep the notes, and groups in the form of a rendered corpus."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from deepmusic.errors import DecodeFailed, RequestError
from deepmusic_export.cli.verbs import run
from deepmusic_export.data import Corpus
from deepmusic_export.evaluate.pairs import draw_pairs
from deepmusic_export.render.disguises import Disguise, apply_disguise, random_disguise
from deepmusic_export.render.recorded_corpus import RecordedPlan, render_recordings
from deepmusic_export.render.recordings import MIN_SECTION_S, SECTION_S, OwnRecording, read_section, survey
from deepmusic_export.training.labelled import UNKNOWN, LabelledCorpus
from deepmusic_export.training.system import load_system
from deepmusic_export.training.timbre import group_digest
from deepmusic_export.whole_file import partial_path

RATE_HZ = 44100

CALIBRATION_SAMPLES = 196608
"""Length of a clip that calibrates int8, the longest that anything asks for."""

HALF_A_SEMITONE = 2 ** (0.5 / 12)

#: (file, rate in Hz, channels, seconds, libsndfile's format and subtype)
FILES = (
    ("long.wav", 44100, 2, 40.0, "WAV", "PCM_24"),
    ("low.flac", 8000, 1, 13.0, "FLAC", "PCM_16"),
    ("high.aiff", 96000, 2, 12.5, "AIFF", "PCM_16"),
    ("deep/down.ogg", 48000, 2, 12.0, "OGG", "VORBIS"),
    ("short.mp3", 44100, 1, 9.5, "MP3", "MPEG_LAYER_III"),
)


def melody(seconds: float, rate_hz: int, hz: float = 220.0) -> np.ndarray:
    """Plucked notes of eight overtones, two a second, float32 (samples,)."""
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    since_s = time_s % 0.5
    pitch_hz = hz * 2.0 ** (np.floor(time_s / 0.5) % 5 / 12)
    tone = sum(np.sin(2 * np.pi * pitch_hz * k * since_s) / k for k in range(1, 9) if 5.5 * hz * k < rate_hz)
    return (0.2 * tone * np.exp(-3.0 * since_s) * np.minimum(1.0, since_s / 0.005)).astype(np.float32)


def write(path: Path, audio: np.ndarray, rate_hz: int, container: str = "WAV", subtype: str = "PCM_16") -> Path:
    """Writes (channels, samples), a second at a time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with soundfile.SoundFile(path, "w", rate_hz, len(audio), subtype, format=container) as file:
        for first in range(0, audio.shape[1], rate_hz):
            file.write(np.ascontiguousarray(audio[:, first : first + rate_hz].T))
    return path


@pytest.fixture(scope="session")
def takes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of recordings in every format, and of files that are of no use."""
    folder = tmp_path_factory.mktemp("takes")
    for name, rate_hz, n_channels, seconds, container, subtype in FILES:
        audio = np.stack([melody(seconds, rate_hz)] * n_channels)
        write(folder / name, audio, rate_hz, container, subtype)
    write(folder / "silent.wav", np.zeros((1, 20 * RATE_HZ), np.float32), RATE_HZ)
    write(folder / "once.wav", melody(3.0, RATE_HZ)[None], RATE_HZ)
    broken = write(folder / "broken.flac", melody(20.0, RATE_HZ)[None], RATE_HZ, "FLAC")
    broken.write_bytes(broken.read_bytes()[: broken.stat().st_size // 2])
    (folder / "notes.txt").write_text("take two was better")
    (folder / "nothing.wav").touch()
    (folder / ".hidden.wav").write_bytes(b"left by a file manager")
    return folder


@pytest.fixture(scope="session")
def pairs(takes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some groups of three patches, made of them."""
    folder = tmp_path_factory.mktemp("pairs")
    render_recordings(plan_of(takes), folder, n_processes=1)
    return folder


def plan_of(source: Path) -> RecordedPlan:
    return RecordedPlan(source=source, hours=0.08, n_patches=3)


def copy_of_survey(pairs: Path, folder: Path) -> Path:
    folder.mkdir()
    (folder / "recordings.json").write_text((pairs / "recordings.json").read_text())
    return folder


def test_every_format_rate_and_channel_count_is_taken_and_the_rest_is_named(takes: Path) -> None:
    found = survey(takes)
    assert [one.name for one in found.recordings] == sorted(name for name, *_ in FILES)
    reasons = {one.name: one.reason for one in found.skipped}
    assert list(reasons) == ["broken.flac", "notes.txt", "nothing.wav", "once.wav", "silent.wav"]
    for name, word in zip(
        reasons, ("broken", "WAV, AIFF", "empty", "at least 9 s, got 3.0 s", "-50 dBFS"), strict=True
    ):
        assert reasons[name].startswith(f"{name}: expected")
        assert word in reasons[name]
        assert "\n" not in reasons[name]


def test_sections_lie_over_the_whole_length_and_leave_silence_out(tmp_path: Path) -> None:
    audio = melody(60.0, 8000)
    audio[20 * 8000 : 40 * 8000] = 0.0
    write(tmp_path / "take.wav", audio[None], 8000)
    (recording,) = survey(tmp_path).recordings
    assert [start / 8000 for start in recording.starts] == [0, 6, 12, 18, 36, 42, 48, 54]


@pytest.mark.parametrize(("seconds", "section_s"), [(9.0, MIN_SECTION_S), (10.0, 5.0), (30.0, SECTION_S)])
def test_a_short_recording_is_halved(tmp_path: Path, seconds: float, section_s: float) -> None:
    write(tmp_path / "take.wav", melody(seconds, 8000)[None], 8000)
    assert survey(tmp_path).recordings[0].section_s == section_s


def test_a_folder_with_nothing_usable_is_refused_with_the_reasons(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="it holds no file"):
        survey(tmp_path)
    write(tmp_path / "once.wav", melody(3.0, 8000)[None], 8000)
    with pytest.raises(RequestError, match=r"found none: once\.wav: expected at least 9 s"):
        survey(tmp_path)


def test_channels_that_cancel_each_other_are_heard(tmp_path: Path) -> None:
    audio = melody(12.0, RATE_HZ)
    write(tmp_path / "wide.wav", np.stack([audio, -audio]), RATE_HZ)
    (recording,) = survey(tmp_path).recordings
    heard = read_section(tmp_path, recording, 0, RATE_HZ)
    np.testing.assert_allclose(np.abs(heard), np.abs(audio[: len(heard)]), atol=1e-3)


def test_a_section_comes_at_the_wanted_rate_without_its_mean(takes: Path) -> None:
    recording = next(one for one in survey(takes).recordings if one.name == "high.aiff")
    heard = read_section(takes, recording, recording.starts[1], RATE_HZ)
    assert len(heard) == round(SECTION_S * RATE_HZ)
    expected = melody(12.0, RATE_HZ)[-len(heard) :]
    assert abs(heard.mean()) < 1e-6
    assert np.corrcoef(heard, expected)[0, 1] > 0.99


def test_a_file_that_was_cut_since_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "take.wav", melody(12.0, 8000)[None], 8000)
    (recording,) = survey(tmp_path).recordings
    write(path, melody(7.0, 8000)[None], 8000)
    with pytest.raises(DecodeFailed, match=r"take\.wav: expected 48000 samples at 48000, got 8000"):
        read_section(tmp_path, recording, recording.starts[1], 8000)


def test_a_disguise_at_its_defaults_gives_the_input_back() -> None:
    audio = melody(2.0, RATE_HZ)
    np.testing.assert_array_equal(apply_disguise(audio, Disguise(), RATE_HZ), audio)


@pytest.mark.parametrize("seed", range(12))
def test_a_disguise_keeps_length_notes_and_its_argument(seed: int) -> None:
    audio = melody(3.0, RATE_HZ)
    kept = audio.copy()
    worn = random_disguise(np.random.default_rng(seed))
    out = apply_disguise(audio, worn, RATE_HZ)
    assert out.shape == audio.shape
    assert out.dtype == np.float32
    assert np.isfinite(out).all()
    np.testing.assert_array_equal(audio, kept)
    np.testing.assert_array_equal(out, apply_disguise(audio, worn, RATE_HZ))
    assert not np.allclose(out, audio, atol=1e-3)
    assert pitch_hz(out) == pytest.approx(220.0, rel=HALF_A_SEMITONE - 1)


@pytest.mark.parametrize("semitones", [-7.0, 7.0])
def test_another_body_moves_the_resonance_and_not_the_pitch(semitones: float) -> None:
    audio = buzz(600.0)
    out = apply_disguise(audio, Disguise(body_semitones=semitones), RATE_HZ)
    assert pitch_hz(out) == pytest.approx(220.0, rel=HALF_A_SEMITONE - 1)
    expected = buzz(600.0 * 2.0 ** (semitones / 12))
    distances = [np.abs(band_levels_db(out) - band_levels_db(other)).mean() for other in (expected, audio)]
    assert distances[0] < 0.7 * distances[1]


@pytest.mark.parametrize(("dynamics", "sign"), [(2.0, -1), (0.5, 1)])
def test_dynamics_let_notes_die_sooner_or_last(dynamics: float, sign: int) -> None:
    audio = melody(3.0, RATE_HZ)
    out = apply_disguise(audio, Disguise(dynamics=dynamics), RATE_HZ)
    # A note falls by 26 dB a second: from its 50th to its 400th millisecond 9.1 dB.
    assert fall_db(audio) == pytest.approx(-9.1, abs=0.5)
    assert fall_db(out) == pytest.approx(-9.1 * dynamics, abs=1.5)


@pytest.mark.parametrize("attack_db", [-10.0, 10.0])
def test_an_attack_comes_forward_or_goes_back(attack_db: float) -> None:
    audio = melody(3.0, RATE_HZ)
    out = apply_disguise(audio, Disguise(attack_db=attack_db), RATE_HZ)
    gain_db = 20 * np.log10(np.std(out[note(0.02, 0.06)]) / np.std(audio[note(0.02, 0.06)]))
    late_db = 20 * np.log10(np.std(out[note(0.3, 0.4)]) / np.std(audio[note(0.3, 0.4)]))
    # Its note rises 8 dB above the quarter of a second before it: an attack, not in full.
    assert 0.3 < gain_db / attack_db < 1.0
    assert late_db == pytest.approx(0.0, abs=0.5)


def test_breath_lies_under_the_sound_as_loud_as_asked() -> None:
    audio = melody(3.0, RATE_HZ)
    noise = apply_disguise(audio, Disguise(breath_db=-20.0), RATE_HZ) - audio
    assert 20 * np.log10(np.std(noise) / np.std(audio)) == pytest.approx(-20.0, abs=1.0)


def test_a_group_has_the_form_of_a_rendered_one(pairs: Path, takes: Path) -> None:
    corpus = Corpus(pairs)
    assert corpus.hours >= 0.08
    names: set[str] = set()
    for index, group in enumerate(corpus.groups()):
        meta = json.loads(group.with_suffix(".json").read_text())
        names |= {patch["name"] for patch in meta["patches"]}
        n_patches, n_scores = corpus.shape(group)
        assert n_patches == 3 == len(set(corpus.sounds(group)))
        assert n_scores == len(set(meta["starts_s"])) >= 2
        assert list(corpus.instruments(group)) == list(corpus.styles(group)) == [0, 1, 2]
        assert meta["sample_rate_hz"] == (44100, 48000)[index % 2]
        assert len(corpus.clip(group, 0, 0)[0]) >= MIN_SECTION_S * meta["sample_rate_hz"]
    assert names == {name for name, *_ in FILES}  # each has its turn before one has a second


def test_the_first_patch_is_the_recording_itself_at_another_level(pairs: Path, takes: Path) -> None:
    corpus = Corpus(pairs)
    for group in corpus.groups():
        meta = json.loads(group.with_suffix(".json").read_text())
        recording = next(one for one in survey(takes).recordings if one.name == meta["patches"][0]["name"])
        clip, rate_hz = corpus.clip(group, 0, 1)
        heard = read_section(takes, recording, round(meta["starts_s"][1] * recording.sample_rate_hz), rate_hz)
        assert np.corrcoef(clip, heard)[0, 1] > 0.9999


def test_pairs_can_be_trained_on_measured_and_labelled(pairs: Path) -> None:
    corpus = Corpus(pairs)
    batch = corpus.batch(np.random.default_rng(0), 4, CALIBRATION_SAMPLES)
    assert batch.content.shape == batch.oracle.shape == (4, CALIBRATION_SAMPLES)
    (pair,) = draw_pairs(corpus, "mine", 1, seed=0)
    assert pair.content.shape == pair.oracle.shape
    clips = LabelledCorpus(corpus).whole(corpus.groups()[0])
    assert not clips.has_notes.any()
    assert set(clips.program.tolist()) == set(clips.family.tolist()) == {UNKNOWN}
    assert len(set(clips.instrument.tolist())) == 3


def test_a_run_that_was_stopped_makes_only_what_is_missing(pairs: Path, takes: Path, tmp_path: Path) -> None:
    again = copy_of_survey(pairs, tmp_path / "again")
    *kept, _, lost = sorted(pairs.glob("group_*"))  # the last group's two files are not there
    for file in kept:
        os.link(file, again / file.name)
    partial_path(again / lost.name).write_bytes(b"half of a group")
    render_recordings(plan_of(takes), again, n_processes=1)
    ours, theirs = Corpus(again).groups(), Corpus(pairs).groups()
    assert [group_digest(group) for group in ours] == [group_digest(group) for group in theirs]
    assert (again / "group_00000.npy").samefile(pairs / "group_00000.npy")
    assert not list(again.glob("*.part"))


def test_more_hours_go_on_from_the_groups_that_are_there(pairs: Path, takes: Path, tmp_path: Path) -> None:
    fewer = copy_of_survey(pairs, tmp_path / "fewer")
    render_recordings(replace(plan_of(takes), hours=0.001), fewer, n_processes=1)
    (group,) = Corpus(fewer).groups()
    assert group_digest(group) == group_digest(pairs / group.name)


def test_pairs_of_other_recordings_are_refused(pairs: Path, takes: Path, tmp_path: Path) -> None:
    write(tmp_path / "other.wav", melody(12.0, 8000)[None], 8000)
    with pytest.raises(RequestError, match="found others; remove that folder"):
        render_recordings(plan_of(tmp_path), copy_of_survey(pairs, tmp_path / "pairs"), n_processes=1)
    with pytest.raises(RequestError, match="made in the same way"):
        render_recordings(replace(plan_of(takes), seed=9), tmp_path / "pairs", n_processes=1)


def test_a_rendered_corpus_is_not_taken_for_pairs_of_the_recordings(takes: Path, synth_corpus: Path) -> None:
    with pytest.raises(RequestError, match="got a corpus; name another"):
        render_recordings(plan_of(takes), synth_corpus, n_processes=1)


def test_pairs_and_checkpoints_may_lie_among_the_recordings(tmp_path: Path) -> None:
    write(tmp_path / "take.wav", melody(12.0, 8000)[None], 8000)
    plan = replace(plan_of(tmp_path), hours=0.001)
    first = render_recordings(plan, tmp_path / "mine.pairs", n_processes=1)
    (tmp_path / "mine.pt").write_bytes(b"no sound")
    assert render_recordings(plan, tmp_path / "mine.pairs", n_processes=1) == first
    write(tmp_path / "another.wav", melody(12.0, 8000)[None], 8000)
    with pytest.raises(RequestError, match="found others"):
        render_recordings(plan, tmp_path / "mine.pairs", n_processes=1)


def test_a_recording_is_known_again_wherever_its_folder_lies() -> None:
    fields = {"sample_rate_hz": 8000, "section_samples": 48000, "starts": (0, 48000)}
    one, same, other = (
        OwnRecording(name=name, n_bytes=9, modified_ns=modified_ns, n_samples=96000, **fields).number
        for name, modified_ns in (("a.wav", 1), ("a.wav", 2), ("b.wav", 1))
    )
    assert one == same != other


def test_a_favoured_folder_has_its_share_of_all_examples(pairs: Path, synth_corpus: Path) -> None:
    corpus = Corpus(synth_corpus, pairs, favoured=pairs, share=0.25)
    rng = np.random.default_rng(0)
    drawn = [corpus.draw(rng, corpus.groups()).parent == pairs for _ in range(2000)]
    assert np.mean(drawn) == pytest.approx(0.25, abs=0.03)
    only = [group for group in corpus.groups() if group.parent == synth_corpus]
    assert corpus.draw(rng, only).parent == synth_corpus


def test_transfer_trains_on_a_folder_and_goes_on_from_a_checkpoint(
    takes: Path, synth_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "mine.pt", tmp_path / "more.pt"
    own = ["--audio-folder", str(takes), "--audio-hours", "0.001"]
    small = ["--width", "4", "--batch", "1", "--minutes", "0.0001", "--band-share", "0"]
    assert run(["transfer", *own, "-o", str(first), *small]) == 0
    told = capsys.readouterr().err
    assert "skipped silent.wav: expected" in told
    assert "5 recordings, 1.4 minutes of sound" in told
    assert len(Corpus(tmp_path / "mine.pairs").groups()) == 1
    pairs = ["--pairs", str(tmp_path / "mine.pairs"), "--from", str(first)]
    assert run(["transfer", str(synth_corpus), *own, "-o", str(second), *pairs, *small, "--seed", "0"]) == 0
    assert load_system(second)[1]["step"] == 1
    assert not (tmp_path / "more.pairs").exists()


def test_a_run_without_anything_to_train_on_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(["transfer", "-o", str(tmp_path / "x.pt")])


def test_render_makes_the_same_pairs_to_measure_with(takes: Path, tmp_path: Path) -> None:
    assert run(["render", "--audio-folder", str(takes), "-o", str(tmp_path / "held"), "--hours", "0.01"]) == 0
    assert Corpus(tmp_path / "held").hours >= 0.01


def test_a_useless_folder_is_one_line_and_status_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "takes").mkdir()
    (tmp_path / "takes" / "notes.txt").write_text("none of them was good")
    assert run(["transfer", "--audio-folder", str(tmp_path / "takes"), "-o", str(tmp_path / "x.pt")]) == 1
    assert "expected recordings that can be used" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "x.pairs").exists()


def buzz(resonance_hz: float) -> np.ndarray:
    """Overtones of 220 Hz under one resonance, a second."""
    time_s = np.arange(RATE_HZ) / RATE_HZ
    hz = 220.0 * np.arange(1, 60)
    level = 10.0 ** (-np.abs(np.log2(hz / resonance_hz)) * 12.0 / 20.0)
    tone = level @ np.sin(2 * np.pi * hz[:, None] * time_s)
    return (0.1 * tone / np.abs(tone).max()).astype(np.float32)


def band_levels_db(audio: np.ndarray) -> np.ndarray:
    """Levels of the first twelve overtones of 220 Hz, less their mean."""
    power = np.abs(np.fft.rfft(audio * np.hanning(RATE_HZ))) ** 2
    levels = 10 * np.log10([power[220 * k - 5 : 220 * k + 6].sum() for k in range(1, 13)])
    return levels - levels.mean()


def pitch_hz(audio: np.ndarray) -> float:
    """Highest peak of the autocorrelation of the first note's middle, 150 to 350 Hz."""
    part = audio[round(0.1 * RATE_HZ) : round(0.45 * RATE_HZ)]
    lags = np.fft.irfft(np.abs(np.fft.rfft(part * np.hanning(len(part)), 4 * len(part))) ** 2)
    shortest, longest = RATE_HZ // 350, RATE_HZ // 150
    return RATE_HZ / float(shortest + np.argmax(lags[shortest:longest]))


def note(first_s: float, last_s: float) -> slice:
    """A part of the third note."""
    return slice(round((1.0 + first_s) * RATE_HZ), round((1.0 + last_s) * RATE_HZ))


def fall_db(audio: np.ndarray) -> float:
    return float(20 * np.log10(np.std(audio[note(0.38, 0.42)]) / np.std(audio[note(0.03, 0.07)])))
