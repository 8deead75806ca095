"""Disguises: a recording in the sound of another instrument that plays the same notes at the same time.

A recording has no score that another instrument could play, so pairs are made from the recording itself: its resonances
move while its pitch stays, its notes ring longer or shorter, attacks come forward or go back, breath is added, and it
goes through the effects that rendered patches go through. Each is drawn at random and belongs to one disguise: two
sections in one disguise have one sound, and one section in two disguises has the same notes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import scipy.ndimage
import scipy.signal

from deepmusic_export.render.patches import (
    BODY_SEMITONES,
    Effects,
    apply_effects,
    random_effects,
)

#: Transform of the resonances: 46 ms at 44.1 kHz.
N_FFT, HOP = 2048, 512
#: The envelope of a spectrum is what its first 1.2 ms of cepstrum hold: formants, and no partials below 800 Hz.
ENVELOPE_S = 0.0012
#: Resonances are raised and lowered by this much at most, dB; below the floor under a frame's peak there is none.
MOST_BODY_DB, FLOOR_DB = 24.0, 70.0
#: Envelopes are followed over this time, and attacks are what a slower follower does not see yet, seconds.
FAST_S, SLOW_S = 0.02, 0.25
#: Gains that change over time reach this far, dB; what is softer than this against the loudest is changed no further.
MOST_GAIN_DB, DYNAMIC_RANGE_DB = 24.0, 40.0
#: What is this much louder than the last quarter of a second begins to be an attack, and is one in full at the second.
ATTACK_DB = (3.0, 9.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Disguise:
    """What turns a recording into another instrument; at its defaults, nothing."""

    body_semitones: float = 0.0
    """How much smaller the instrument is: resonances go up by this interval, the pitch stays."""
    dynamics: float = 1.0
    """Power that the envelope is raised to: above 1 notes die away sooner, below 1 they last."""
    attack_db: float = 0.0
    """Gain of what is louder than the last quarter of a second, dB."""
    breath_db: float | None = None
    """Level of noise that follows the envelope, dB against the sound; None for none."""
    breath_tilt: float = 0.0
    """Slope of that noise, in powers of frequency."""
    effects: Effects = field(default_factory=Effects)
    """What comes after."""
    seed: int = 0
    """Seed of the breath."""

    def as_dict(self) -> dict[str, Any]:
        """A JSON-ready copy."""
        return asdict(self)


def random_disguise(rng: np.random.Generator) -> Disguise:
    """Another instrument; at least one of body, envelope and breath is not as it was."""
    has = np.zeros(4, bool)
    while not has.any():
        has = rng.random(4) < np.array([0.6, 0.4, 0.3, 0.25])
    signs = rng.choice([-1.0, 1.0], size=3)
    return Disguise(
        body_semitones=float(signs[0] * rng.uniform(2, BODY_SEMITONES)) if has[0] else 0.0,
        dynamics=float(np.exp(signs[1] * rng.uniform(0.3, 0.9))) if has[1] else 1.0,
        attack_db=float(signs[2] * rng.uniform(4, 12)) if has[2] else 0.0,
        breath_db=float(rng.uniform(-40, -12)) if has[3] else None,
        breath_tilt=float(rng.uniform(-1, 0.5)) if has[3] else 0.0,
        effects=random_effects(rng),
        seed=int(rng.integers(2**31)),
    )


def apply_disguise(audio: np.ndarray, disguise: Disguise, sample_rate_hz: int) -> np.ndarray:
    """A recording in a disguise.

    Args:
        audio: float32 (samples,), not silent.
        disguise: Which; with every parameter at its default the input comes back.
        sample_rate_hz: Rate of `audio` in Hz.

    Returns:
        float32 (samples,): same length, same notes at the same times.
    """
    out = audio
    if disguise.body_semitones:
        out = _with_body(out, 2.0 ** (disguise.body_semitones / 12), sample_rate_hz)
    if disguise.dynamics != 1.0 or disguise.attack_db:
        out = out * _gain(out, disguise, sample_rate_hz)
    if disguise.breath_db is not None:
        out = out + _breath(out, disguise, sample_rate_hz) * 10.0 ** (disguise.breath_db / 20.0)
    return apply_effects(out.astype(np.float32), disguise.effects, sample_rate_hz)


def _with_body(audio: np.ndarray, ratio: float, sample_rate_hz: int) -> np.ndarray:
    """Resonances moved up by a ratio: each frame is divided by its envelope and multiplied by the moved one."""
    stft = _transform(sample_rate_hz)
    spectra = stft.stft(audio)
    level = 20.0 * np.log10(np.abs(spectra) + 1e-9)
    level = np.maximum(level, level.max(axis=0) - FLOOR_DB)
    mirrored = np.concatenate([level, level[-2:0:-1]])
    cepstra = np.fft.rfft(mirrored, axis=0).real
    n_kept = round(ENVELOPE_S * sample_rate_hz)
    taper = np.zeros(len(cepstra))
    taper[:n_kept] = 0.5 + 0.5 * np.cos(np.pi * np.arange(n_kept) / n_kept)
    envelope = np.fft.irfft(cepstra * taper[:, None], len(mirrored), axis=0)[: len(level)]
    place = np.minimum(np.arange(len(level)) / ratio, len(level) - 1.0)
    below = np.minimum(place.astype(int), len(level) - 2)
    moved = envelope[below] + (place - below)[:, None] * (envelope[below + 1] - envelope[below])
    gain_db = np.clip(moved - envelope, -MOST_BODY_DB, MOST_BODY_DB)
    return stft.istft(spectra * 10.0 ** (gain_db / 20.0), k1=len(audio)).astype(np.float32)


@lru_cache
def _transform(sample_rate_hz: int) -> scipy.signal.ShortTimeFFT:
    return scipy.signal.ShortTimeFFT(scipy.signal.windows.hann(N_FFT, sym=False), HOP, sample_rate_hz)


def _gain(audio: np.ndarray, disguise: Disguise, sample_rate_hz: int) -> np.ndarray:
    """Linear gain over time, smooth over `FAST_S`."""
    fast_db, slow_db = (_level_db(audio, time_s, sample_rate_hz) for time_s in (FAST_S, SLOW_S))
    loud_db = np.percentile(fast_db, 90)
    gain_db = (disguise.dynamics - 1.0) * np.maximum(fast_db - loud_db, -DYNAMIC_RANGE_DB)
    # The slow follower looks back alone.
    lag = round(SLOW_S * sample_rate_hz / 2)
    before_db = np.concatenate([np.full(lag, slow_db.min()), slow_db[:-lag]])
    gain_db += disguise.attack_db * np.interp(fast_db - before_db, ATTACK_DB, (0.0, 1.0))
    gain_db = np.clip(gain_db, -MOST_GAIN_DB, MOST_GAIN_DB)
    smooth_db = scipy.ndimage.uniform_filter1d(gain_db, round(FAST_S * sample_rate_hz), mode="nearest")
    return np.power(10.0, smooth_db / 20.0)


def _level_db(audio: np.ndarray, time_s: float, sample_rate_hz: int) -> np.ndarray:
    power = scipy.ndimage.uniform_filter1d(np.square(audio, dtype=np.float64), round(time_s * sample_rate_hz))
    return 10.0 * np.log10(np.maximum(power, 0.0) + 1e-12)


def _breath(audio: np.ndarray, disguise: Disguise, sample_rate_hz: int) -> np.ndarray:
    """Noise that is as loud as the sound at every moment."""
    spectrum = np.fft.rfft(np.random.default_rng(disguise.seed).standard_normal(len(audio)))
    hz = np.maximum(np.fft.rfftfreq(len(audio), 1 / sample_rate_hz), 50.0)
    noise = np.fft.irfft(spectrum * (hz / 1000.0) ** disguise.breath_tilt, len(audio))
    envelope = 10.0 ** (_level_db(audio, FAST_S, sample_rate_hz) / 20.0)
    return noise / np.sqrt(np.mean(noise**2)) * envelope
