"""Recordings in and out: checked when they come, whole or not at all when they go.

Audio is held in memory: 1.4 GB for an hour of stereo at 48 kHz.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from deepmusic.audio import SUPPORTED_RATES_HZ, Audio, as_audio, replace_non_finite
from deepmusic.dsp.resample import resample
from deepmusic.errors import AudioTooShort, DecodeFailed, RequestError, StorageFull, UnsupportedFormat
from deepmusic_export.render.sound_file import open_sound_file
from deepmusic_export.whole_file import whole_file

#: Shortest content in seconds: 32 columns of the picture, what VGG19's five pools need.
MIN_CONTENT_S = 0.75
#: Where recordings go whose rate no session has, Hz.
RESAMPLED_RATE_HZ = 48000

_FORMATS = {".wav": "WAV", ".flac": "FLAC"}
_PCM_24_STEPS = 1 << 23
_MAX_CLASSIC_WAV_BYTES = (1 << 32) - (1 << 16)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recording:
    """Audio with its rate."""

    audio: Audio
    """float32 (channels, samples), finite."""
    sample_rate_hz: int
    """Hz."""
    n_replaced: int = 0
    """Samples that were NaN or infinite in the file and became 0, over all channels."""

    def at_rate(self, sample_rate_hz: int, *, n_samples: int | None = None) -> Recording:
        """The same at another rate; `n_samples` is its exact length, for the way back."""
        if sample_rate_hz == self.sample_rate_hz:
            return self
        audio = resample(self.audio, self.sample_rate_hz, sample_rate_hz, n_samples=n_samples)
        return Recording(audio=audio, sample_rate_hz=sample_rate_hz, n_replaced=self.n_replaced)

    def at_a_session_rate(self) -> Recording:
        """The same at a rate that a session runs at: itself, or resampled to 48 kHz."""
        return self if self.sample_rate_hz in SUPPORTED_RATES_HZ else self.at_rate(RESAMPLED_RATE_HZ)


def read_recording(path: Path) -> Recording:
    """Reads a file.

    Raises:
        RequestError: There is none, it cannot be opened, or it is empty.
        UnsupportedFormat: It is no audio that libsndfile knows, or has a rate or channel count that is not taken.
        DecodeFailed: It breaks off.
    """
    with open_sound_file(path) as file:
        expected = file.frames
        try:
            samples = file.read(dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, MemoryError) as error:
            raise DecodeFailed(f"{path}: expected sound to its end, got a broken file; export it again") from error
        rate_hz = file.samplerate
    if len(samples) == 0:
        raise RequestError(f"{path}: expected at least one sample of sound, got none; export it again")
    if len(samples) < expected:
        raise DecodeFailed(f"{path}: expected {expected} samples, got {len(samples)}; copy or export it again")
    audio, n_replaced = replace_non_finite(as_audio(samples.T))
    return Recording(audio=audio, sample_rate_hz=rate_hz, n_replaced=n_replaced)


def check_content(path: Path, content: Recording) -> None:
    """Refuses a content that there is nothing to do with.

    Raises:
        AudioTooShort: It is shorter than `MIN_CONTENT_S`.
        RequestError: It is silent.
    """
    seconds = content.audio.shape[1] / content.sample_rate_hz
    if seconds < MIN_CONTENT_S:
        raise AudioTooShort(f"{path}: expected a content of at least {MIN_CONTENT_S} s, got {seconds:.2f} s")
    if not content.audio.any():
        raise RequestError(f"{path}: expected a content with sound, got silence; choose another recording")


def check_output(path: Path, inputs: tuple[Path, ...]) -> None:
    """Refuses an output before hours are spent on it.

    Raises:
        RequestError: Its name, its folder, or that it is one of the inputs.
    """
    if path.suffix.lower() not in _FORMATS:
        raise RequestError(f"{path}: expected a name that ends in .wav or .flac, got '{path.suffix}'; rename it")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise RequestError(f"{path}: expected a folder that may be written to, '{path.parent}' is none; make it first")
    if path.is_dir():
        raise RequestError(f"{path}: expected a file's name, got that of a folder; choose another name")
    if path.exists() and any(other.exists() and path.samefile(other) for other in inputs):
        raise RequestError(f"{path}: expected another file than the inputs for the output; choose another name")


def write_recording(path: Path, recording: Recording) -> None:
    """Writes 24 bits into a file beside the target, and renames it.

    Raises:
        StorageFull: The disk did not take it.
        UnsupportedFormat: FLAC cannot hold this rate or these channels.
    """
    container = _FORMATS[path.suffix.lower()]
    if container == "WAV" and recording.audio.size * 3 > _MAX_CLASSIC_WAV_BYTES:
        container = "RF64"
    if not soundfile.check_format(container, "PCM_24"):
        raise UnsupportedFormat(f"{path}: {container} cannot hold 24 bits here; write a .wav file instead")
    rate_hz, n_channels = recording.sample_rate_hz, recording.audio.shape[0]
    try:
        with (
            whole_file(path) as partial,
            soundfile.SoundFile(partial, "w", rate_hz, n_channels, "PCM_24", format=container) as file,
        ):
            for first in range(0, recording.audio.shape[1], rate_hz):
                file.write(as_pcm_24(recording.audio[:, first : first + rate_hz].T))
    except (soundfile.LibsndfileError, OSError) as error:
        raise StorageFull(
            f"{path}: expected room and leave to write {container}, the system refused; choose another name"
        ) from error


def as_pcm_24(samples: np.ndarray) -> np.ndarray:
    """Rounds to 24 bits in the upper part of an int32, clipped at full scale; libsndfile would scale by 2^23 - 1."""
    steps = np.rint(samples.astype(np.float64) * _PCM_24_STEPS)
    return np.clip(steps, -_PCM_24_STEPS, _PCM_24_STEPS - 1).astype(np.int32) << 8
