"""The excitation bank: what the gains shape.

A gain field cannot add what the content lacks. So beside the content the bank offers its odd and even wave-shaped
harmonics and noise, each following the content's level; the network has gains for each of them. Everything is a
function of the samples since the stream's start and of a seed, so streams repeat bit for bit.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from deepmusic.audio import Audio, Spectra
from deepmusic.dsp.noise import GaussianNoise
from deepmusic.dsp.stft import AnalysisStft
from deepmusic.dsp.windows import STEP_FRAMES, StftGeometry

EXCITATIONS = ("content", "odd", "even", "noise")
"""Order of the first axis wherever excitations are stacked."""

CONTENT, ODD, EVEN, NOISE = range(len(EXCITATIONS))

POWER_FLOOR = 1e-13
"""Added to the mean power before the root, so that silence has an envelope of 3e-7: no gain makes -130 dBFS heard."""

_SILENT_ENVELOPE = np.sqrt(np.float32(POWER_FLOOR))

ODD_DRIVE = 3.0
EVEN_DRIVE = 2.0
EVEN_OFFSET = 0.6
# odd = tanh(3u), even = |tanh(2u)| - 0.6 of the level-free content u. They are part of what a bundle was trained on: a
# change here wants new bundles. The offset takes most of the mean away (0.66 for Laplacian u, 0.74 for Gaussian), so
# that what leaks from bin 0 into its neighbours stays small.

QUIETEST_SAMPLE = 1e-10
"""Samples of the wet path below this (-200 dBFS) count as 0: their spectra would be denormal, and slow."""

LOUDEST_SAMPLE = 1e3
"""Samples of the wet path are limited to this (+60 dBFS): their power must fit into float32."""


class ExcitationBank:
    """Spectra of the content and of its three companions, step by step.

    Args:
        geometry: Sizes and rate.
        n_channels: Channels of the content.
        seed: Of the noise.
    """

    def __init__(self, geometry: StftGeometry, n_channels: int, *, seed: int = 0) -> None:
        self._n_channels = n_channels
        self._source = ExcitationSource(geometry, n_channels, seed=seed)
        self._stft = AnalysisStft(geometry, len(EXCITATIONS) * n_channels)
        self._hop = geometry.hop
        self._n_bins = geometry.n_bins

    def process(self, step: Audio, out: Spectra | None = None) -> Spectra:
        """Spectra of the next ``k`` frames of every excitation.

        Args:
            step: ``(channels, k * hop)`` of the content, finite; not changed.
            out: Where to write the result, C-contiguous. A caller in the audio path hands the same array in every time.

        Returns:
            complex64 ``(excitations, channels, k, bins)``, in the order of ``EXCITATIONS``.
        """
        n_frames = step.shape[1] // self._hop
        if out is None:
            out = np.empty((len(EXCITATIONS), self._n_channels, n_frames, self._n_bins), np.complex64)
        signals = self._source.process(step)
        n_rows = len(EXCITATIONS) * self._n_channels
        self._stft.process(signals.reshape(n_rows, step.shape[1]), out=out.reshape(n_rows, n_frames, self._n_bins))
        out[ODD, :, :, 0] = 0.0
        out[EVEN, :, :, 0] = 0.0
        return out

    def reset(self) -> None:
        """Back to the stream's start."""
        self._source.reset()
        self._stft.reset()


class ExcitationSource:
    """The excitations as signals.

    The envelope of hop h ends at ``e_h``, the root of the mean power of hops h-1 and h over all channels, and goes
    there in a straight line from ``e_{h-1}``::

        u = x / e    odd = e tanh(3u)    even = e (|tanh(2u)| - 0.6)    noise = e g

    Args:
        geometry: Sizes and rate.
        n_channels: Channels of the content.
        seed: Of the noise.
    """

    def __init__(self, geometry: StftGeometry, n_channels: int, *, seed: int = 0) -> None:
        self._n_channels = n_channels
        self._hop = geometry.hop
        self._noise = GaussianNoise(seed, n_channels)
        self._rise = (np.arange(1, geometry.hop + 1) / geometry.hop).astype(np.float32)
        self._fall = np.float32(1.0) - self._rise
        self._last_energy = np.float32(0.0)
        self._last_envelope = _SILENT_ENVELOPE
        self._signals = np.empty((len(EXCITATIONS), n_channels, STEP_FRAMES * geometry.hop), np.float32)

    def process(self, step: Audio) -> Audio:
        """The excitations of the next ``k`` hops.

        Args:
            step: ``(channels, k * hop)``, finite; not changed.

        Returns:
            float32 ``(excitations, channels, k * hop)``. For a step of ``STEP_FRAMES`` hops it is the processor's own
            buffer, valid until the next call.
        """
        n_samples = step.shape[1]
        n_hops, rest = divmod(n_samples, self._hop)
        if rest or step.shape[0] != self._n_channels:
            raise ValueError(f"expected ({self._n_channels}, k * {self._hop}) samples, got {step.shape}")
        signals = self._signals
        if n_samples != signals.shape[2]:
            signals = np.empty((len(EXCITATIONS), self._n_channels, n_samples), np.float32)
        content, odd, even, noise = signals
        condition(step, out=content)
        envelope = self._envelope(content.reshape(self._n_channels, n_hops, self._hop))
        level_free = content / envelope
        np.multiply(level_free, np.float32(ODD_DRIVE), out=odd)
        np.tanh(odd, out=odd)
        odd *= envelope
        np.multiply(level_free, np.float32(EVEN_DRIVE), out=even)
        np.tanh(even, out=even)
        np.abs(even, out=even)
        even -= np.float32(EVEN_OFFSET)
        even *= envelope
        self._noise.process(n_samples, out=noise)
        noise *= envelope
        return signals

    def reset(self) -> None:
        """Back to the stream's start."""
        self._noise.reset()
        self._last_energy = np.float32(0.0)
        self._last_envelope = _SILENT_ENVELOPE

    def _envelope(self, hops: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """``(channels, k, hop)`` to the envelope ``(k * hop,)``, carrying energy and level over."""
        energy = np.square(hops).sum(axis=2).sum(axis=0)
        before = np.concatenate([[self._last_energy], energy[:-1]])
        power = (before + energy) / np.float32(2 * self._hop * self._n_channels)
        ends = np.sqrt(power + np.float32(POWER_FLOOR), dtype=np.float32)
        starts = np.concatenate([[self._last_envelope], ends[:-1]])
        if energy.size:
            self._last_energy, self._last_envelope = energy[-1], ends[-1]
        # Weighted ends, not start plus slope: that would round to 0 where a loud hop is followed by silence.
        return (starts[:, np.newaxis] * self._fall + ends[:, np.newaxis] * self._rise).reshape(-1)


def condition(block: Audio, out: Audio | None = None) -> Audio:
    """Keeps a finite block inside what float32 spectra can hold: tiny samples become 0, huge ones are limited.

    Args:
        block: ``(channels, samples)``, finite; not changed.
        out: Where to write the result, of the same shape.

    Returns:
        The block unchanged in value between ``QUIETEST_SAMPLE`` and ``LOUDEST_SAMPLE``.
    """
    out = np.clip(block, np.float32(-LOUDEST_SAMPLE), np.float32(LOUDEST_SAMPLE), out=out)
    out[np.abs(out) < np.float32(QUIETEST_SAMPLE)] = 0.0
    return out
