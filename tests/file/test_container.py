"""Files are recognised by their bytes."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepmusic.transports.file.container import HEAD_BYTES, Container, is_cut_off, sniff
from tests.file.recordings import ENCODINGS, cut_off, melody, write


@pytest.mark.parametrize("suffix", ENCODINGS)
def test_every_readable_format_is_recognised(suffix: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"a{suffix}", melody(0.5))
    with path.open("rb") as file:
        container = sniff(file.read(HEAD_BYTES))
        assert container is Container(ENCODINGS[suffix][0])
        assert not is_cut_off(file, container)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"R",
        b"RIFF\0\0\0\0AVI ",
        b"FORM\0\0\0\0ILBM",
        b"PK\x03\x04",
        b"<html>",
        b"\xff\xff\xff\xff",
        b"\xff\xd8\xff\xe0",
    ],
)
def test_anything_else_is_not(head: bytes) -> None:
    assert sniff(head) is None


@given(head=st.binary(max_size=32))
def test_no_bytes_confuse_the_recognition(head: bytes) -> None:
    assert sniff(head) is None or isinstance(sniff(head), Container)


@given(body=st.binary(max_size=200), container=st.sampled_from(Container))
def test_no_bytes_confuse_the_search_for_the_end(body: bytes, container: Container) -> None:
    assert is_cut_off(io.BytesIO(body), container) in (True, False)


@pytest.mark.parametrize("suffix", [".wav", ".aiff", ".ogg", ".opus"])
def test_a_lost_end_is_noticed(suffix: str, tmp_path: Path) -> None:
    path = cut_off(write(tmp_path / f"a{suffix}", melody(1.0)))
    with path.open("rb") as file:
        assert is_cut_off(file, Container(ENCODINGS[suffix][0]))


def test_a_wav_file_from_a_pipe_has_no_length_and_is_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", melody(0.1))
    content = bytearray(path.read_bytes())
    at = content.index(b"data") + 4
    content[at : at + 4] = struct.pack("<I", 0xFFFFFFFF)
    assert not is_cut_off(io.BytesIO(bytes(content)), Container.WAV)


def test_a_file_of_empty_chunks_is_given_up() -> None:
    body = b"RIFF\0\0\0\0WAVE" + b"junk\0\0\0\0" * 10_000
    assert not is_cut_off(io.BytesIO(body), Container.WAV)
