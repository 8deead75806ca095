"""Learn a style: recording -> band magnitudes of its sounding frames -> style encoder -> one vector."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from deepmusic.audio import SUPPORTED_RATES_HZ, Audio
from deepmusic.dsp.gains import BandAnalysis, BandLayout
from deepmusic.dsp.levels import KWeighting
from deepmusic.dsp.resample import resample
from deepmusic.dsp.stft import AnalysisStft
from deepmusic.dsp.windows import StftGeometry
from deepmusic.errors import StyleSilent
from deepmusic.model.manifest import Manifest
from deepmusic.model.style_vector import StyleVector, blend
from deepmusic.styles.source import GATE_DBFS, StyleSource, style_source

MIN_FRAMES = 8
"""Fewest sounding frames of a piece that count, 43 ms at 48 kHz: the deepest layer of the encoder sees two columns."""

_RESAMPLED_RATE_HZ = 48_000
_CHUNK_FRAMES = 64
_WARM_UP_FRAMES = 7
"""Frames at the start of a piece whose window still reaches into the silence before it."""


class Encoder(Protocol):
    """What turns band magnitudes into a style; `deepmusic.model.runtime.StyleEncoder` is one."""

    @property
    def manifest(self) -> Manifest:
        """Manifest of the bundle."""
        ...

    @property
    def bundle_digest(self) -> str:
        """Digest of the bundle."""
        ...

    def encode(self, bands: npt.NDArray[np.float32], *, name: str = "") -> StyleVector:
        """[any] The style of frames, shape (T, n_bands)."""
        ...


def learn(audio: Audio, sample_rate_hz: int, encoder: Encoder, *, name: str = "") -> StyleVector:
    """Learn the style of a recording that is in memory.

    Args:
        audio: `(channels, samples)`; NaN and infinities count as 0.
        sample_rate_hz: its rate, Hz; any. Rates that a stream cannot have are brought to 48 kHz.
        encoder: the bundle's style encoder.
        name: what to call it.

    Raises:
        AudioTooShort: it is shorter than 250 ms.
        StyleSilent: too little of it is above -50 dBFS.
        InferenceFailed: the encoder failed.
    """
    return learn_source(style_source(audio, sample_rate_hz), encoder, name=name)


def learn_source(source: StyleSource, encoder: Encoder, *, name: str = "") -> StyleVector:
    """Learn from pieces: the mean of their vectors, weighted by how many of their frames sound.

    Raises:
        StyleSilent: no piece has `MIN_FRAMES` frames above the gate.
        InferenceFailed: the encoder failed.
    """
    vectors: list[tuple[StyleVector, float]] = []
    for piece in source.pieces:
        bands = sounding_bands(piece, source.sample_rate_hz, encoder.manifest)
        if len(bands) >= MIN_FRAMES:
            vectors.append((encoder.encode(bands, name=name), float(len(bands))))
    if not vectors:
        raise StyleSilent(
            f"expected a style with sound above {GATE_DBFS:g} dBFS, got next to nothing; "
            "choose or amplify another recording"
        )
    return blend(vectors).renamed(name)


def sounding_bands(piece: Audio, sample_rate_hz: int, manifest: Manifest) -> npt.NDArray[np.float32]:
    """Band magnitudes `[t, b]` of the frames above the gate, float32 `(T, n_bands)`; T may be 0.

    Args:
        piece: finite, `(channels, samples)`.
        sample_rate_hz: its rate, Hz; any.
        manifest: says which bands the encoder hears.
    """
    if sample_rate_hz not in SUPPORTED_RATES_HZ:
        piece = resample(piece, sample_rate_hz, _RESAMPLED_RATE_HZ)
        sample_rate_hz = _RESAMPLED_RATE_HZ
    geometry = StftGeometry.for_rate(sample_rate_hz)
    features = manifest.features
    layout = BandLayout(n_bands=features.n_bands, low_hz=features.low_hz, high_hz=features.high_hz)
    analysis, loudness = BandAnalysis(layout, geometry), KWeighting(geometry)
    stft = AnalysisStft(geometry, piece.shape[0])
    n_frames = piece.shape[1] // geometry.hop
    kept = [np.zeros((0, features.n_bands), np.float32)]
    for first in range(0, n_frames, _CHUNK_FRAMES):
        last = min(first + _CHUNK_FRAMES, n_frames)
        spectra = stft.process(np.ascontiguousarray(piece[:, first * geometry.hop : last * geometry.hop]))
        sounds = loudness.frame_loudness_power(spectra) >= 10.0 ** (GATE_DBFS / 10.0)
        sounds[: max(0, _WARM_UP_FRAMES - first)] = False
        kept.append(analysis.band_magnitudes(spectra)[sounds])
    return np.concatenate(kept)
