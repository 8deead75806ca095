"""Content that waits for its gains: the spectra of the last steps, in memory that is used again and again."""

from __future__ import annotations

import numpy as np

from deepmusic.audio import Spectra
from deepmusic.dsp.excitation import EXCITATIONS, NOISE
from deepmusic.dsp.windows import STEP_FRAMES, StftGeometry
from deepmusic.session.lane import Heard


class WaitingContent:
    """The steps of content that were heard last; before the first one is silence.

    A step of stereo at 48 kHz is 311 kB, so a bundle of 1.2 s keeps 18 MB a stream.

    Args:
        n_steps: Steps that the oldest one is back.
        n_channels: Channels.
        geometry: Sizes and rate.
    """

    def __init__(self, n_steps: int, n_channels: int, geometry: StftGeometry) -> None:
        shape = (len(EXCITATIONS), n_channels, STEP_FRAMES, geometry.n_bins)
        self._rooms = [np.empty(shape, np.complex64) for _ in range(n_steps + 1)]
        self._steps: list[Heard | None] = [None] * (n_steps + 1)
        no_power = np.zeros((NOISE, STEP_FRAMES, geometry.n_bins), np.float32)
        self._silence = Heard(np.zeros(shape, np.complex64), no_power, np.zeros(STEP_FRAMES, np.float32))
        self._at = 0  # where the next step goes

    def room(self) -> Spectra:
        """Where to write the next step's spectra, complex64 ``(excitations, channels, 4, bins)``."""
        return self._rooms[self._at]

    def push(self, heard: Heard) -> None:
        """Takes the next step, whose spectra lie in ``room``; the oldest one is gone."""
        self._steps[self._at] = heard
        self._at = (self._at + 1) % len(self._steps)

    def ago(self, n_steps: int) -> Heard:
        """The step that was pushed before the last ``n_steps`` ones."""
        return self._steps[self._at - 1 - n_steps] or self._silence

    def reset(self) -> None:
        """Silence."""
        self._steps = [None] * len(self._steps)
