"""Two recordings in, one out."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from deepmusic.transports.file.reader import read_audio
from tests.cli.conftest import Ran
from tests.file.recordings import ENCODINGS, cut_off, melody, write

Deepmusic = Callable[..., Ran]


@pytest.fixture
def style(tmp_path: Path) -> Path:
    return write(tmp_path / "style.flac", melody(1.0, amplitude=0.1))


def remix(deepmusic: Deepmusic, content: Path, style: Path | str, output: Path, *more: str) -> Ran:
    return deepmusic("remix", content, style, "-o", output, "--bundle", "style-gain", *more)


def assert_refused(ran: Ran, *words: str) -> None:
    assert ran.code in (1, 2)
    assert ran.out == ""
    assert ran.err.count("\n") == 1, ran.err
    assert ran.err.startswith("deepmusic remix: ")
    for word in words:
        assert word in ran.err


def assert_no_output(folder: Path) -> None:
    assert not [path.name for path in folder.iterdir() if path.name.startswith((".", "out"))]


@pytest.mark.parametrize(
    ("rate_hz", "n_channels", "suffix"),
    [(8000, 1, ".wav"), (22_050, 2, ".flac"), (44_100, 2, ".ogg"), (96_000, 1, ".wav"), (192_000, 2, ".flac")],
)
def test_the_output_has_the_contents_rate_channels_and_length(
    rate_hz: int, n_channels: int, suffix: str, deepmusic: Deepmusic, style: Path, tmp_path: Path
) -> None:
    content = melody(0.7, rate_hz, n_channels)[:, :-3]
    output = tmp_path / f"out{suffix}"
    ran = remix(deepmusic, write(tmp_path / "a.wav", content, rate_hz), style, output, "--json")
    assert ran.code == 0, ran.err
    read, read_rate_hz = read_audio(output)
    assert (read.shape, read_rate_hz) == (content.shape, rate_hz)
    report = json.loads(ran.out)
    assert report["samples"] == content.shape[1]
    assert report["loudness_lufs"] == pytest.approx(report["content_lufs"], abs=0.5)
    assert report["true_peak_dbtp"] <= -1.0
    assert ran.out.count("\n") == 1


@pytest.mark.parametrize("suffix", ENCODINGS)
def test_every_format_is_content(suffix: str, deepmusic: Deepmusic, style: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.wav"
    assert remix(deepmusic, write(tmp_path / f"a{suffix}", melody(0.4)), style, output).code == 0
    assert read_audio(output)[0].shape == (2, 19_200)


def test_eight_channels_are_played(deepmusic: Deepmusic, style: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.flac"
    assert remix(deepmusic, write(tmp_path / "a.wav", melody(0.4, n_channels=8)), style, output).code == 0
    assert read_audio(output)[0].shape == (8, 19_200)


def test_at_strength_0_the_output_is_the_content_bit_for_bit(deepmusic: Deepmusic, style: Path, tmp_path: Path) -> None:
    content = write(tmp_path / "a.wav", melody(0.5) * np.float32(3.0))
    output = tmp_path / "out.wav"
    assert remix(deepmusic, content, style, output, "--strength", "0").code == 0
    assert np.array_equal(read_audio(output)[0], read_audio(content)[0])


def test_raw_gives_the_sessions_own_samples(deepmusic: Deepmusic, style: Path, tmp_path: Path) -> None:
    content = write(tmp_path / "a.wav", melody(0.5) * np.float32(4.0), subtype="FLOAT")
    output = tmp_path / "out.wav"
    ran = remix(deepmusic, content, style, output, "--raw", "--strength", "0", "--json")
    assert not json.loads(ran.out)["finished"]
    assert np.array_equal(read_audio(output)[0], read_audio(content)[0])
    assert_refused(remix(deepmusic, content, style, tmp_path / "out.flac", "--raw"), ".wav", ".flac")


def test_a_style_of_the_library_is_taken_by_its_name(deepmusic: Deepmusic, style: Path, tmp_path: Path) -> None:
    assert deepmusic("styles", "add", "warm", style, "--bundle", "style-gain").code == 0
    content = write(tmp_path / "a.wav", melody(0.4))
    by_name, by_file = tmp_path / "out1.wav", tmp_path / "out2.wav"
    assert remix(deepmusic, content, "warm", by_name).code == 0
    assert remix(deepmusic, content, style, by_file).code == 0
    assert np.abs(read_audio(by_name)[0] - read_audio(by_file)[0]).max() < 1e-4


def test_a_style_may_have_a_dot_in_its_name_and_a_folder_that_is_called_like_it(
    deepmusic: Deepmusic, style: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert deepmusic("styles", "add", "horns v1.2", style, "--bundle", "style-gain").code == 0
    monkeypatch.chdir(tmp_path)
    (tmp_path / "horns v1.2").mkdir()
    content = write(tmp_path / "a.wav", melody(0.3))
    ran = remix(deepmusic, content, "horns v1.2", tmp_path / "out.wav", "--raw")
    assert ran.code == 0, ran.err
    assert deepmusic("styles", "remove", "horns v1.2").code == 0


def test_silent_content_gives_silence_and_says_so(deepmusic: Deepmusic, style: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.wav"
    ran = remix(deepmusic, write(tmp_path / "a.wav", np.zeros((2, 9600), np.float32)), style, output)
    assert ran.code == 0
    assert "the content is silent" in ran.err
    assert not read_audio(output)[0].any()


def test_one_sample_gives_one_sample(deepmusic: Deepmusic, style: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.wav"
    assert remix(deepmusic, write(tmp_path / "a.wav", np.full((1, 1), 0.5, np.float32)), style, output).code == 0
    assert read_audio(output)[0].shape == (1, 1)


def test_nan_in_the_content_is_silence_and_counted(deepmusic: Deepmusic, style: Path, tmp_path: Path) -> None:
    audio = melody(0.4)
    audio[:, 100:110] = np.nan
    output = tmp_path / "out.wav"
    ran = remix(deepmusic, write(tmp_path / "a.wav", audio, subtype="FLOAT"), style, output)
    assert ran.code == 0
    assert "20 samples of the content are NaN" in ran.err
    assert np.isfinite(read_audio(output)[0]).all()


def test_clipped_content_is_played_and_named(deepmusic: Deepmusic, style: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.wav"
    audio = np.clip(melody(0.4) * np.float32(20.0), -1.0, 1.0)
    ran = remix(deepmusic, write(tmp_path / "a.wav", audio), style, output)
    assert ran.code == 0
    assert "the content is clipped" in ran.err


def test_a_truncated_content_leaves_nothing(deepmusic: Deepmusic, style: Path, tmp_path: Path) -> None:
    content = cut_off(write(tmp_path / "a.flac", melody(3.0)), 0.9)
    assert_refused(remix(deepmusic, content, style, tmp_path / "out.wav"), "a.flac", "copy or export it again")
    assert_no_output(tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", ("an empty one",)), (b"PK\x03\x04", ("a zip archive", "convert it")), (None, ("none of that name",))],
)
def test_what_is_no_recording_leaves_nothing(
    content: bytes | None, words: tuple[str, ...], deepmusic: Deepmusic, style: Path, tmp_path: Path
) -> None:
    path = tmp_path / "a.wav"
    if content is not None:
        path.write_bytes(content)
    assert_refused(remix(deepmusic, path, style, tmp_path / "out.wav"), "a.wav", *words)
    assert_refused(remix(deepmusic, style, path, tmp_path / "out.wav"), "a.wav", *words)
    assert_no_output(tmp_path)


def test_a_style_of_50_ms_or_of_silence_is_refused(deepmusic: Deepmusic, style: Path, tmp_path: Path) -> None:
    short = write(tmp_path / "short.wav", melody(0.05))
    assert_refused(remix(deepmusic, style, short, tmp_path / "out.wav"), "at least 250 ms, got 50 ms", "longer")
    silent = write(tmp_path / "silent.wav", np.zeros((2, 48_000), np.float32))
    assert_refused(remix(deepmusic, style, silent, tmp_path / "out.wav"), "got silence", "choose another")
    assert_no_output(tmp_path)


def test_a_missing_bundle_names_the_ones_there_are(deepmusic: Deepmusic, style: Path, tmp_path: Path) -> None:
    ran = deepmusic("remix", style, style, "-o", tmp_path / "out.wav", "--bundle", "no-such")
    assert_refused(ran, "'no-such'", "style-gain", "name one of them")
    ran = deepmusic("remix", style, style, "-o", tmp_path / "out.wav", "--bundle", tmp_path / "nowhere")
    assert_refused(ran, "nowhere", "check the path")


def test_a_corrupt_bundle_is_refused(deepmusic: Deepmusic, style: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"PK\x03\x04 and nothing more")
    assert_refused(deepmusic("remix", style, style, "-o", tmp_path / "out.wav", "--bundle", broken), "zip")
    assert_no_output(tmp_path)


def test_the_inputs_are_never_overwritten(deepmusic: Deepmusic, style: Path, tmp_path: Path) -> None:
    before = style.read_bytes()
    content = write(tmp_path / "a.wav", melody(0.3))
    os.link(style, tmp_path / "out.flac")
    assert_refused(remix(deepmusic, content, style, tmp_path / "out.flac"), "another file than the inputs")
    assert style.read_bytes() == before


def test_an_output_that_is_a_folder_is_refused_before_anything_is_read(
    deepmusic: Deepmusic, style: Path, tmp_path: Path
) -> None:
    (tmp_path / "out.flac").mkdir()
    ran = remix(deepmusic, tmp_path / "gone.wav", style, tmp_path / "out.flac")
    assert_refused(ran, "found a folder of that name")


@pytest.mark.parametrize("strength", ["1.5", "-0.1", "nan", "loud"])
def test_a_strength_beyond_0_to_1_is_a_usage_error(
    strength: str, deepmusic: Deepmusic, style: Path, tmp_path: Path
) -> None:
    ran = remix(deepmusic, style, style, tmp_path / "out.wav", f"--strength={strength}")
    assert ran.code == 2
    assert "expected a number from 0 to 1" in ran.err


def test_an_output_folder_that_is_not_there_is_named(deepmusic: Deepmusic, style: Path, tmp_path: Path) -> None:
    assert_refused(remix(deepmusic, style, style, tmp_path / "no" / "out.wav"), "may be written to")
