"""Synthesis of our own, so that training hears more than one SoundFont: additive, FM and plucked-string patches.

A patch is drawn from a seed. Additive partials follow f_h = h f0 sqrt(1 + B h^2) (Fletcher 1964, stiff string); FM is
the two-operator form of Chowning 1973; the pluck is a bank of partials with decay rising with frequency, not a delay
line, so that it stays in tune at every rate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deepmusic_export.render.scores import Note

#: The most partials that a note gets.
MAX_PARTIALS = 36


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """The parameters of a synthesis patch, drawn once from its seed."""

    kind: str
    """`additive`, `fm` or `pluck`."""
    slope_db: float
    """Fall of the partials in dB an octave."""
    even: float
    """Level of the even partials against the odd ones, 0 to 1."""
    formants: tuple[tuple[float, float, float], ...]
    """Resonances: centre in Hz, width in octaves, gain in dB."""
    inharmonicity: float
    """B of the stiff string."""
    attack_s: float
    release_s: float
    decay_s: float
    """Time constant of the fundamental's decay; large for a sustained sound."""
    damping: float
    """How much faster high partials decay: the exponent of h."""
    noise: float
    """Level of the breath or hammer noise against the tone, 0 to 1."""
    noise_tilt: float
    """Slope of the noise, in powers of frequency."""
    vibrato_hz: float
    vibrato_cents: float
    detune_cents: float
    """Distance of a second oscillator; 0 for none."""
    fm_ratio: float
    fm_index: float
    seed: int


def voice_of(seed: int) -> Voice:
    """Draws the voice of a synthesis patch from its seed."""
    rng = np.random.default_rng((seed, 77))
    formants = tuple(
        (float(np.exp(rng.uniform(np.log(200), np.log(8000)))), float(rng.uniform(0.2, 1.0)), float(rng.uniform(3, 18)))
        for _ in range(int(rng.integers(0, 4)))
    )
    sustained = rng.random() < 0.55
    return Voice(
        kind=str(rng.choice(["additive", "fm", "pluck"], p=[0.5, 0.25, 0.25])),
        slope_db=float(rng.uniform(2, 20)),
        even=float(rng.choice([1.0, 1.0, rng.uniform(0, 1)])),
        formants=formants,
        inharmonicity=float(rng.choice([0.0, 10 ** rng.uniform(-5, -3)])),
        attack_s=float(10 ** rng.uniform(-2.7, -0.7)) if sustained else 0.002,
        release_s=float(10 ** rng.uniform(-2, -0.3)),
        decay_s=float(rng.uniform(4, 20)) if sustained else float(10 ** rng.uniform(-1, 0.5)),
        damping=float(rng.uniform(0, 1.2)),
        noise=float(rng.choice([0.0, 10 ** rng.uniform(-2.5, -0.4)])),
        noise_tilt=float(rng.uniform(-1, 0.5)),
        vibrato_hz=float(rng.uniform(3, 7)),
        vibrato_cents=float(rng.choice([0.0, rng.uniform(5, 40)])) if sustained else 0.0,
        detune_cents=float(rng.choice([0.0, rng.uniform(3, 20)])),
        fm_ratio=float(rng.choice([0.5, 1.0, 1.0, 2.0, 3.0, 1.41, 3.5])),
        fm_index=float(rng.uniform(0.5, 6)),
        seed=seed,
    )


def play(notes: list[Note], voice: Voice, clip_s: float, sample_rate_hz: int) -> np.ndarray:
    """Renders a score on a synthesis patch; float32 (samples,) of `clip_s` seconds."""
    out = np.zeros(int(clip_s * sample_rate_hz), np.float32)
    rng = np.random.default_rng((voice.seed, 78))
    for note in notes:
        start = int(note.start_s * sample_rate_hz)
        sound = _note(note, voice, sample_rate_hz, rng)[: len(out) - start]
        out[start : start + len(sound)] += sound
    return out


def _note(note: Note, voice: Voice, sample_rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    length_s = note.duration_s + 2.5 * voice.release_s
    t = np.arange(int(length_s * sample_rate_hz), dtype=np.float32) / np.float32(sample_rate_hz)
    f0 = 440.0 * 2 ** ((note.pitch - 69) / 12)
    warp = t
    if voice.vibrato_cents:
        depth = f0 * (2 ** (voice.vibrato_cents / 1200) - 1)
        warp = t + (depth / f0) * np.sin(2 * np.pi * voice.vibrato_hz * t) / (2 * np.pi * voice.vibrato_hz)
    brightness = (note.velocity / 100.0) ** 0.7
    tone = (
        _fm(t, warp, f0, voice, brightness)
        if voice.kind == "fm"
        else _partials(t, warp, f0, voice, brightness, sample_rate_hz)
    )
    if voice.noise:
        spectrum = np.fft.rfft(rng.standard_normal(len(t)).astype(np.float32))
        hz = np.maximum(np.fft.rfftfreq(len(t), 1 / sample_rate_hz), 50.0)
        hiss = np.fft.irfft(spectrum * (hz / 1000.0) ** voice.noise_tilt, len(t))
        fall = np.exp(-t / 0.05) if voice.kind == "pluck" else np.float32(1.0)
        tone = tone + voice.noise * 0.3 * hiss * fall
    envelope = np.minimum(1.0, t / voice.attack_s)
    envelope = envelope * np.exp(-np.maximum(t - note.duration_s, 0) * (4.0 / voice.release_s))
    return (tone * envelope * (note.velocity / 127.0) ** 1.5).astype(np.float32)


def _fm(t: np.ndarray, warp: np.ndarray, f0: float, voice: Voice, brightness: float) -> np.ndarray:
    index = voice.fm_index * brightness * np.exp(-t / max(voice.decay_s, 0.05))
    modulator = np.sin(2 * np.pi * f0 * voice.fm_ratio * warp)
    return np.sin(2 * np.pi * f0 * warp + index * modulator) * np.exp(-t / (4 * voice.decay_s))


def _partials(
    t: np.ndarray, warp: np.ndarray, f0: float, voice: Voice, brightness: float, sample_rate_hz: int
) -> np.ndarray:
    h = np.arange(1, MAX_PARTIALS + 1)
    hz = h * f0 * np.sqrt(1 + voice.inharmonicity * h**2)
    h, hz = h[hz < 0.45 * sample_rate_hz], hz[hz < 0.45 * sample_rate_hz]
    level_db = -voice.slope_db * np.log2(h) / max(brightness, 0.3)
    for centre_hz, width, gain_db in voice.formants:
        level_db = level_db + gain_db * np.exp(-0.5 * (np.log2(hz / centre_hz) / width) ** 2)
    level = 10 ** (level_db / 20) * np.where(h % 2 == 0, voice.even, 1.0)
    keep = level > 1e-4 * level.max()
    tone = np.zeros(len(t), np.float32)
    detunes = (1.0, 2 ** (voice.detune_cents / 1200)) if voice.detune_cents else (1.0,)
    for number, frequency, amplitude in zip(h[keep], hz[keep], level[keep], strict=True):
        fall = np.exp(-t * np.float32(number**voice.damping / voice.decay_s))
        for detune in detunes:
            turns = np.mod(np.float64(frequency * detune) * warp + 0.37 * number, 1.0).astype(np.float32)
            tone += np.float32(amplitude) * fall * np.sin(np.float32(2 * np.pi) * turns)
    return tone
