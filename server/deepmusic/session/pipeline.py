"""The way of one step: content in, gains from the model, sound out.

::

    step --+-- input gain -- excitation bank --+-- lane: gains, loudness match, synthesis --+
           |                                   +-- lane of the next style, while it changes -+-- crossfade
           |                                                                                        |
           |                                              output gain -- true-peak ceiling ---------+
           |                                                            |
           +-- delay, bit for bit -------------------------------------- mix, rescue --- out

Positions count the samples of the stream. What a step's call gives out lies behind what it took in: by the synthesis
at the lanes, by the ceiling's look-ahead too at the mix. Every parameter is read at the position where it acts, so that
all of them are heard ``latency_samples`` after the sample that they were set for.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deepmusic.audio import Audio
from deepmusic.dsp.crossfade import FadeLaw, crossfade
from deepmusic.dsp.delay import DelayLine
from deepmusic.dsp.excitation import CONTENT, EXCITATIONS, ExcitationBank
from deepmusic.dsp.levels import TruePeakCeiling
from deepmusic.dsp.windows import STEP_FRAMES, StftGeometry, stream_latency_samples
from deepmusic.model.style_vector import StyleVector
from deepmusic.session.automation import Automation
from deepmusic.session.changes import StyleChange
from deepmusic.session.config import ModelFacts, SessionConfig
from deepmusic.session.controls import Controls
from deepmusic.session.events import AudioFlag, LaneRequest, LaneResult, Miss, Notice, NoticeKind
from deepmusic.session.lane import Heard, Lane, k_weighting
from deepmusic.session.mixing import Rescue, eased, mix

MAX_CHANGES = 256
"""Changes of style or bundle that may be scheduled ahead; a further one is refused, and its sender told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedStep:
    """A step's worth of output."""

    audio: Audio
    """float32 ``(channels, step_samples)``."""
    flags: tuple[tuple[int, AudioFlag], ...]
    """Runs of samples with their flags, in order."""


class Pipeline:
    """Everything between whole steps of content and whole steps of output, but the model.

    A step is *prepared*, its requests are answered by the model, and it is *rendered*, with the gains or without; then
    the next one may be prepared.

    Args:
        config: Format and seed.
        controls: The session's parameters.
        model: The first bundle.
        vector: The first style.
    """

    def __init__(self, config: SessionConfig, controls: Controls, model: ModelFacts, vector: StyleVector) -> None:
        n_channels, rate_hz = config.audio_format.n_channels, config.audio_format.sample_rate_hz
        self._geometry = StftGeometry.for_rate(rate_hz)
        self._n_channels = n_channels
        self._controls = controls
        self._bank = ExcitationBank(self._geometry, n_channels, seed=config.noise_seed)
        self._weighting = k_weighting(self._geometry)
        self._ceiling = TruePeakCeiling(self._geometry, n_channels)
        self._rescue = Rescue(rate_hz)
        self._synthesis_lag = self._geometry.n_synthesis - self._geometry.hop
        self._mix_lag = self._synthesis_lag + self._ceiling.latency_samples
        self._dry_delay = DelayLine(n_channels, self._mix_lag)
        self._spectra = np.empty((len(EXCITATIONS), n_channels, STEP_FRAMES, self._geometry.n_bins), np.complex64)
        self._n_lanes_begun = 0
        self._lanes = [self._new_lane(model, vector, model.initial_state)]
        self._fade = Automation(0.0)
        self._fade_end = 0
        self._changes: list[StyleChange] = []  # by at_sample; bounded by MAX_CHANGES
        self._waiting: StyleChange | None = None
        self._origin = 0
        self._next_first = 0
        self._step: _PreparedStep | None = None

    @property
    def latency_samples(self) -> int:
        """From an input sample to its output, in samples: framing, STFT and the ceiling's look-ahead."""
        return stream_latency_samples(self._geometry) + self._ceiling.latency_samples

    @property
    def step_samples(self) -> int:
        """Samples of one step."""
        return self._geometry.step_samples

    @property
    def is_prepared(self) -> bool:
        """Whether a step waits to be rendered."""
        return self._step is not None

    @property
    def model(self) -> ModelFacts:
        """The bundle that plays, or that is being faded to."""
        return self._lanes[-1].model

    def change(self, change: StyleChange) -> bool:
        """Schedules a change; False where ``MAX_CHANGES`` wait already and this one is not taken.

        One for the sample of another replaces it: a morph that is moved while no audio comes fills nothing up, and does
        not run through all its positions afterwards.
        """
        self._changes = [waiting for waiting in self._changes if waiting.at_sample != change.at_sample]
        if len(self._changes) >= MAX_CHANGES:
            return False
        insort(self._changes, change, key=lambda waiting: waiting.at_sample)
        return True

    def prepare(self, step: Audio) -> list[Notice]:
        """Takes the next step of content and begins the changes that are due in it.

        Args:
            step: ``(channels, step_samples)``, finite; not changed.

        Returns:
            A notice for each change that begins.
        """
        assert self._step is None, "the last step has not been rendered"
        first = self._next_first
        self._next_first = first + self.step_samples
        notices = self._begin_changes(first)
        gain = self._controls.gain("input_gain_db", first, self.step_samples)
        content = step if isinstance(gain, float) and gain == 1.0 else _amplified(step, gain)
        self._bank.process(content, out=self._spectra)
        heard = Heard(
            spectra=self._spectra,
            loudness_power=self._weighting.frame_loudness_power(self._spectra[CONTENT]),
            is_frozen=self._controls.is_on("freeze", first),
        )
        self._step = _PreparedStep(first=first, heard=heard, dry=self._dry_delay.process(step))
        return notices

    def requests(self) -> tuple[LaneRequest, ...]:
        """What the model is to answer for the prepared step."""
        assert self._step is not None, "no step is prepared"
        heard = self._step.heard
        return tuple(
            LaneRequest(
                lane=lane.number,
                model=lane.model,
                bands=lane.bands(heard),
                style=lane.vector.values,
                freeze=float(heard.is_frozen),
                state=lane.state,
            )
            for lane in self._lanes
        )

    def adopt(self, results: tuple[LaneResult, ...]) -> None:
        """Takes the states of an answer, late or not, whose lanes still run."""
        states = {result.lane: result.state for result in results}
        for lane in self._lanes:
            lane.state = states.get(lane.number, lane.state)

    def restart_states(self) -> None:
        """The models begin anew after a failure; what they held may be what made them fail."""
        for lane in self._lanes:
            lane.state = lane.model.initial_state

    def render(self, gains: Mapping[int, npt.NDArray[np.float32]], miss: Miss | None = None) -> RenderedStep:
        """The output of the prepared step.

        Args:
            gains: The model's gains in dB by lane, ``(frames, excitations, bands)`` each; none where it was missed.
            miss: Why it was missed.
        """
        assert self._step is not None, "no step is prepared"
        step, self._step = self._step, None
        count, origin = self.step_samples, self._origin
        wet = self._wet(step, gains)
        gain = self._controls.gain("output_gain_db", step.first - self._synthesis_lag, count)
        if not (isinstance(gain, float) and gain == 1.0):
            wet *= np.asarray(gain, np.float32)
        wet = self._ceiling.process(wet)
        ceiling = AudioFlag.CEILING if self._ceiling.reduction_db > 0.0 else AudioFlag.NONE
        heard_first = step.first - self._mix_lag
        runs = self._rescue.begin_step(miss, heard_first, count)
        weight = self._controls.wet_weight(heard_first, count)
        audio = mix(step.dry, wet, weight, self._rescue.dryness(heard_first, count))
        if heard_first < origin:
            audio[:, : origin - heard_first] = 0.0  # silence until primed: frames smear ahead of the first sample
        self._controls.forget(heard_first + count)
        return RenderedStep(audio=audio, flags=tuple((n_samples, flags | ceiling) for n_samples, flags in runs))

    def restart(self, origin: int) -> None:
        """Begins anew with silence before it; the next sample to come in is ``origin``. Parameters stay as they are."""
        del self._lanes[:-1]
        self._fade = Automation(0.0)
        self._lanes[0].reset()
        self._bank.reset()
        self._ceiling.reset()
        self._dry_delay.reset()
        self._rescue.reset()
        self._origin = self._next_first = origin
        self._step = None

    def _wet(self, step: _PreparedStep, gains: Mapping[int, npt.NDArray[np.float32]]) -> Audio:
        """Sound of all lanes, crossfaded, ``(channels, step_samples)``."""
        middle = self._geometry.hop - self._geometry.n_synthesis // 2
        frames = range(step.first + middle, step.first + middle + self.step_samples, self._geometry.hop)
        shape = self._controls.shape(tuple(frames))
        sounds = [lane.render(step.heard, gains.get(lane.number), shape) for lane in self._lanes]
        if len(sounds) == 1:
            return sounds[0]
        first = step.first - self._synthesis_lag
        progress = eased(self._fade.over(first, self.step_samples))
        if first + self.step_samples >= self._fade_end:
            del self._lanes[0]
        # Two styles have the content's phase in common: they correlate at 0.89 to 0.98 (nine pairs, measured), so that
        # equal power would swell by 3 dB in every fade, which a morph makes one after the other.
        return crossfade(sounds[0], sounds[1], progress, FadeLaw.LINEAR)

    def _begin_changes(self, first: int) -> list[Notice]:
        """Begins at most one crossfade; a change that comes while one runs waits, and the newest one wins."""
        notices: list[Notice] = []
        if self._waiting is not None and len(self._lanes) == 1:
            notices.append(self._begin(self._waiting, first))
            self._waiting = None
        while self._changes and self._changes[0].at_sample < first + self.step_samples:
            change = self._changes.pop(0)
            if len(self._lanes) == 1:
                notices.append(self._begin(change, first))
            else:
                self._waiting = change
        return notices

    def _begin(self, change: StyleChange, first: int) -> Notice:
        """The new lane hears this whole step, so that its sound is complete from ``first`` on."""
        start = max(change.at_sample, first)
        playing = self._lanes[0]
        is_same_model = change.model.digest == playing.model.digest
        state = playing.state if is_same_model else change.model.initial_state
        self._lanes.append(self._new_lane(change.model, change.vector, state))
        self._fade = Automation(0.0)
        self._fade.move(1.0, start, change.fade_samples)
        self._fade_end = start + change.fade_samples
        kind, what = (
            (NoticeKind.STYLE_CHANGED, change.vector.name)
            if is_same_model
            else (NoticeKind.BUNDLE_CHANGED, change.model.name)
        )
        return Notice(kind=kind, message=f"changing to {what!r} from sample {start}", at_sample=start, name=what)

    def _new_lane(self, model: ModelFacts, vector: StyleVector, state: npt.NDArray[np.float32]) -> Lane:
        self._n_lanes_begun += 1
        return Lane(
            number=self._n_lanes_begun,
            model=model,
            vector=vector,
            geometry=self._geometry,
            n_channels=self._n_channels,
            state=state,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _PreparedStep:
    first: int
    heard: Heard
    dry: Audio


def _amplified(step: Audio, gain: float | Audio) -> Audio:
    # Twice the largest input gain times float32's largest would be infinite; the bank limits far below this anyway.
    return np.clip(step, np.float32(-1e30), np.float32(1e30)) * np.asarray(gain, np.float32)
