"""Patches: what a score can be played on. A SoundFont program, a synthesis patch or a singer, with effects."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

#: Programs of the training SoundFont that training never hears; `evaluate` plays them.
HELD_OUT_PROGRAMS = (3, 20, 26, 41, 57, 66, 74, 90, 107)

#: Drum kits of FluidR3 GM (bank 128).
DRUM_KITS = (0, 8, 16, 24, 25, 32, 40, 48)

#: Centres of the equaliser's bands in Hz, an octave apart.
EQ_CENTRES_HZ = (63.0, 125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0, 16000.0)

#: Bodies reach this far to either side, semitones: a fifth, as from a violin to a viola or from a child to a man.
BODY_SEMITONES = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """A chain of effects that belongs to a patch: drive, equaliser, tremolo, reverb, in this order."""

    drive_db: float = 0.0
    """Gain into a soft clipper in dB; 0 leaves the sound as it is."""
    eq_db: tuple[float, ...] = ()
    """Gain in dB at each of EQ_CENTRES_HZ, interpolated over log frequency; empty for none."""
    tremolo_hz: float = 0.0
    """Rate of the tremolo in Hz; 0 for none."""
    tremolo_depth: float = 0.0
    """Depth of the tremolo, 0 to 1."""
    reverb_s: float = 0.0
    """Time in seconds in which the reverb falls by 60 dB; 0 for none."""
    reverb_mix: float = 0.0
    """Amplitude of the reverb beside the dry sound, 0 to 1."""
    seed: int = 0
    """Seed of the reverb's noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """What a SoundFont patch is changed by: offsets to generators, in the units of SoundFont 2.01, section 8.1.3.

    Filter and envelope are what tells a patch of one SoundFont from the same patch of another, samples apart.
    """

    cutoff_cents: int = 0
    """Of the low-pass filter, which patches leave open at 20 kHz where they say nothing."""
    resonance_cb: int = 0
    """Peak of that filter in centibels."""
    attack_timecents: int = 0
    """From 1 ms, where a patch says nothing: 1200 doubles the time."""
    decay_timecents: int = 0
    """The same for the decay, which is heard where there is a fall to the sustain level."""
    sustain_cb: int = 0
    """Fall from the peak to the sustain level in centibels."""
    release_timecents: int = 0

    @property
    def offsets(self) -> dict[int, int]:
        """Number of each generator that is changed, and by how much."""
        every = {
            8: self.cutoff_cents,
            9: self.resonance_cb,
            34: self.attack_timecents,
            36: self.decay_timecents,
            37: self.sustain_cb,
            38: self.release_timecents,
        }
        return {generator: amount for generator, amount in every.items() if amount}


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """What plays a score."""

    source: str
    """`soundfont`, `drums`, `synth` or `voice`."""
    program: int
    """SoundFont program 0 to 127, drum kit, or the seed of a synthesis patch or of a singer."""
    accompaniment: int
    """Program of part 1; equal to `program` for a solo patch."""
    body_semitones: int = 0
    """How much smaller the instrument is than its samples, at the same pitch: formants go up by this interval and
    envelopes run faster by it."""
    edit: Edit = Edit()
    effects: Effects = Effects()

    def as_dict(self) -> dict[str, Any]:
        """A JSON-ready copy."""
        return asdict(self)


def random_effects(rng: np.random.Generator) -> Effects:
    """Effects as a record might have them; four in ten patches stay dry."""
    if rng.random() < 0.4:
        return Effects()
    has = rng.random(4) < np.array([0.25, 0.8, 0.12, 0.35])
    return Effects(
        drive_db=float(rng.uniform(6, 36)) if has[0] else 0.0,
        eq_db=tuple(float(x) for x in np.cumsum(rng.normal(0, 3.5, len(EQ_CENTRES_HZ)))) if has[1] else (),
        tremolo_hz=float(rng.uniform(2, 8)) if has[2] else 0.0,
        tremolo_depth=float(rng.uniform(0.2, 0.8)) if has[2] else 0.0,
        reverb_s=float(rng.uniform(0.2, 1.2)) if has[3] else 0.0,
        reverb_mix=float(rng.uniform(0.1, 0.6)) if has[3] else 0.0,
        seed=int(rng.integers(2**31)),
    )


def random_body(rng: np.random.Generator) -> int:
    """A body for a SoundFont patch in semitones; half of the patches keep their own."""
    return int(rng.integers(-BODY_SEMITONES, BODY_SEMITONES + 1)) if rng.random() < 0.5 else 0


def random_edit(rng: np.random.Generator) -> Edit:
    """A filter, an envelope or both, as another sound designer might have set them."""
    has_filter, is_struck, is_slow = rng.random(3) < np.array([0.6, 0.4, 0.3])
    return Edit(
        cutoff_cents=-int(rng.integers(1000, 6500)) if has_filter else 0,
        resonance_cb=int(rng.integers(0, 160)) if has_filter and rng.random() < 0.4 else 0,
        attack_timecents=int(rng.integers(5500, 9600)) if is_slow else 0,
        decay_timecents=int(rng.integers(9000, 13500)) if is_struck else 0,
        sustain_cb=int(rng.integers(100, 960)) if is_struck else 0,
        release_timecents=int(rng.integers(-2400, 3600)),
    )


def apply_effects(audio: np.ndarray, effects: Effects, sample_rate_hz: int) -> np.ndarray:
    """Runs mono audio through a chain of effects.

    Args:
        audio: float32 (samples,).
        effects: The chain; every parameter at its default gives the input back.
        sample_rate_hz: Rate of `audio` in Hz.

    Returns:
        float32 (samples,): same length, tails cut.
    """
    out = audio
    if effects.drive_db > 0:
        level = float(np.sqrt(np.mean(out**2))) + 1e-6
        drive = 10 ** (effects.drive_db / 20)
        out = np.tanh(out / level * 0.25 * drive) * level
    if effects.tremolo_hz > 0:
        phase = 2 * np.pi * effects.tremolo_hz * np.arange(len(out)) / sample_rate_hz
        out = out * (1 - effects.tremolo_depth * 0.5 * (1 + np.cos(phase)))
    if effects.eq_db or effects.reverb_s > 0:
        n_fft = 1 << (len(out) + int(1.2 * effects.reverb_s * sample_rate_hz) - 1).bit_length()
        spectrum = np.fft.rfft(out.astype(np.float32), n_fft)
        if effects.eq_db:
            hz = np.maximum(np.fft.rfftfreq(n_fft, 1 / sample_rate_hz), 1.0)
            gain_db = np.interp(np.log(hz), np.log(EQ_CENTRES_HZ), effects.eq_db)
            spectrum *= 10 ** (gain_db / 20)
        if effects.reverb_s > 0:
            length = int(effects.reverb_s * sample_rate_hz)
            noise = np.random.default_rng(effects.seed).standard_normal(length)
            impulse = noise * 10 ** (-3 * np.arange(length) / length)
            impulse *= effects.reverb_mix / np.sqrt(np.sum(impulse**2))
            impulse[0] += 1.0
            spectrum *= np.fft.rfft(impulse, n_fft)
        out = np.fft.irfft(spectrum, n_fft)[: len(out)]
    return out.astype(np.float32)
