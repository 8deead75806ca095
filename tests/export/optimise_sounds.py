"""Two short sounds that are as unlike as the tests of `optimise` need: a plucked chord and a buzzing, noisy drone."""

from __future__ import annotations

import numpy as np

RATE_HZ = 44100
SECONDS = 1.3


def pluck(seconds: float = SECONDS, rate_hz: int = RATE_HZ) -> np.ndarray:
    """Decaying partials, a new note every 0.4 s: float32 (samples,)."""
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    note = 220.0 * 2 ** (np.floor(t / 0.4) * 4 / 12)
    partials = sum(np.sin(2 * np.pi * note * h * t) / h**2 for h in (1, 2, 3, 4))
    return (0.2 * np.exp(-5 * (t % 0.4)) * partials).astype(np.float32)


def buzz(seconds: float = SECONDS, rate_hz: int = RATE_HZ) -> np.ndarray:
    """A bright sawtooth with noise on it: float32 (samples,)."""
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    noise = np.random.default_rng(1).standard_normal(len(t))
    return (0.1 * (2 * (t * 147.0 % 1) - 1) + 0.02 * noise).astype(np.float32)
