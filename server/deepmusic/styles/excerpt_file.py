"""The kept excerpt of a style: its pieces end to end in one FLAC file, and a small record that says how they lie.

A style that was imported has a record without pieces, and no file.
"""

from __future__ import annotations

import datetime
import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from deepmusic.errors import StyleNotFound
from deepmusic.styles.source import StyleSource

FORMAT = 1
"""The form of a style's folder that is read and written here."""

_AUDIO_NAME = "excerpt.flac"
_RECORD_NAME = "meta.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRecord:
    """What is known of a style's recording."""

    origin: str
    """File name of the recording, for people; may be empty."""

    added: str
    """When it was added, UTC, ISO 8601."""

    sample_rate_hz: int
    """Rate of the excerpt, Hz; 0 where there is none."""

    n_channels: int
    """Channels of the excerpt; 0 where there is none."""

    piece_samples: tuple[int, ...]
    """Lengths of the pieces, in their order, samples; empty for an imported style, of which only vectors are kept."""

    scale: float
    """What the samples of the file are to be multiplied by: above 1 for a recording that went over full scale."""

    @property
    def seconds(self) -> float:
        """Length of the excerpt; 0 where there is none."""
        return sum(self.piece_samples) / self.sample_rate_hz if self.piece_samples else 0.0

    @property
    def is_sound(self) -> bool:
        """Whether its numbers can be those of a style."""
        if not self.piece_samples:
            return self.sample_rate_hz == self.n_channels == 0
        return min(self.piece_samples) > 0 and self.sample_rate_hz > 0 and self.n_channels > 0 and self.scale >= 1.0


def write_source(folder: Path, source: StyleSource, *, origin: str, added_at_s: float) -> None:
    """Write excerpt and record into a new folder, down to the disk.

    Raises:
        OSError: the disk did not take it.
    """
    audio = np.concatenate(source.pieces, axis=1)
    scale = max(1.0, float(np.abs(audio).max()))
    path = folder / _AUDIO_NAME
    try:
        with soundfile.SoundFile(
            path, "w", source.sample_rate_hz, audio.shape[0], format="FLAC", subtype="PCM_24"
        ) as file:
            for first in range(0, audio.shape[1], source.sample_rate_hz):
                file.write(np.ascontiguousarray(audio[:, first : first + source.sample_rate_hz].T) / np.float32(scale))
    except (soundfile.LibsndfileError, AssertionError) as error:
        raise OSError("the excerpt could not be written") from error
    _sync_file(path)
    record = SourceRecord(
        origin=origin,
        added=_date(added_at_s),
        sample_rate_hz=source.sample_rate_hz,
        n_channels=audio.shape[0],
        piece_samples=tuple(piece.shape[1] for piece in source.pieces),
        scale=scale,
    )
    _write_record(folder, record)


def write_import(folder: Path, *, added_at_s: float) -> None:
    """Write the record of a style of which there is no recording into a new folder, down to the disk.

    Raises:
        OSError: the disk did not take it.
    """
    added = _date(added_at_s)
    _write_record(
        folder, SourceRecord(origin="", added=added, sample_rate_hz=0, n_channels=0, piece_samples=(), scale=1.0)
    )


def source_record(folder: Path) -> SourceRecord:
    """The record of a style's folder.

    Raises:
        StyleNotFound: it is missing or damaged.
    """
    try:
        fields: dict[str, Any] = json.loads((folder / _RECORD_NAME).read_text(encoding="utf-8"))
        if fields.pop("format") != FORMAT:
            raise _damaged(folder)
        pieces = tuple(int(n) for n in fields.pop("piece_samples"))
        record = SourceRecord(piece_samples=pieces, **fields)
        is_sound = record.is_sound
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise _damaged(folder) from error
    if not is_sound:
        raise _damaged(folder)
    return record


def read_source(folder: Path) -> StyleSource:
    """The kept excerpt.

    Raises:
        StyleNotFound: it is missing or damaged.
    """
    record = source_record(folder)
    if not record.piece_samples:
        raise StyleNotFound(
            f"the style {folder.name!r} was imported for another bundle, without a recording to learn it from; "
            "import it for this one, or add it from a recording",
            resource=folder.name,
        )
    try:
        samples, rate_hz = soundfile.read(folder / _AUDIO_NAME, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError, AssertionError) as error:
        raise _damaged(folder) from error
    audio = np.ascontiguousarray(samples.T, dtype=np.float32) * np.float32(record.scale)
    if audio.shape != (record.n_channels, sum(record.piece_samples)) or rate_hz != record.sample_rate_hz:
        raise _damaged(folder)
    ends = np.cumsum(record.piece_samples)[:-1]
    pieces = tuple(np.ascontiguousarray(piece) for piece in np.split(audio, ends, axis=1))
    return StyleSource(pieces=pieces, sample_rate_hz=record.sample_rate_hz)


def write_synced(path: Path, content: bytes) -> None:
    """Write a file down to the disk and let it appear by rename.

    Raises:
        OSError: the disk did not take it.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Bring a folder's entries to the disk, where the system can."""
    if os.name == "posix":
        _sync_file(folder)


def _write_record(folder: Path, record: SourceRecord) -> None:
    write_synced(folder / _RECORD_NAME, json.dumps({"format": FORMAT, **asdict(record)}, indent=2).encode())


def _date(at_s: float) -> str:
    return datetime.datetime.fromtimestamp(at_s, datetime.UTC).isoformat(timespec="seconds")


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _damaged(folder: Path) -> StyleNotFound:
    return StyleNotFound(f"the style {folder.name!r} is damaged; remove it and add it again", resource=folder.name)
