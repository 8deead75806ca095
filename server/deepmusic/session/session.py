"""A live session as a state machine: events in, events out, no clock, no thread, no I/O.

::

    AudioIn --> checks, gaps --> framer --> prepare --> StepRequest      one open at most
                                               StepResult --> render --> AudioOut   one for each AudioIn
                                               StepMissed --> render the delayed dry

What comes out depends on the samples since the stream's start, on the parameters at their samples, on the bundle and
the styles, and on nothing else: not on the sizes of blocks, not on when an answer came, unless a step was missed.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from deepmusic.audio import Audio, check_block, replace_non_finite
from deepmusic.dsp.windows import STEP_FRAMES
from deepmusic.errors import AudioTooFast, BadConfig
from deepmusic.model.style_vector import StyleVector
from deepmusic.session.answers import Answers, OwedBlock
from deepmusic.session.changes import check_change, lateness_mismatch, refusal, style_mismatch
from deepmusic.session.config import ModelFacts, SessionConfig
from deepmusic.session.controls import Controls
from deepmusic.session.events import (
    AudioFlag,
    AudioIn,
    AudioOut,
    ChangeBundle,
    ChangeStyle,
    Control,
    Finish,
    Flush,
    InEvent,
    Miss,
    Notice,
    NoticeKind,
    OutEvent,
    StepMissed,
    StepRequest,
    StepResult,
    Summary,
    Timing,
)
from deepmusic.session.pipeline import Pipeline
from deepmusic.session.state import SessionState, Signal, next_state, signal_of
from deepmusic.session.stats import Counters, SessionStats
from deepmusic.session.steps import Standing, StepQueue

LONGEST_FILLED_GAP_S = 1.0
"""A longer gap is not filled with silence: the stream begins anew behind it."""

MAX_HELD_EVENTS = 4096
"""Events that may wait for a flush to end; one more, and the sender is told that it is too fast."""


class Session:
    """One stream of audio through one model.

    Args:
        config: Format, first values of parameters, bounds.
        model: Facts of the loaded bundle.
        style: The style to begin with, in the bundle's space.

    Raises:
        BadConfig: The style or the statistics belong to another bundle.
        BadParameter: A first value is unknown or out of range.
    """

    def __init__(self, config: SessionConfig, model: ModelFacts, style: StyleVector) -> None:
        if complaint := style_mismatch(style, model):
            raise BadConfig(complaint, field="style")
        if config.statistics is not None:
            model.check_statistics(config.statistics)
        self._format = config.audio_format
        self._max_block_samples = config.max_block_samples
        self._controls = Controls(config.settings, self._format.sample_rate_hz)
        self._pipeline = Pipeline(config, self._controls, model, style)
        self._target_model = model
        step_samples = self._pipeline.step_samples
        self._steps = StepQueue(self._format.n_channels, step_samples)
        longest = max(self._max_block_samples, self._samples(LONGEST_FILLED_GAP_S), self.latency_samples)
        self._answers = Answers(self._format.n_channels, step_samples, longest + 3 * step_samples)
        backlog = config.backlog_s * self._format.sample_rate_hz
        self._max_backlog_samples = max(backlog, longest + self._max_block_samples + 2.0 * step_samples)
        self._state = SessionState.STREAMING
        self._held: deque[InEvent] = deque()  # bounded by MAX_HELD_EVENTS and the backlog
        self._n_held_samples = 0
        self._received = 0
        self._restart_at = 0
        self._last_sequence = 0
        self._flags_of_next = AudioFlag.NONE
        self._next_telling: dict[NoticeKind, int] = {}
        self._counters = Counters()

    @property
    def latency_samples(self) -> int:
        """Constant delay from input to output, in samples."""
        return self._pipeline.latency_samples

    @property
    def sample_rate_hz(self) -> int:
        """Rate of the stream."""
        return self._format.sample_rate_hz

    @property
    def step_s(self) -> float:
        """Length of a step, in seconds."""
        return self._pipeline.step_samples / self._format.sample_rate_hz

    @property
    def segment_samples(self) -> int:
        """What the model turns in one call, in samples; for a live model that is a step."""
        return self._target_model.step_frames * self._pipeline.step_samples // STEP_FRAMES

    @property
    def state(self) -> SessionState:
        """What the session is doing."""
        return self._state

    @property
    def stats(self) -> SessionStats:
        """The counters as of now."""
        return self._counters.snapshot()

    @property
    def n_steps_complete(self) -> int:
        """Steps whose input has come; each of them has a deadline from that moment on."""
        return self._steps.n_complete

    @property
    def n_steps_rendered(self) -> int:
        """Steps whose output is made; the next one's number."""
        return self._steps.n_rendered

    def receive(self, event: InEvent) -> list[OutEvent]:
        """Takes one event and gives what follows from it, in order.

        Raises:
            RequestError: Something came after ``Finish``.
            BadBlockSize: A block has the wrong shape or size.
            AudioTooFast: More input waits for the model than ``SessionConfig.backlog_s``.
        """
        out: list[OutEvent] = []
        self._take(event, out)
        while self._held and self._state is SessionState.STREAMING:
            held = self._held.popleft()
            if isinstance(held, AudioIn):
                self._n_held_samples -= held.block.shape[1]
            self._take(held, out)
        return out

    def _take(self, event: InEvent, out: list[OutEvent]) -> None:
        if isinstance(event, StepResult):
            self._take_result(event, out)
        elif isinstance(event, StepMissed):
            self._take_miss(event, out)
        else:
            signal = signal_of(event)
            following = next_state(self._state, signal)
            if self._state is SessionState.FLUSHING:
                self._hold(event)
                return
            self._state = following
            if isinstance(event, AudioIn):
                self._take_audio(event, out)
            elif isinstance(event, Control):
                self._take_control(event, out)
            elif isinstance(event, ChangeStyle | ChangeBundle):
                self._take_change(event, out)
            else:
                self._drain(event, self._received)
        self._advance(out)

    def _take_audio(self, event: AudioIn, out: list[OutEvent]) -> None:
        check_block(event.block, self._format, self._max_block_samples)
        n_samples = event.block.shape[1]
        if event.first_sample < self._received:
            self._counters.add(dropped_blocks=1)
            message = (
                f"expected a block from sample {self._received} on, got one from {event.first_sample}; it is dropped"
            )
            out.append(self._notice(NoticeKind.BLOCK_DROPPED, message))
            return
        self._check_backlog(n_samples)
        flags, self._flags_of_next = self._flags_of_next, AudioFlag.NONE
        if gap := event.first_sample - self._received:
            if gap > self._samples(LONGEST_FILLED_GAP_S):
                self._restart_behind_gap(event, gap, out)
                return
            flags |= AudioFlag.CONCEALED | AudioFlag.DISCONTINUITY
            self._fill_gap(gap, out)
        block, n_replaced = replace_non_finite(event.block)
        if n_replaced:
            self._counters.add(replaced_samples=n_replaced)
            message = f"{n_replaced} samples were NaN or infinite and are taken as 0; look at what sends them"
            self._tell_now_and_then(NoticeKind.NON_FINITE_REPLACED, message, out)
        self._last_sequence = event.sequence
        self._counters.add(blocks_in=1, samples_in=n_samples)
        self._answers.owe(
            OwedBlock(n_samples=n_samples, first_sample=event.first_sample, sequence=event.sequence, flags=flags)
        )
        self._push(block)

    def _take_control(self, event: Control, out: list[OutEvent]) -> None:
        notices = self._controls.receive(event, self._received)
        out.extend(notices)
        kinds = [notice.kind for notice in notices]
        self._counters.add(
            late_controls=kinds.count(NoticeKind.CONTROL_LATE), clamped_controls=kinds.count(NoticeKind.VALUE_CLAMPED)
        )

    def _take_change(self, event: ChangeStyle | ChangeBundle, out: list[OutEvent]) -> None:
        late_frames = self._pipeline.late_frames
        if isinstance(event, ChangeBundle) and (complaint := lateness_mismatch(event.model, late_frames)):
            out.append(refusal(event, complaint, self._received))
            return
        change, notices = check_change(event, self._target_model, self._received, self._format.sample_rate_hz)
        self._counters.add(late_controls=len(notices) if change is not None else 0)
        out.extend(notices)
        if change is None:
            return
        if self._pipeline.change(change):
            self._target_model = change.model
        else:
            why = "too many changes of style are scheduled ahead; this one is ignored"
            out.append(refusal(event, why, self._received))

    def _take_result(self, result: StepResult, out: list[OutEvent]) -> None:
        standing = self._steps.close(result.step)
        if standing in (Standing.UNKNOWN, Standing.STALE):
            return
        if not all(lane.is_finite for lane in result.lanes):
            self._fail(standing, out)
            return
        self._pipeline.adopt(result.lanes)
        out.extend(self._pipeline.newly_held())
        if standing is Standing.IN_TIME:
            self._render(result.timing, out)

    def _take_miss(self, missed: StepMissed, out: list[OutEvent]) -> None:
        if missed.reason is Miss.FAILED:
            self._fail(self._steps.close(missed.step), out)
            return
        while self._steps.n_rendered <= missed.step and self._is_prepared(out):
            self._skip(Miss.LATE, out)

    def _fail(self, standing: Standing, out: list[OutEvent]) -> None:
        if standing in (Standing.IN_TIME, Standing.OVERDUE):
            self._pipeline.fail()
        if standing is Standing.IN_TIME:
            self._skip(Miss.FAILED, out)

    def _render(self, timing: Timing, out: list[OutEvent]) -> None:
        """Renders the prepared step with the gains that are there."""
        if (miss := self._pipeline.missing()) is not None:
            self._skip(miss, out)
            return
        self._answers.push(self._pipeline.render(), timing)
        self._steps.n_rendered += 1
        self._counters.add(steps=1)

    def _skip(self, miss: Miss, out: list[OutEvent]) -> None:
        """Renders the prepared step without the model."""
        self._answers.push(self._pipeline.render(miss), Timing())
        is_late = miss is Miss.LATE
        self._counters.add(steps=1, late_steps=int(is_late), failed_steps=int(not is_late))
        kind, what = (NoticeKind.STEP_LATE, "came late") if is_late else (NoticeKind.STEP_FAILED, "failed")
        message = f"model step {self._steps.n_rendered} {what}; the delayed input is played instead"
        self._tell_now_and_then(kind, message, out)
        self._steps.n_rendered += 1

    def _advance(self, out: list[OutEvent]) -> None:
        """Answers what can be answered, then asks for what the next step needs; renders those that need nothing."""
        self._answer(out)
        while self._steps.can_open and self._is_prepared(out):
            if lanes := self._pipeline.requests():
                out.append(StepRequest(step=self._steps.open(), lanes=lanes))
                return
            self._render(Timing(), out)
            self._answer(out)

    def _answer(self, out: list[OutEvent]) -> None:
        """Answers the blocks whose samples are there."""
        is_drained = False
        for owed, audio in self._answers.due():
            if not owed.is_discarded:
                out.append(audio)
                self._count_sent(audio)
            is_drained = owed.flags is not AudioFlag.NONE and AudioFlag.TAIL in owed.flags
        if is_drained and not self._answers.is_owing:
            self._end_drain(out)

    def _is_prepared(self, out: list[OutEvent]) -> bool:
        """Whether a step can be rendered; prepares the next one if it is whole."""
        if not self._pipeline.is_prepared:
            step = self._steps.take()
            if step is None:
                return False
            notices = self._pipeline.prepare(step)
            self._counters.add(style_changes=len(notices))
            out.extend(notices)
        return True

    def _drain(self, event: Flush | Finish | None, restart_at: int) -> None:
        """Pushes everything out by silence; ``None`` is a gap, whose tail nobody hears.

        The tail comes in blocks that are no larger than those of the sender, who has room for no others.
        """
        tail = self.latency_samples
        self._restart_at = restart_at
        for index, first in enumerate(range(0, tail, self._max_block_samples)):
            self._answers.owe(
                OwedBlock(
                    n_samples=min(self._max_block_samples, tail - first),
                    first_sample=self._received + first,
                    sequence=self._last_sequence + 1 + index,
                    flags=AudioFlag.TAIL,
                    is_discarded=event is None,
                )
            )
        self._push(np.zeros((self._format.n_channels, tail), np.float32))

    def _end_drain(self, out: list[OutEvent]) -> None:
        self._state = next_state(self._state, Signal.DRAINED)
        if self._state is SessionState.FINISHED:
            out.append(
                Summary(
                    stats=self._counters.snapshot(),
                    latency_samples=self.latency_samples,
                    bundle=self._pipeline.model.name,
                )
            )
            self._held.clear()
            return
        self._received = self._restart_at
        self._steps.restart()
        self._answers.restart()
        self._pipeline.restart(self._restart_at)

    def _restart_behind_gap(self, event: AudioIn, gap: int, out: list[OutEvent]) -> None:
        message = f"{gap} samples are missing before sample {event.first_sample}; the stream begins anew there"
        out.append(self._notice(NoticeKind.STREAM_RESTARTED, message))
        self._state = next_state(self._state, Signal.FLUSH)
        self._flags_of_next = AudioFlag.DISCONTINUITY
        self._drain(None, event.first_sample)
        self._held.appendleft(event)  # before what may wait already: it came first
        self._n_held_samples += event.block.shape[1]

    def _fill_gap(self, gap: int, out: list[OutEvent]) -> None:
        self._counters.add(concealed_samples=gap)
        message = f"{gap} samples are missing from sample {self._received} on; they are taken as silence"
        out.append(self._notice(NoticeKind.GAP_FILLED, message))
        self._answers.owe(OwedBlock(n_samples=gap, first_sample=self._received, sequence=0, is_discarded=True))
        self._push(np.zeros((self._format.n_channels, gap), np.float32))

    def _push(self, block: Audio) -> None:
        self._received += block.shape[1]
        self._steps.push(block)

    def _hold(self, event: InEvent) -> None:
        if len(self._held) >= MAX_HELD_EVENTS:
            raise AudioTooFast("expected at most 4096 messages while the stream is flushed; wait for its tail")
        if isinstance(event, AudioIn):
            check_block(event.block, self._format, self._max_block_samples)
            self._check_backlog(event.block.shape[1])
            self._n_held_samples += event.block.shape[1]
        self._held.append(event)

    def _check_backlog(self, n_new: int) -> None:
        waiting = self._steps.n_waiting_samples + self._n_held_samples + n_new
        if waiting > self._max_backlog_samples:
            seconds = self._max_backlog_samples / self._format.sample_rate_hz
            raise AudioTooFast(
                f"expected at most {seconds:.1f} s of audio to wait for the model, got more; wait for answers"
            )

    def _count_sent(self, audio: AudioOut) -> None:
        self._counters.add(blocks_out=1, samples_out=audio.block.shape[1])
        flags = audio.flags
        if flags is not AudioFlag.NONE:  # operations on flags are slow, and blocks of 16 samples are many
            self._counters.add(
                late_blocks=int(AudioFlag.LATE in flags),
                dry_blocks=int(AudioFlag.DRY in flags),
                ceiling_blocks=int(AudioFlag.CEILING in flags),
            )

    def _tell_now_and_then(self, kind: NoticeKind, message: str, out: list[OutEvent]) -> None:
        """Gives a notice of what may happen all the time, at most one a second of each kind."""
        if self._received >= self._next_telling.get(kind, 0):
            self._next_telling[kind] = self._received + self._format.sample_rate_hz
            out.append(self._notice(kind, message))

    def _notice(self, kind: NoticeKind, message: str, name: str | None = None) -> Notice:
        return Notice(kind=kind, message=message, at_sample=self._received, name=name)

    def _samples(self, seconds: float) -> int:
        return round(seconds * self._format.sample_rate_hz)
