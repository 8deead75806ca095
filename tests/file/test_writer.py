"""Files appear whole, under their name, or not at all."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest
import soundfile

from deepmusic.errors import RequestError, StorageFull
from deepmusic.transports.file import writer as writer_module
from deepmusic.transports.file.reader import read_audio
from deepmusic.transports.file.spool import Spool
from deepmusic.transports.file.writer import AudioWriter, Encoding, encoding_for
from tests.file.recordings import melody

PCM_24_TOLERANCE = 2.0**-24
"""Half a step of 24 bits."""


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def written(path: Path, audio: np.ndarray, rate_hz: int = 48_000) -> Path:
    with AudioWriter(
        path, encoding=encoding_for(path), sample_rate_hz=rate_hz, n_channels=audio.shape[0], n_samples=audio.shape[1]
    ) as writer:
        for part in np.array_split(audio, 7, axis=1):
            writer.write(part)
        writer.commit()
    return path


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
@pytest.mark.parametrize("rate_hz", [8000, 44_100, 192_000])
@pytest.mark.parametrize("n_channels", [1, 2, 8])
def test_24_bits_come_back(suffix: str, rate_hz: int, n_channels: int, tmp_path: Path) -> None:
    audio = melody(0.1, rate_hz, n_channels)
    read, read_rate_hz = read_audio(written(tmp_path / f"a{suffix}", audio, rate_hz))
    assert read_rate_hz == rate_hz
    assert np.abs(read - audio).max() <= PCM_24_TOLERANCE


@pytest.mark.parametrize("n_channels", [1, 8])
@pytest.mark.parametrize("rate_hz", [8000, 37_800, 192_000])
def test_vorbis_keeps_rate_channels_and_length(n_channels: int, rate_hz: int, tmp_path: Path) -> None:
    audio = melody(0.3, rate_hz, n_channels)
    read, read_rate_hz = read_audio(written(tmp_path / "a.ogg", audio, rate_hz))
    assert (read.shape, read_rate_hz) == (audio.shape, rate_hz)


def test_every_16_bit_sample_comes_back_bit_for_bit(tmp_path: Path) -> None:
    audio = (np.arange(-32_768, 32_768) / 32_768).astype(np.float32)[np.newaxis]
    read, _ = read_audio(written(tmp_path / "a.wav", audio))
    assert np.array_equal(read, audio)


def test_what_goes_over_full_scale_is_clipped_and_does_not_wrap(tmp_path: Path) -> None:
    read, _ = read_audio(written(tmp_path / "a.wav", np.array([[2.0, -2.0, 1.0]], np.float32)))
    assert read[0].tolist() == [1.0 - 2.0**-23, -1.0, 1.0 - 2.0**-23]


def test_float_samples_are_kept_as_they_are(tmp_path: Path) -> None:
    audio = melody(0.1) * np.float32(7.0)
    path = tmp_path / "a.wav"
    with AudioWriter(path, encoding=Encoding.WAV_FLOAT, sample_rate_hz=48_000, n_channels=2) as writer:
        writer.write(audio)
        writer.commit()
    read, _ = read_audio(path)
    assert np.array_equal(read, audio)


def test_a_wav_file_beyond_four_gigabytes_is_written_with_64_bit_lengths(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with AudioWriter(path, encoding=Encoding.WAV_24, sample_rate_hz=48_000, n_channels=2, n_samples=2**31) as writer:
        writer.write(melody(0.1))
        writer.commit()
    assert path.read_bytes()[:4] == b"RF64"
    assert read_audio(path)[0].shape == (2, 4800)


def test_nothing_is_there_before_the_commit_and_nothing_else_after(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with AudioWriter(path, encoding=Encoding.WAV_24, sample_rate_hz=48_000, n_channels=2) as writer:
        writer.write(melody(0.1))
        assert not path.exists()
        writer.commit()
    assert names_in(tmp_path) == ["a.wav"]


def interrupted(path: Path) -> None:
    with AudioWriter(path, encoding=Encoding.WAV_24, sample_rate_hz=48_000, n_channels=2) as writer:
        writer.write(melody(0.1))
        raise KeyboardInterrupt


def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"the old one")
    with pytest.raises(KeyboardInterrupt):
        interrupted(path)
    assert names_in(tmp_path) == ["a.wav"]
    assert path.read_bytes() == b"the old one"


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer_module, "_to_disk", full)
    with (
        pytest.raises(StorageFull, match="the disk is full"),
        AudioWriter(tmp_path / "a.wav", encoding=Encoding.WAV_24, sample_rate_hz=48_000, n_channels=2) as writer,
    ):
        writer.commit()
    assert names_in(tmp_path) == []


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"no such place.*make it first"):
        AudioWriter(tmp_path / "no such place" / "a.wav", encoding=Encoding.WAV_24, sample_rate_hz=48_000, n_channels=2)


@pytest.mark.parametrize("name", ["a.mp3", "a", "a.wav.txt"])
def test_a_name_that_asks_for_no_known_encoding_is_refused(name: str) -> None:
    with pytest.raises(RequestError, match=r"ends in \.wav, \.flac or \.ogg"):
        encoding_for(name)


def test_only_wav_holds_float_samples() -> None:
    assert encoding_for("a.WAV", as_float=True) is Encoding.WAV_FLOAT
    with pytest.raises(RequestError, match=r"ends in \.wav"):
        encoding_for("a.flac", as_float=True)


def test_a_spool_gives_back_what_it_took_and_leaves_nothing(tmp_path: Path) -> None:
    audio = melody(0.3)
    with Spool(tmp_path, 2) as spool:
        assert spool.audio().shape == (2, 0)
        for part in np.array_split(audio, 5, axis=1):
            spool.append(part)
        assert np.array_equal(spool.audio(), audio)
    assert names_in(tmp_path) == []


def test_a_signal_while_the_file_is_opened_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        assert len(list(tmp_path.iterdir())) == 1
        raise KeyboardInterrupt

    monkeypatch.setattr(soundfile, "SoundFile", interrupted)
    with pytest.raises(KeyboardInterrupt):
        AudioWriter(tmp_path / "out.wav", encoding=Encoding.WAV_24, sample_rate_hz=48000, n_channels=1)
    gc.collect()  # the error knew the writer
    assert not list(tmp_path.iterdir())


def test_a_writer_that_nobody_entered_leaves_nothing(tmp_path: Path) -> None:
    AudioWriter(tmp_path / "out.wav", encoding=Encoding.WAV_24, sample_rate_hz=48000, n_channels=1)
    gc.collect()
    assert not list(tmp_path.iterdir())
