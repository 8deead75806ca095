"""A folder of recordings of one's own: what in it can be used, and the sections that sound.

A section of a recording takes the place of a score: six seconds, or half of a short recording. Sections lie end to end
over the whole length, however long it is; those that are mostly silent are left out. Nothing but one section, or one
block of the survey, is ever in memory.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from tqdm import tqdm

from deepmusic.audio import Audio, replace_non_finite
from deepmusic.dsp.resample import resample
from deepmusic.errors import AudioTooShort, DecodeFailed, DeepmusicError, RequestError, StyleSilent
from deepmusic.styles.source import GATE_DBFS
from deepmusic_export.render.sound_file import open_sound_file

#: Length of a section in seconds, that of a rendered clip; a short recording is halved, down to the second number,
#: which is what the calibration of int8 asks for at 44.1 kHz.
SECTION_S, MIN_SECTION_S = 6.0, 4.5
#: A style is learned from another section of the same recording, so there must be two.
MIN_SECTIONS = 2
#: A section counts as sound where this share of its tenths of a second is above the gate of a style.
SOUNDING_SHARE = 1 / 3
#: Time over which the survey takes a level, seconds.
LEVEL_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnRecording:
    """A recording that can be used."""

    name: str
    """Path within the folder, with forward slashes."""
    n_bytes: int
    """Size of the file."""
    modified_ns: int
    """When the file was last written, nanoseconds since 1970."""
    sample_rate_hz: int
    """Its rate; any from 8000 to 192000 Hz."""
    n_samples: int
    """Its length."""
    section_samples: int
    """Length of a section."""
    starts: tuple[int, ...]
    """First sample of every section that sounds."""

    @property
    def number(self) -> int:
        """Stands for the recording where rendered audio has a program; the same wherever its folder lies."""
        return zlib.crc32(f"{self.name} {self.n_bytes} {self.n_samples}".encode())

    @property
    def section_s(self) -> float:
        """Length of a section in seconds."""
        return self.section_samples / self.sample_rate_hz


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedFile:
    """A file that cannot be used."""

    name: str
    """Path within the folder, with forward slashes."""
    n_bytes: int
    """Size of the file."""
    modified_ns: int
    """When the file was last written, nanoseconds since 1970."""
    reason: str
    """One line for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What a folder holds."""

    recordings: tuple[OwnRecording, ...]
    """By name; at least one."""
    skipped: tuple[SkippedFile, ...]
    """By name."""

    @property
    def sounding_s(self) -> float:
        """Length of all sections, seconds."""
        return sum(recording.section_s * len(recording.starts) for recording in self.recordings)

    def is_of(self, folder: Path) -> bool:
        """Whether the folder still holds the same recordings, told by names, sizes and times.

        Files that cannot be used may come and go: a checkpoint and its pairs may lie in the folder.
        """
        recordings, skipped = (
            {(one.name, one.n_bytes, one.modified_ns) for one in files} for files in (self.recordings, self.skipped)
        )
        stats = {(name, stat.st_size, stat.st_mtime_ns): stat for name, stat in _files(folder)}
        others = stats.keys() - recordings - skipped
        return recordings <= stats.keys() and not any(_is_usable(folder, key[0], stats[key]) for key in others)


def survey(folder: Path) -> Survey:
    """Listens to every file of a folder and of the folders in it; hidden ones are passed over.

    Raises:
        RequestError: Nothing in it can be used; the message says why of the first files.
    """
    recordings: list[OwnRecording] = []
    skipped: list[SkippedFile] = []
    for name, stat in tqdm(list(_files(folder)), desc="listening", unit="file", disable=None):
        try:
            recordings.append(_recording(folder, name, stat))
        except DeepmusicError as error:
            reason = error.message.removeprefix(f"{folder / name}: ")
            skipped.append(
                SkippedFile(name=name, n_bytes=stat.st_size, modified_ns=stat.st_mtime_ns, reason=f"{name}: {reason}")
            )
    if not recordings:
        why = "; ".join(one.reason for one in skipped[:3]) or "it holds no file"
        raise RequestError(f"expected recordings that can be used in {folder}, found none: {why}")
    return Survey(recordings=tuple(recordings), skipped=tuple(skipped))


def read_section(folder: Path, recording: OwnRecording, start: int, sample_rate_hz: int) -> np.ndarray:
    """One section, mono, at another rate and without its mean.

    Args:
        folder: Where the recording lies.
        recording: Which one.
        start: One of its `starts`.
        sample_rate_hz: Wanted rate in Hz.

    Returns:
        float32 (samples,): the mean of the channels, or the loudest one where they cancel each other.

    Raises:
        DecodeFailed: The file has changed since it was surveyed.
    """
    path = folder / recording.name
    with open_sound_file(path) as file:
        try:
            file.seek(start)
            samples = file.read(recording.section_samples, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise DecodeFailed(f"{path}: expected the sound that was there before; keep it as it is") from error
    if len(samples) < recording.section_samples:
        raise DecodeFailed(f"{path}: expected {recording.section_samples} samples at {start}, got {len(samples)}")
    audio, _ = replace_non_finite(np.ascontiguousarray(samples.T))
    mono = _mono(audio)
    return resample((mono - mono.mean())[None], recording.sample_rate_hz, sample_rate_hz)[0]


def _files(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in name.parts):
            yield name.as_posix(), path.stat()


def _is_usable(folder: Path, name: str, stat: os.stat_result) -> bool:
    try:
        _recording(folder, name, stat)
    except DeepmusicError:
        return False
    return True


def _recording(folder: Path, name: str, stat: os.stat_result) -> OwnRecording:
    path = folder / name
    levels: list[np.ndarray] = []
    n_samples = 0
    with open_sound_file(path) as file:
        rate_hz = file.samplerate
        level_samples = round(LEVEL_S * rate_hz)
        try:
            # A second at a time. A header may promise more than there is: what can be decoded counts.
            while len(block := file.read(10 * level_samples, dtype="float32", always_2d=True)):
                n_samples += len(block)
                levels.append(_levels(block, level_samples))
        except soundfile.LibsndfileError as error:
            raise DecodeFailed(f"{path}: expected sound to its end, got a broken file; export it again") from error
    if n_samples < MIN_SECTIONS * MIN_SECTION_S * rate_hz:
        raise AudioTooShort(
            f"{path}: expected at least {MIN_SECTIONS * MIN_SECTION_S:g} s, got {n_samples / rate_hz:.1f} s"
        )
    section_samples = min(round(SECTION_S * rate_hz), n_samples // MIN_SECTIONS)
    sounds = np.concatenate(levels) >= 10.0 ** (GATE_DBFS / 10.0)
    starts = [
        start
        for start in range(0, n_samples - section_samples + 1, section_samples)
        if sounds[start // level_samples : (start + section_samples) // level_samples].mean() >= SOUNDING_SHARE
    ]
    if len(starts) < MIN_SECTIONS:
        raise StyleSilent(
            f"{path}: expected {MIN_SECTIONS} sections of {section_samples / rate_hz:.1f} s with sound above "
            f"{GATE_DBFS:g} dBFS, got {len(starts)}; amplify it or leave it out"
        )
    return OwnRecording(
        name=name,
        n_bytes=stat.st_size,
        modified_ns=stat.st_mtime_ns,
        sample_rate_hz=rate_hz,
        n_samples=n_samples,
        section_samples=section_samples,
        starts=tuple(starts),
    )


def _levels(block: np.ndarray, level_samples: int) -> np.ndarray:
    """Mean power over channels of each `level_samples` of a block (samples, channels), the last one cut short."""
    finite, _ = replace_non_finite(block)
    power = np.square(finite, dtype=np.float64).mean(axis=1)
    ends = np.arange(0, len(power), level_samples)
    return np.add.reduceat(power, ends) / np.diff(np.append(ends, len(power)))


def _mono(audio: Audio) -> np.ndarray:
    mono = audio.mean(axis=0)
    # Unrelated channels keep half of their power in the mean, opposite ones nothing.
    if np.mean(mono**2) < 0.25 * np.mean(audio**2):
        return audio[np.argmax(np.mean(audio**2, axis=1))]
    return mono
