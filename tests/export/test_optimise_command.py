"""`deepmusic-export optimise` as a person meets it: files in, a file out, one line where something is wrong."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from deepmusic_export.cli import main
from deepmusic_export.cli.optimise import stop_flag
from deepmusic_export.nets.packed_vgg19 import write_packed
from deepmusic_export.nets.vgg19 import Vgg19
from tests.export.optimise_sounds import RATE_HZ, buzz, pluck

SECONDS = 0.8


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A stereo content, a mono style, and a few things that are neither."""
    content = np.stack([pluck(SECONDS), 0.5 * pluck(SECONDS)], axis=1)
    soundfile.write(tmp_path / "content.wav", content, RATE_HZ, subtype="PCM_16")
    soundfile.write(tmp_path / "style.flac", buzz(SECONDS), RATE_HZ)
    soundfile.write(tmp_path / "silent.wav", np.zeros(RATE_HZ), RATE_HZ)
    soundfile.write(tmp_path / "short.wav", pluck(0.1), RATE_HZ)
    soundfile.write(tmp_path / "none.wav", np.zeros(0), RATE_HZ)
    (tmp_path / "text.wav").write_text("no sound at all")
    (tmp_path / "empty.wav").touch()
    whole = (tmp_path / "style.flac").read_bytes()
    (tmp_path / "cut.flac").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "weights.pt").write_bytes(b"no weights")
    return tmp_path


def optimise(folder: Path, *arguments: str, content: str = "content.wav", style: str = "style.flac") -> int:
    """Runs it with random weights, which are quick, where nothing else is asked for."""
    listener = () if {"--vgg", "--imagenet"} & {*arguments} else ("--random",)
    return main(["optimise", str(folder / content), str(folder / style), *arguments, *listener])


def test_it_writes_a_file_and_a_picture_and_leaves_nothing_else(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = set(folder.iterdir())
    out, picture = folder / "out.wav", folder / "out.png"
    assert optimise(folder, "-o", str(out), "--steps", "1", "--plot", str(picture)) == 0
    assert set(folder.iterdir()) - before == {out, picture}
    info = soundfile.info(out)
    assert (info.samplerate, info.channels, info.frames) == (RATE_HZ, 2, len(pluck(SECONDS)))
    assert info.subtype == "PCM_24"
    assert picture.read_bytes().startswith(b"\x89PNG")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "random" in captured.err


@pytest.mark.parametrize(
    ("content", "style", "arguments", "words"),
    [
        ("gone.wav", "style.flac", (), "found nothing of that name"),
        ("", "style.flac", (), "found a folder"),
        ("text.wav", "style.flac", (), "got something else or a broken file"),
        ("content.wav", "empty.wav", (), "got an empty one"),
        ("content.wav", "none.wav", (), "at least one sample"),
        ("content.wav", "cut.flac", (), "expected"),
        ("silent.wav", "style.flac", (), "got silence"),
        ("short.wav", "style.flac", (), "at least 0.75 s, got 0.10 s"),
        ("content.wav", "silent.wav", (), "dBFS"),
        ("content.wav", "short.wav", (), "at least 250 ms, got 100 ms"),
        ("content.wav", "style.flac", ("--resume",), "leave --resume out"),
        ("content.wav", "style.flac", ("--bundle", "nobody"), "no bundle is named"),
        ("content.wav", "style.flac", ("--vgg", "weights.pt"), "checkpoint of deepmusic-export encoder"),
        ("content.wav", "style.flac", ("--imagenet", "weights.pt"), "expected the recipe gatys"),
        ("content.wav", "style.flac", ("--recipe", "gatys", "--imagenet", "http://a/b"), "https"),
        ("content.wav", "style.flac", ("--plot", "picture.jpg"), ".png"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_leaves_no_file(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    content: str,
    style: str,
    arguments: tuple[str, ...],
    words: str,
) -> None:
    paths = [str(folder / argument) if argument.endswith((".pt", ".jpg")) else argument for argument in arguments]
    assert optimise(folder, "-o", str(folder / "out.wav"), *paths, content=content, style=style) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert words in lines[0]
    assert not [path for path in folder.iterdir() if "out" in path.name]


@pytest.mark.parametrize(
    ("name", "words"),
    [("out.mp3", ".wav or .flac"), ("gone/out.wav", "make it first"), ("content.wav", "another file than the inputs")],
)
def test_an_output_that_cannot_be_is_refused_before_anything_is_read(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str, words: str
) -> None:
    assert optimise(folder, "-o", str(folder / name)) == 1
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [("--steps", "few"), ("--minutes", "0"), ("--near", "-1"), ("--recipe", "none"), ()], ids=str
)
def test_a_usage_error_is_exit_status_2(folder: Path, arguments: tuple[str, ...]) -> None:
    out = ("-o", str(folder / "out.wav")) if arguments else ()
    with pytest.raises(SystemExit, match="2"):
        optimise(folder, *out, *arguments)


def test_a_checkpoint_of_the_encoder_is_listened_with(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = {f"vgg.{name}": value for name, value in Vgg19(width=2, batch_norm=True).state_dict().items()}
    recipe = {"width": 2, "n_bands": 96, "batch_norm": True}
    torch.save({"recipe": recipe, "network": network}, folder / "encoder.pt")
    torch.save({"recipe": recipe | {"n_bands": 64}, "network": network}, folder / "other.pt")
    out = ("-o", str(folder / "out.flac"), "--steps", "1")
    assert optimise(folder, *out, "--vgg", str(folder / "encoder.pt")) == 0
    assert "trained on audio, encoder.pt" in capsys.readouterr().err
    assert optimise(folder, *out, "--vgg", str(folder / "other.pt")) == 1
    assert "expected a network for 96 bands, got one for 64" in capsys.readouterr().err


def test_weights_that_the_encoder_packed_are_listened_with(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_packed(folder / "own.npz", Vgg19(width=2), {"n_bands": 96})
    write_packed(folder / "other.npz", Vgg19(width=2), {"n_bands": 64})
    (folder / "broken.npz").write_bytes(b"no weights")
    out = ("-o", str(folder / "out.flac"), "--steps", "1")
    assert optimise(folder, *out, "--vgg", str(folder / "own.npz")) == 0
    assert "trained on audio, own.npz" in capsys.readouterr().err
    for name, words in (("other.npz", "96 bands, got one for 64"), ("broken.npz", "got another or a broken file")):
        assert optimise(folder, *out, "--vgg", str(folder / name)) == 1
        assert words in capsys.readouterr().err


def test_less_pull_towards_the_start_goes_further(folder: Path) -> None:
    outs = [folder / "near.wav", folder / "far.wav", folder / "start.wav"]
    choices = [("--near", "30"), ("--near", "0", "--reach", "12"), ("--steps", "0")]
    for out, choice in zip(outs, choices, strict=True):
        assert optimise(folder, "-o", str(out), "--steps", "5", *choice) == 0
    near, far, start = (soundfile.read(out)[0] for out in outs)
    assert 0 < np.abs(near - start).mean() < 0.5 * np.abs(far - start).mean()


def test_without_a_wish_it_listens_with_the_weights_that_ship(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recordings = [str(folder / name) for name in ("content.wav", "style.flac")]
    assert main(["optimise", *recordings, "-o", str(folder / "out.wav"), "--steps", "1"]) == 0
    assert "trained on audio, the one that ships" in capsys.readouterr().err


def test_samples_that_are_no_numbers_count_as_silence(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    audio = pluck(SECONDS)
    audio[1000:1010] = np.nan
    soundfile.write(folder / "nan.wav", audio, RATE_HZ, subtype="FLOAT")
    assert optimise(folder, "-o", str(folder / "out.wav"), "--steps", "0", content="nan.wav") == 0
    assert "10 samples are NaN" in capsys.readouterr().err
    assert np.isfinite(soundfile.read(folder / "out.wav")[0]).all()


@pytest.fixture
def ctrl_c_once_it_is_caught() -> Iterator[None]:
    """Sends SIGINT to this process as soon as somebody else than Python handles it."""
    usual = signal.getsignal(signal.SIGINT)

    def look(number: int, frame: object) -> None:
        if signal.getsignal(signal.SIGINT) is usual:
            signal.setitimer(signal.ITIMER_REAL, 0.05)
        else:
            signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_ctrl_c_writes_what_there_is(
    folder: Path, ctrl_c_once_it_is_caught: None, capsys: pytest.CaptureFixture[str]
) -> None:
    out = folder / "out.wav"
    assert optimise(folder, "-o", str(out), "--steps", "1000000") == 0
    assert "--resume goes on" in capsys.readouterr().err
    assert soundfile.info(out).frames == len(pluck(SECONDS))
    assert (folder / "out.wav.state").exists()


def test_resume_goes_on_and_takes_the_state_away_at_the_end(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder / "out.wav"
    assert optimise(folder, "-o", str(out), "--minutes", "1e-9") == 0
    assert "0 of 30 steps" in capsys.readouterr().err
    assert optimise(folder, "-o", str(out), "--resume", "--steps", "1") == 0
    assert "going on at step 0 of 1" in capsys.readouterr().err
    assert not (folder / "out.wav.state").exists()


def test_a_second_ctrl_c_does_not_wait() -> None:
    with stop_flag() as caught:
        signal.raise_signal(signal.SIGINT)
        assert caught
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
