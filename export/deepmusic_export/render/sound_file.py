"""A recording of one's own on disk, opened and checked.

The runtime decodes foreign files in a child process; here a person works on recordings of their own, at a desk, so
libsndfile is called directly.
"""

from __future__ import annotations

import os
from pathlib import Path

import soundfile

from deepmusic.audio import MAX_CHANNELS
from deepmusic.errors import RequestError, UnsupportedFormat

#: Rates that are read, Hz.
MIN_RATE_HZ, MAX_RATE_HZ = 8000, 192000


def open_sound_file(path: Path) -> soundfile.SoundFile:
    """Opens a WAV, AIFF, FLAC, OGG or MP3 file for reading.

    Raises:
        RequestError: There is none, it cannot be opened, or it is empty.
        UnsupportedFormat: It is no audio that libsndfile knows, or has a rate or channel count that is not taken.
    """
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing"
        raise RequestError(f"{path}: expected an audio file, found {found} of that name; check the path")
    if not os.access(path, os.R_OK):
        raise RequestError(f"{path}: expected an audio file that may be read, this one may not; check its permissions")
    if path.stat().st_size == 0:
        raise RequestError(f"{path}: expected an audio file, got an empty one; export it again")
    try:
        file = soundfile.SoundFile(path)
    except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: a name that ends in .raw has no header
        raise UnsupportedFormat(
            f"{path}: expected WAV, AIFF, FLAC, OGG or MP3, got something else or a broken file; convert it first"
        ) from error
    try:
        _check(path, file)
    except UnsupportedFormat:
        file.close()
        raise
    return file


def _check(path: Path, file: soundfile.SoundFile) -> None:
    if not MIN_RATE_HZ <= file.samplerate <= MAX_RATE_HZ:
        raise UnsupportedFormat(
            f"{path}: expected {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz, got {file.samplerate} Hz; resample it first"
        )
    if not 1 <= file.channels <= MAX_CHANNELS:
        raise UnsupportedFormat(
            f"{path}: expected 1 to {MAX_CHANNELS} channels, got {file.channels}; mix it down first"
        )
