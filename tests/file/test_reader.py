"""Files are decoded by a limited process, block by block."""

from __future__ import annotations

import contextlib
import itertools
import os
import struct
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

from deepmusic.errors import AudioTooLong, DecodeFailed, DeepmusicError, RequestError, UnsupportedFormat
from deepmusic.transports.file import reader as reader_module
from deepmusic.transports.file.reader import AudioReader, DecodeLimits, read_audio
from tests.file.recordings import ENCODINGS, LOSSLESS, cut_off, melody, write

PCM_16_TOLERANCE = 2.0**-15
"""One step of a 16-bit file."""

LOSSY_LIKENESS = 0.98
"""Correlation with the original that every lossy encoder keeps of the melody."""


@pytest.mark.parametrize("suffix", ENCODINGS)
def test_every_format_gives_its_sound_back(suffix: str, tmp_path: Path) -> None:
    audio = melody(1.0)
    read, rate_hz = read_audio(write(tmp_path / f"a{suffix}", audio))
    assert rate_hz == 48_000
    assert read.dtype == np.float32
    assert read.flags.c_contiguous
    assert read.shape == audio.shape
    if suffix in LOSSLESS:
        assert np.abs(read - audio).max() < PCM_16_TOLERANCE
    else:
        assert np.corrcoef(read.ravel(), audio.ravel())[0, 1] > LOSSY_LIKENESS


@pytest.mark.parametrize("rate_hz", [8000, 11_025, 37_800, 192_000])
@pytest.mark.parametrize("n_channels", [1, 8])
def test_any_rate_and_channel_count_is_read(rate_hz: int, n_channels: int, tmp_path: Path) -> None:
    path = write(tmp_path / "a.flac", melody(0.1, rate_hz, n_channels), rate_hz)
    with AudioReader(path) as reader:
        assert (reader.info.sample_rate_hz, reader.info.n_channels) == (rate_hz, n_channels)
        assert sum(block.shape[1] for block in reader.blocks()) == reader.info.n_samples == reader.n_samples_read


def test_one_sample_is_a_recording(tmp_path: Path) -> None:
    read, _ = read_audio(write(tmp_path / "a.wav", np.full((1, 1), 0.5, np.float32)))
    assert read.tolist() == [[0.5]]


def test_nan_and_infinity_come_as_silence_and_are_counted(tmp_path: Path) -> None:
    audio = melody(0.1)
    audio[0, 10], audio[1, 20], audio[0, 30] = np.nan, np.inf, -np.inf
    with AudioReader(write(tmp_path / "a.wav", audio, subtype="FLOAT")) as reader:
        read = np.concatenate(list(reader.blocks()), axis=1)
        assert reader.n_non_finite == 3
    assert (read[0, 10], read[1, 20], read[0, 30]) == (0.0, 0.0, 0.0)
    assert np.isfinite(read).all()


def test_what_goes_over_full_scale_stays(tmp_path: Path) -> None:
    audio = melody(0.1) * np.float32(40.0)
    read, _ = read_audio(write(tmp_path / "a.wav", audio, subtype="FLOAT"))
    assert np.array_equal(read, audio)


def test_the_name_of_a_file_plays_no_part(tmp_path: Path) -> None:
    audio = melody(0.2)
    path = write(tmp_path / "a.flac", audio).rename(tmp_path / "really a.wav")
    read, _ = read_audio(path)
    assert np.abs(read - audio).max() < PCM_16_TOLERANCE


@pytest.mark.parametrize("suffix", ENCODINGS)
def test_a_truncated_file_is_refused(suffix: str, tmp_path: Path) -> None:
    path = cut_off(write(tmp_path / f"a{suffix}", melody(2.0)))
    with pytest.raises(DecodeFailed, match="copy or export it again"):
        read_audio(path)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"PK\x03\x04" + b"\0" * 100, "a zip archive"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"just some words in a file", "text"),
        (b"\0\0\0\x20ftypM4A ", "an MP4 or M4A file"),
        (b"MThd\0\0\0\x06", "a MIDI file"),
        (bytes(range(200, 256)), "something else"),
    ],
)
def test_what_is_no_audio_is_named_and_never_decoded(
    content: bytes, named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_child(*_: object) -> None:
        raise AssertionError("the decoder was started")

    monkeypatch.setattr(reader_module, "_start_child", no_child)
    path = tmp_path / "song.wav"
    path.write_bytes(content)
    with pytest.raises(UnsupportedFormat, match=f"expected WAV, AIFF, FLAC.*got {named}"):
        AudioReader(path)


def test_an_unusual_encoding_in_a_usual_container_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", melody(0.2), subtype="ULAW")
    with pytest.raises(UnsupportedFormat, match="got ULAW"):
        AudioReader(path)


def test_a_file_that_is_something_else_behind_its_first_bytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(b"ID3\x04\0\0\0\0\0\0" + write(tmp_path / "b.flac", melody(0.2)).read_bytes())
    with pytest.raises((UnsupportedFormat, DecodeFailed)):
        read_audio(path)


@pytest.mark.parametrize(
    ("field_offset", "value", "message"),
    [
        (22, struct.pack("<H", 9), "1 to 8 channels, got 9"),
        (24, struct.pack("<I", 4000), "8000 to 192000 Hz, got 4000"),
    ],
)
def test_a_header_beyond_the_limits_is_refused(field_offset: int, value: bytes, message: str, tmp_path: Path) -> None:
    body = np.zeros(9 * 1000, "<f4").tobytes()
    header = bytearray(b"RIFF" + struct.pack("<I", 36 + len(body)) + b"WAVEfmt " + struct.pack("<I", 16))
    header += struct.pack("<HHIIHH", 3, 1, 48_000, 192_000, 4, 32) + b"data" + struct.pack("<I", len(body))
    header[field_offset : field_offset + len(value)] = value
    if field_offset == 22:
        header[28:34] = struct.pack("<IH", 48_000 * 36, 36)
    path = tmp_path / "a.wav"
    path.write_bytes(bytes(header) + body)
    with pytest.raises(UnsupportedFormat, match=message):
        AudioReader(path)


def test_silence_that_was_compressed_a_thousandfold_is_too_long(tmp_path: Path) -> None:
    path = write(tmp_path / "a.flac", np.zeros((2, 480_000), np.float32))
    with pytest.raises(AudioTooLong, match="at most 100000 samples"):
        AudioReader(path, limits=DecodeLimits(max_values=100_000))


def test_a_decoder_that_dies_is_a_failed_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    child = tmp_path / "child.py"
    child.write_text("import os; os.kill(os.getpid(), 11)")
    monkeypatch.setattr(reader_module, "_CHILD", child)
    with pytest.raises(DecodeFailed, match="the decoder died"):
        AudioReader(write(tmp_path / "a.wav", melody(0.1)))


def test_a_decoder_that_stalls_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    child = tmp_path / "child.py"
    child.write_text("import sys; sys.stdin.readline(); import threading; threading.Event().wait()")
    monkeypatch.setattr(reader_module, "_CHILD", child)
    path = write(tmp_path / "a.wav", melody(0.1))
    started_s = time.monotonic()
    with pytest.raises(DecodeFailed, match=r"within 0.2 s, got nothing"):
        AudioReader(path, limits=DecodeLimits(stall_s=0.2))
    assert time.monotonic() - started_s < 10.0


def test_a_decoder_that_wants_too_much_memory_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.flac", melody(0.2))
    with pytest.raises(DecodeFailed):
        read_audio(path, limits=DecodeLimits(memory_bytes=1 << 20))


def test_leaving_early_ends_the_decoder(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", melody(20.0))
    with AudioReader(path) as reader:
        next(reader.blocks())
        child = reader._child
    assert child.poll() is not None


class InterruptedAt:
    """Raises KeyboardInterrupt where the n-th Python function returns to, of those that the thread calls from now on.

    A signal's handler can raise there too: a lock was taken, say, and the block that gives it back not yet entered.
    """

    def __init__(self, n: int) -> None:
        self.n_returns = 0
        self._n = n
        self._before = sys.gettrace()

    def __enter__(self) -> InterruptedAt:
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)

    def _trace(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "return":
            self.n_returns += 1
            if self.n_returns == self._n:
                raise KeyboardInterrupt
        return self._trace


def test_an_interrupt_at_any_moment_leaves_a_reader_that_closes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", melody(3.0))
    for n in itertools.count(1):
        reader = AudioReader(path)
        interruption = InterruptedAt(n)
        with contextlib.suppress(KeyboardInterrupt), interruption:
            for _ in reader.blocks():
                pass
        closing = threading.Thread(target=reader.close, daemon=True)
        closing.start()
        closing.join(10.0)
        assert not closing.is_alive(), f"interrupted at return {n}, it cannot be closed"
        if interruption.n_returns < n:  # it was read to its end before that
            assert n > 5
            return


@pytest.mark.parametrize("kind", ["missing", "empty", "folder", "pipe", "no sound"])
def test_what_is_no_file_with_sound_is_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    if kind == "empty":
        path.touch()
    elif kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "no sound":
        write(path, np.zeros((1, 0), np.float32))
    with pytest.raises(RequestError, match=r"expected .* got|there is none") as caught:
        AudioReader(path)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("seed", range(6))
def test_damage_anywhere_is_an_error_or_sound_but_never_a_crash(seed: int, tmp_path: Path) -> None:
    random = np.random.default_rng(seed)
    suffix = list(ENCODINGS)[seed]
    path = write(tmp_path / f"a{suffix}", melody(0.5))
    content = bytearray(path.read_bytes())
    for position in random.integers(0, len(content), 40):
        content[position] = random.integers(256)
    path.write_bytes(bytes(content))
    with contextlib.suppress(DeepmusicError):
        audio, _ = read_audio(path)
        assert np.isfinite(audio).all()
