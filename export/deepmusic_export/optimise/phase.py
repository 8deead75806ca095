r"""Phase from magnitude: phase gradient heap integration, then fast Griffin-Lim.

For a Gaussian window exp(-pi t^2 / gamma) the logarithm of the STFT is an analytic function, but for a factor, so the
gradient of the phase is that of the log magnitude, turned by a quarter (Prusa, Balazs & Sondergaard 2017, "A
noniterative method for reconstruction of phase from STFT magnitude", equations 8 and 9). With s = log |X|, frames n of
hop a, bins m of M, and the phase measured from the middle of each frame:

    phase[n+1, m] - phase[n, m] = a M / gamma * ds/dm + 2 pi a m / M        ds/dm: central difference
    phase[n, m+1] - phase[n, m] = -gamma / (a M) * ds/dn                    both are means of the two ends

Integration starts at the loudest bin and goes to the loudest neighbour of what is known, so errors gather where
nothing is heard. Fast Griffin-Lim (Perraudin, Balazs & Sondergaard 2013, algorithm 1) then makes it consistent.
"""

from __future__ import annotations

import heapq
import math

import numpy as np

from deepmusic_export.optimise.gaussian_stft import GaussianStft

#: Bins below this share of the largest magnitude get a random phase: -100 dB.
TOLERANCE = 1e-5
#: Frames that are integrated at once; their first neighbour is known from the block before. Bounds the memory.
BLOCK_FRAMES = 512
#: Acceleration of fast Griffin-Lim, and steps after which it hardly gains (Perraudin et al. 2013).
FGLA_ALPHA, FGLA_STEPS = 0.99, 32


def phase_from_magnitude(magnitude: np.ndarray, stft: GaussianStft, *, seed: int = 0) -> np.ndarray:
    """Phase gradient heap integration.

    Args:
        magnitude: (frames, bins), 0 or more.
        stft: The transform that it belongs to.
        seed: Of the phases of what is not heard.

    Returns:
        float32 (frames, bins), radians.
    """
    log_magnitude = np.log(np.maximum(magnitude, np.finfo(np.float32).tiny)).astype(np.float32)
    along, across = _phase_gradient(log_magnitude, stft)
    threshold = float(np.log(max(float(magnitude.max(initial=0.0)) * TOLERANCE, np.finfo(np.float32).tiny)))
    phase = np.random.default_rng(seed).uniform(-math.pi, math.pi, magnitude.shape).astype(np.float32)
    for first in range(0, len(magnitude), BLOCK_FRAMES):
        before = max(0, first - 1)
        block = slice(before, first + BLOCK_FRAMES)
        integrated = _integrate(
            log_magnitude[block], along[block], across[block], phase[block], first - before, threshold
        )
        phase[block] = np.remainder(integrated + math.pi, 2 * math.pi) - math.pi
    return phase


def consistent_spectra(
    magnitude: np.ndarray, phase: np.ndarray, stft: GaussianStft, n_samples: int, *, steps: int = FGLA_STEPS
) -> np.ndarray:
    """Fast Griffin-Lim: spectra of that magnitude, whose phase is that of a signal, or nearly so.

    Args:
        magnitude: (frames, bins).
        phase: Where to begin, (frames, bins), radians.
        stft: The transform.
        n_samples: Length of the signal.
        steps: How often.

    Returns:
        complex64 (frames, bins).
    """
    magnitude = magnitude.astype(np.float32)
    spectra = (magnitude * np.exp(1j * phase)).astype(np.complex64)
    last = None
    for _ in range(steps):
        projected = stft.analyse(stft.synthesise(spectra, n_samples))
        ahead = projected if last is None else projected + np.float32(FGLA_ALPHA) * (projected - last)
        last = projected
        spectra = ahead * (magnitude / np.maximum(np.abs(ahead), 1e-12))
    return spectra


def spectral_convergence_db(audio: np.ndarray, magnitude: np.ndarray, stft: GaussianStft) -> float:
    """How far the magnitude of a signal is from the wanted one, over the wanted one, in dB (Sturmel & Daudet 2011)."""
    error = np.linalg.norm(np.abs(stft.analyse(audio)) - magnitude)
    return float(20 * np.log10((error + 1e-20) / (np.linalg.norm(magnitude) + 1e-20)))


def _phase_gradient(log_magnitude: np.ndarray, stft: GaussianStft) -> tuple[np.ndarray, np.ndarray]:
    """Phase steps to the next frame and to the next bin, at every bin, in radians."""
    ratio = stft.spread / (stft.hop * stft.n_fft)
    rate = 2 * math.pi * stft.hop / stft.n_fft * np.arange(stft.n_bins)
    along = np.gradient(log_magnitude, axis=1) / ratio + rate
    across = -ratio * np.gradient(log_magnitude, axis=0) if len(log_magnitude) > 1 else np.zeros_like(log_magnitude)
    return along.astype(np.float32), across.astype(np.float32)


def _integrate(
    log_magnitude: np.ndarray,
    along: np.ndarray,
    across: np.ndarray,
    phase: np.ndarray,
    n_known: int,
    threshold: float,
) -> np.ndarray:
    """Integrates a block from its known frames, and from its loudest bins where those do not reach.

    Python's own lists and numbers: one bin at a time they are several times faster than arrays.
    """
    n_frames, n_bins = log_magnitude.shape
    level = log_magnitude.ravel().tolist()
    step_along, step_across = along.ravel().tolist(), across.ravel().tolist()
    angle: list[float] = phase.ravel().tolist()
    waiting = log_magnitude.ravel() > threshold
    seeds = np.flatnonzero(waiting)
    seeds = seeds[np.argsort(-log_magnitude.ravel()[seeds], kind="stable")].tolist()
    waiting[: n_known * n_bins] = False
    is_waiting = bytearray(waiting.tobytes())
    heap = [(-level[index], index) for index in range(n_known * n_bins) if level[index] > threshold]
    heapq.heapify(heap)
    push, pop = heapq.heappush, heapq.heappop
    last_frame, last_bin = (n_frames - 1) * n_bins, n_bins - 1
    for seed in seeds:
        if is_waiting[seed] and not heap:
            is_waiting[seed] = 0
            angle[seed] = 0.0
            push(heap, (-level[seed], seed))
        while heap:
            _, here = pop(heap)
            at = angle[here]
            if here < last_frame and is_waiting[there := here + n_bins]:
                is_waiting[there] = 0
                angle[there] = at + 0.5 * (step_along[here] + step_along[there])
                push(heap, (-level[there], there))
            if here >= n_bins and is_waiting[there := here - n_bins]:
                is_waiting[there] = 0
                angle[there] = at - 0.5 * (step_along[here] + step_along[there])
                push(heap, (-level[there], there))
            place = here % n_bins
            if place < last_bin and is_waiting[there := here + 1]:
                is_waiting[there] = 0
                angle[there] = at + 0.5 * (step_across[here] + step_across[there])
                push(heap, (-level[there], there))
            if place and is_waiting[there := here - 1]:
                is_waiting[there] = 0
                angle[there] = at - 0.5 * (step_across[here] + step_across[there])
                push(heap, (-level[there], there))
    return np.array(angle).reshape(n_frames, n_bins)
