"""What a style is learned from, taken from a file of any length without holding more than the excerpts."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from deepmusic.audio import Audio
from deepmusic.errors import RequestError
from deepmusic.styles.source import EXCERPT_S, MAX_EXCERPTS, SourceCollector, SourceSurvey, StyleSource
from deepmusic.transports.file.reader import AudioReader

AUDIO_SUFFIXES = (".wav", ".aif", ".aiff", ".flac", ".ogg", ".mp3")
"""What ends so and is not there was meant to be a file."""


def style_recording(style: str) -> tuple[Audio, int] | None:
    """What a style is learned from, in a row, and its rate; ``None`` where a name is meant.

    Raises:
        RequestError: A file is meant that is not there.
        DeepmusicError: It is no recording that a style can be learned from.
    """
    path = Path(style)
    if not path.is_file():
        if path.suffix.lower() in AUDIO_SUFFIXES or "/" in style:
            raise RequestError(f"expected a style's name or a recording, found no file at {style}; check the path")
        return None
    source = read_style_source(path)
    return np.concatenate(source.pieces, axis=1), source.sample_rate_hz


def read_style_source(path: str | os.PathLike[str]) -> StyleSource:
    """Survey the file, then cut out its excerpts. A short one is decoded once, a long one twice.

    Raises:
        AudioTooShort: it is shorter than 250 ms.
        StyleSilent: none of it is above -50 dBFS.
        DeepmusicError: it is no audio that can be read, as `AudioReader` and its `blocks` say.
    """
    kept: list[Audio] = []
    with AudioReader(path) as reader:
        rate_hz = reader.info.sample_rate_hz
        survey = SourceSurvey(rate_hz)
        for block in reader.blocks():
            survey.add(block)
            kept.append(block)
            if survey.n_samples > EXCERPT_S * MAX_EXCERPTS * rate_hz:
                kept.clear()
    collector = SourceCollector(survey.spans(), rate_hz)
    if kept and survey.n_samples == sum(block.shape[1] for block in kept):
        for block in kept:
            collector.add(block)
        return collector.source()
    with AudioReader(path) as reader:
        for block in reader.blocks():
            collector.add(block)
            if collector.is_complete:
                break
    return collector.source()
