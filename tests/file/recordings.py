"""Recordings on disk for tests: good ones in every format, and bad ones of every kind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from deepmusic.audio import Audio

ENCODINGS = {
    ".wav": ("WAV", "PCM_24"),
    ".aiff": ("AIFF", "PCM_16"),
    ".flac": ("FLAC", "PCM_24"),
    ".ogg": ("OGG", "VORBIS"),
    ".opus": ("OGG", "OPUS"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
}
"""Suffix to libsndfile's format and subtype."""

LOSSLESS = (".wav", ".aiff", ".flac")


def melody(seconds: float, rate_hz: int = 48_000, n_channels: int = 2, *, amplitude: float = 0.3) -> Audio:
    """Three harmonics with a slow swell; every channel has its own pitch. float32 `(channels, samples)`."""
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    swell = 0.6 + 0.4 * np.cos(2.0 * np.pi * 0.7 * time_s)
    channels = []
    for channel in range(n_channels):
        hz = 220.0 * 1.25**channel
        tone = sum(np.sin(2.0 * np.pi * hz * k * time_s) / k for k in (1, 2, 3))
        channels.append(amplitude / 1.5 * swell * tone)
    return np.array(channels, dtype=np.float32)


def write(path: Path, audio: Audio, rate_hz: int = 48_000, *, subtype: str | None = None) -> Path:
    """Write a recording with libsndfile, in blocks of a second."""
    container, usual = ENCODINGS[path.suffix]
    with soundfile.SoundFile(path, "w", rate_hz, audio.shape[0], format=container, subtype=subtype or usual) as file:
        for first in range(0, audio.shape[1], rate_hz):
            file.write(np.ascontiguousarray(audio[:, first : first + rate_hz].T))
    return path


def cut_off(path: Path, share: float = 0.5) -> Path:
    """Drop the end of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path
