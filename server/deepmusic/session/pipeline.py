"""The way of one step: content in, gains from the model, sound out.

::

    step --+-- input gain -- excitation bank --+-- lane: gains, loudness match, synthesis --+
           |                                   +-- lane of the next style, while it changes -+-- crossfade
           |                                                                                        |
           |                                              output gain -- true-peak ceiling ---------+
           |                                                            |
           +-- delay, bit for bit -------------------------------------- mix, rescue --- out

Positions count the samples of the stream. What a step's call gives out lies behind what it took in: by the frames that
the model's gains are late at the lanes' gains, by the synthesis too at their sound, by the ceiling's look-ahead too at
the mix. Every parameter is read at the position where it acts, so that all of them are heard ``latency_samples`` after
the sample that they were set for.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass

import numpy as np

from deepmusic.audio import Audio
from deepmusic.dsp.crossfade import FadeLaw, crossfade
from deepmusic.dsp.delay import DelayLine
from deepmusic.dsp.excitation import CONTENT, NOISE, ExcitationBank
from deepmusic.dsp.gains import channel_power
from deepmusic.dsp.levels import TruePeakCeiling
from deepmusic.dsp.windows import STEP_FRAMES, StftGeometry, stream_latency_samples
from deepmusic.model.style_vector import StyleVector
from deepmusic.session.automation import Automation
from deepmusic.session.changes import StyleChange
from deepmusic.session.config import ModelFacts, SessionConfig
from deepmusic.session.controls import Controls
from deepmusic.session.events import AudioFlag, Held, LaneRequest, LaneResult, Miss, Notice, NoticeKind
from deepmusic.session.gain_line import GainLine
from deepmusic.session.lane import Heard, Lane, k_weighting
from deepmusic.session.mixing import Rescue, eased, mix
from deepmusic.session.statistics import Statistics
from deepmusic.session.waiting_content import WaitingContent

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
        self._late_frames = model.late_frames
        self._late_samples = self._late_frames * self._geometry.hop
        self._dry_delay = DelayLine(n_channels, self._late_samples + self._mix_lag)
        self._content = WaitingContent(self._late_frames // STEP_FRAMES, n_channels, self._geometry)
        self._n_lanes_begun = 0
        self._first_statistics = config.statistics
        self._lanes = [self._new_lane(model, vector, statistics=config.statistics)]
        self._told_lane = 0
        """Number of the lane whose held statistics were handed out; 0 while they move."""
        self._fade = Automation(0.0)
        self._fade_end = 0
        self._changes: list[StyleChange] = []  # by at_sample; bounded by MAX_CHANGES
        self._waiting: StyleChange | None = None
        self._origin = 0
        self._next_first = 0
        self._step: _PreparedStep | None = None

    @property
    def latency_samples(self) -> int:
        """From an input sample to its output, in samples: framing, segments, STFT and the ceiling's look-ahead."""
        return stream_latency_samples(self._geometry) + self._late_samples + self._ceiling.latency_samples

    @property
    def late_frames(self) -> int:
        """Frames that gains may be late: no bundle with more can take over."""
        return self._late_frames

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
        first_in = self._next_first
        self._next_first = first_in + self.step_samples
        first = first_in - self._late_samples
        notices = self._begin_changes(first)
        gain = self._controls.gain("input_gain_db", first_in, self.step_samples)
        content = step if isinstance(gain, float) and gain == 1.0 else _amplified(step, gain)
        spectra = self._bank.process(content, out=self._content.room())
        power = channel_power(spectra[:NOISE])
        self._content.push(Heard(spectra, power, self._weighting.loudness_of_power(power[CONTENT])))
        for lane in self._lanes:
            lane.hear(self._content.ago(self._steps_to_gains(lane.model)))
        self._step = _PreparedStep(
            first=first,
            heard=self._content.ago(self._late_frames // STEP_FRAMES),
            is_frozen=self._controls.is_on("freeze", first),
            dry=self._dry_delay.process(step),
        )
        return notices

    def requests(self) -> tuple[LaneRequest, ...]:
        """What models are to answer before the prepared step is rendered: of long segments seldom anything."""
        assert self._step is not None, "no step is prepared"
        return tuple(lane.request(self._step.is_frozen) for lane in self._lanes if lane.line.wants_call)

    def missing(self) -> Miss | None:
        """Why there are no gains for the prepared step, though the model is not asked; ``None`` where there are."""
        return next((miss for lane in self._lanes if (miss := lane.line.missing) is not None), None)

    def adopt(self, results: tuple[LaneResult, ...]) -> None:
        """Takes an answer, late or not, for the lanes that still run."""
        answers = {result.lane: result for result in results}
        for lane in self._lanes:
            if (answer := answers.get(lane.number)) is not None:
                lane.line.adopt(answer.gain_db, answer.state)

    def newly_held(self) -> list[Held]:
        """Statistics that are held since the last answer, of the style that plays or is being faded to; each once."""
        lane = self._lanes[-1]
        if not lane.is_frozen:
            self._told_lane = 0
        elif lane.number != self._told_lane:
            self._told_lane = lane.number
            statistics = lane.statistics()
            return [] if statistics is None else [Held(statistics=statistics)]
        return []

    def fail(self) -> None:
        """The models that were asked failed, and begin anew."""
        for lane in self._lanes:
            lane.line.fail()

    def render(self, miss: Miss | None = None) -> RenderedStep:
        """The output of the prepared step.

        Args:
            miss: Why the delayed input is to be heard, where gains are missing.
        """
        assert self._step is not None, "no step is prepared"
        step, self._step = self._step, None
        count, origin = self.step_samples, self._origin
        wet = self._wet(step)
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
            audio[:, : min(origin - heard_first, count)] = 0.0  # until primed: frames smear ahead of the first sample
        self._controls.forget(heard_first)  # not this step: behind a flush positions are read again
        return RenderedStep(audio=audio, flags=tuple((n_samples, flags | ceiling) for n_samples, flags in runs))

    def restart(self, origin: int) -> None:
        """Begins anew with silence before it; the next sample to come in is ``origin``. Parameters stay as they are."""
        del self._lanes[:-1]
        self._told_lane = 0
        self._fade = Automation(0.0)
        self._lanes[0].reset()
        self._bank.reset()
        self._content.reset()
        self._ceiling.reset()
        self._dry_delay.reset()
        self._rescue.reset()
        self._origin = self._next_first = origin
        self._step = None

    def _wet(self, step: _PreparedStep) -> Audio:
        """Sound of all lanes, crossfaded, ``(channels, step_samples)``."""
        middle = self._geometry.hop - self._geometry.n_synthesis // 2
        frames = range(step.first + middle, step.first + middle + self.step_samples, self._geometry.hop)
        shape = self._controls.shape(tuple(frames))
        sounds = [lane.render(step.heard, shape, is_frozen=step.is_frozen) for lane in self._lanes]
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
        """The new lane has gains for this whole step, so that its sound is complete from ``first`` on."""
        start = max(change.at_sample, first)
        playing = self._lanes[0]
        is_same_model = change.model.digest == playing.model.digest
        line = playing.line.fork() if is_same_model else GainLine.joining(change.model)
        given = self._first_statistics if is_same_model else None
        known = None if given is None else given.of_another_style()
        self._lanes.append(self._new_lane(change.model, change.vector, line, known))
        self._lanes[-1].follow(playing)
        if not is_same_model:
            latest = self._steps_to_gains(change.model)
            for n_steps in range(self._late_frames // STEP_FRAMES - 1, latest - 1, -1):
                self._lanes[-1].hear(self._content.ago(n_steps))
        self._fade = Automation(0.0)
        self._fade.move(1.0, start, change.fade_samples)
        self._fade_end = start + change.fade_samples
        kind, what = (
            (NoticeKind.STYLE_CHANGED, change.vector.name)
            if is_same_model
            else (NoticeKind.BUNDLE_CHANGED, change.model.name)
        )
        return Notice(kind=kind, message=f"changing to {what!r} from sample {start}", at_sample=start, name=what)

    def _steps_to_gains(self, model: ModelFacts) -> int:
        """Steps that content waits before a model hears it, so that its gains come when they are due."""
        return (self._late_frames - model.late_frames) // STEP_FRAMES

    def _new_lane(
        self,
        model: ModelFacts,
        vector: StyleVector,
        line: GainLine | None = None,
        statistics: Statistics | None = None,
    ) -> Lane:
        self._n_lanes_begun += 1
        return Lane(
            number=self._n_lanes_begun,
            model=model,
            vector=vector,
            geometry=self._geometry,
            n_channels=self._n_channels,
            line=line,
            statistics=statistics,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _PreparedStep:
    first: int
    """Position of what its gains act on, behind the input's by the frames that they are late."""
    heard: Heard
    is_frozen: bool
    dry: Audio


def _amplified(step: Audio, gain: float | Audio) -> Audio:
    # Twice the largest input gain times float32's largest would be infinite; the bank limits far below this anyway.
    return np.clip(step, np.float32(-1e30), np.float32(1e30)) * np.asarray(gain, np.float32)
