"""A lane: one style on one model, from gains to sound. Two of them run while a style changes."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from deepmusic.audio import Audio, Spectra
from deepmusic.dsp.excitation import CONTENT, EXCITATIONS
from deepmusic.dsp.gains import BandAnalysis, BandLayout, GainField, GainMixer, channel_power
from deepmusic.dsp.levels import KWeighting, LoudnessMatch
from deepmusic.dsp.stft import SynthesisStft
from deepmusic.dsp.windows import STEP_FRAMES, StftGeometry, bin_frequencies_hz
from deepmusic.model.style_vector import StyleVector
from deepmusic.session.config import ModelFacts
from deepmusic.session.controls import StyleShape
from deepmusic.session.events import LaneRequest
from deepmusic.session.gain_line import GainLine
from deepmusic.session.parameters import HIGHEST_HZ, LOWEST_HZ
from deepmusic.session.statistics import Statistics

OFF_DB = -120.0
"""A gain at or below this is silence; the model's gains are limited to it from below."""

LOUDEST_GAIN_DB = 60.0
"""The model's gains are limited to this from above; training bounds them to some 40 dB."""

EDGE_OCTAVES = 1.0 / 6.0
"""Width of the edges of the styled band, in octaves, centred on ``low_hz`` and ``high_hz``."""


class BandTools(NamedTuple):
    """Both directions between bins and the bands of a layout; they hold no state and are shared."""

    analysis: BandAnalysis
    field: GainField


@lru_cache(maxsize=16)
def band_tools(layout: BandLayout, geometry: StftGeometry) -> BandTools:
    """The tools for a layout at a rate; building their matrices costs milliseconds, so they are kept."""
    return BandTools(BandAnalysis(layout, geometry), GainField(layout, geometry))


class Heard(NamedTuple):
    """What all lanes hear of one step."""

    spectra: Spectra
    """complex64 ``(excitations, channels, frames, bins)``."""
    power: npt.NDArray[np.float32]
    """``(3, frames, bins)``: ``channel_power`` of content, odd and even."""
    loudness_power: npt.NDArray[np.float32]
    """``(frames,)``: K-weighted power of the content."""


class Lane:
    """One style on one model.

    Args:
        number: Unique within the session.
        model: The bundle's facts.
        vector: The style, in the bundle's space.
        geometry: Sizes and rate.
        n_channels: Channels of the stream.
        line: The way to the model and back; a new one by default.
        statistics: What is known of the content when the lane begins, without ``line``, and when it begins anew.
    """

    def __init__(
        self,
        *,
        number: int,
        model: ModelFacts,
        vector: StyleVector,
        geometry: StftGeometry,
        n_channels: int,
        line: GainLine | None = None,
        statistics: Statistics | None = None,
    ) -> None:
        self.number = number
        self.model = model
        self.vector = vector
        self.is_frozen = False
        """Whether the model was last asked with its statistics held."""
        self._first_statistics = statistics
        self.line = self._new_line() if line is None else line
        self._tools = band_tools(model.layout, geometry)
        self._bins_hz = bin_frequencies_hz(geometry)
        self._loudness = LoudnessMatch(geometry)
        if line is None:
            self._begin_loudness()
        self._weighting = k_weighting(geometry)
        self._synthesis = SynthesisStft(geometry, n_channels)
        self._mixer = GainMixer(len(EXCITATIONS), n_channels, STEP_FRAMES, geometry.n_bins)
        self._bin_gains = np.empty((len(EXCITATIONS), STEP_FRAMES, geometry.n_bins), np.float32)
        self._wet = np.empty((n_channels, STEP_FRAMES, geometry.n_bins), np.complex64)
        self._held_db = self._neutral_db()

    def follow(self, other: Lane) -> None:
        """Sets out from the level that another lane has settled at, whose place this one takes."""
        self._loudness.follow(other._loudness)

    def hear(self, heard: Heard) -> None:
        """Puts on the model's way what it hears of a step: band magnitudes of content, odd and even."""
        magnitudes = self._tools.analysis.magnitudes_of_power(heard.power, heard.spectra.shape[1])
        self.line.hear(np.ascontiguousarray(magnitudes.transpose(1, 0, 2)))

    def request(self, is_frozen: bool) -> LaneRequest:
        """What the model is to be asked now, where the line wants a call."""
        call = self.line.call()
        self.is_frozen = is_frozen
        return LaneRequest(
            lane=self.number,
            model=self.model,
            bands=call.bands,
            style=self.vector.values,
            freeze=float(is_frozen),
            state=call.state,
        )

    def render(self, heard: Heard, shape: StyleShape, *, is_frozen: bool) -> Audio:
        """The next step of this lane's sound, before fades, output gain and ceiling.

        Where there are no gains for it the last ones are repeated, so that the sound of a missed step is there to fade
        out of and its overlap to fade back into.

        Args:
            heard: The step's spectra.
            shape: Strength and styled band.
            is_frozen: Whether running statistics are held.

        Returns:
            float32 ``(channels, step_samples)`` in new memory.
        """
        gain_db = self.line.next_gains()
        if gain_db is None:
            gain_db = self._held_db
        else:
            gain_db = np.clip(gain_db, np.float32(OFF_DB), np.float32(LOUDEST_GAIN_DB))
            self._held_db = np.repeat(gain_db[-1:], len(gain_db), axis=0)
        share = None if shape.low_hz is None and shape.high_hz is None else _styled_share(self._bins_hz, shape)
        wet = self._mixer.mix(heard.spectra, self._shaped_gains(gain_db, shape.strength, share), out=self._wet)
        self._match_loudness(wet, heard, shape.strength, share, is_frozen=is_frozen)
        return self._synthesis.process(wet)

    def reset(self) -> None:
        """As if nothing had been heard since the lane began; statistics that are held outlive it."""
        if self.is_frozen:
            self._first_statistics = self.statistics()
        self.line = self._new_line()
        self._begin_loudness()
        self._synthesis.reset()
        self._held_db = self._neutral_db()

    def statistics(self) -> Statistics | None:
        """What is known of the content now; ``None`` where the bundle's cannot be told apart."""
        return self.model.statistics_in(self.line.state, *self._loudness.means)

    def _new_line(self) -> GainLine:
        return GainLine(self.model, self.model.state_with(self._first_statistics))

    def _begin_loudness(self) -> None:
        first = self._first_statistics
        self._loudness.resume(*((0.0, 0.0) if first is None else (first.content_power, first.wet_power)))

    def _shaped_gains(
        self, gain_db: npt.NDArray[np.float32], strength: Audio, share: npt.NDArray[np.float32] | None
    ) -> npt.NDArray[np.float32]:
        """Linear gains of every excitation's bins, with strength and the styled band in them."""
        by_excitation = np.ascontiguousarray(gain_db.transpose(1, 0, 2))
        is_partial = bool((strength < 1.0).any())
        if is_partial:
            by_excitation[CONTENT] *= strength[:, np.newaxis]
        gains = self._tools.field.bin_gains(by_excitation, out=self._bin_gains)
        if is_partial:
            gains[CONTENT + 1 :] *= strength[:, np.newaxis]
        if share is not None:
            np.power(gains[CONTENT], share, out=gains[CONTENT])
            gains[CONTENT + 1 :] *= share
        return gains

    def _match_loudness(
        self, wet: Spectra, heard: Heard, strength: Audio, share: npt.NDArray[np.float32] | None, *, is_frozen: bool
    ) -> None:
        """Brings the wet to the content's loudness, in place; of a styled band, the band alone: the rest is dry."""
        content, styled = heard.loudness_power, channel_power(wet)
        if share is not None:
            content, styled = self._weighting.loudness_of_power(heard.power[CONTENT] * share), styled * share
        match = self._loudness.process(content, self._weighting.loudness_of_power(styled), strength, hold=is_frozen)
        if (match != 1.0).any():
            wet *= match[:, np.newaxis] if share is None else np.power(match[:, np.newaxis], share)

    def _neutral_db(self) -> npt.NDArray[np.float32]:
        gain_db = np.full((STEP_FRAMES, len(EXCITATIONS), self.model.layout.n_bands), OFF_DB, np.float32)
        gain_db[:, CONTENT] = 0.0
        return gain_db


@lru_cache(maxsize=8)
def k_weighting(geometry: StftGeometry) -> KWeighting:
    """The weighting for a rate; it holds no state and is shared."""
    return KWeighting(geometry)


def _styled_share(bins_hz: Audio, shape: StyleShape) -> npt.NDArray[np.float32]:
    """How much every bin takes part in the style, ``(frames, bins)``: 1 inside the band, 0 outside, soft edges."""
    share = np.ones((len(shape.strength), len(bins_hz)), np.float32)
    # An edge at its end reaches no bin, so it sets out from there without a step: 0 Hz counts as just above the lowest.
    reach = 2.0 ** (0.51 * EDGE_OCTAVES)
    octaves = np.log2(np.clip(bins_hz, np.float32(LOWEST_HZ * reach), np.float32(HIGHEST_HZ / reach)))
    for edge_hz, sign in ((shape.low_hz, 1.0), (shape.high_hz, -1.0)):
        if edge_hz is not None:
            above = (octaves - np.log2(edge_hz)[:, np.newaxis]) * np.float32(sign / EDGE_OCTAVES) + np.float32(0.5)
            rise = np.clip(above, np.float32(0.0), np.float32(1.0))
            share *= rise * rise * (np.float32(3.0) - np.float32(2.0) * rise)
    return share
