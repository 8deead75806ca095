"""Listens to a session and says what a receipt needs: the entries, and the dry samples."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from deepmusic.audio import Audio
from deepmusic.session.events import (
    AudioIn,
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
)
from deepmusic.session.session import LONGEST_FILLED_GAP_S
from deepmusic.stage.receipt import Answered, Changed, Ended, Entry, Finished, Flushed, Gap, Missed, Restyled

_REFUSALS = frozenset(
    (
        NoticeKind.UNKNOWN_PARAMETER,
        NoticeKind.VALUE_IGNORED,
        NoticeKind.CONTROL_DROPPED,
        NoticeKind.STYLE_REFUSED,
        NoticeKind.BUNDLE_REFUSED,
    )
)


class TapeSink(Protocol):
    """Where a tape goes; it must not wait."""

    def put(self, entry: Entry) -> None:
        """[worker] Takes an entry, in order."""
        ...

    def put_audio(self, block: Audio) -> None:
        """[worker] Takes dry samples, in order; the block is not changed afterwards."""
        ...

    def close(self) -> None:
        """[worker] Nothing more will come."""
        ...


class _Stretch(NamedTuple):
    """Where the stream began anew."""

    first_step: int
    origin: int


class ReceiptTape:
    """One session's; a ``deepmusic.session.worker.Tape``. All methods are [worker].

    Args:
        sink: Where it goes.
        sample_rate_hz: Rate of the session.
        step_samples: Samples of a step.
        latency_samples: Of the session.
    """

    def __init__(self, sink: TapeSink, *, sample_rate_hz: int, step_samples: int, latency_samples: int) -> None:
        self._sink = sink
        self._longest_filled = round(LONGEST_FILLED_GAP_S * sample_rate_hz)
        self._step_samples = step_samples
        self._latency_samples = latency_samples
        self._position = 0
        self._n_samples = 0
        self._stretches: deque[_Stretch] = deque([_Stretch(0, 0)])  # bounded by what waits for the model
        self._n_rendered = 0
        self._open: int | None = None
        self._is_finished = False

    def note(self, event: InEvent, outs: Sequence[OutEvent], n_rendered: int) -> None:
        """Hears what a session took and what followed.

        Args:
            event: What it took.
            outs: What followed, in order.
            n_rendered: Steps whose output is made by now.
        """
        match event:
            case AudioIn():
                self._note_audio(event)
            case StepResult():
                self._note_answer(event.step, n_rendered, has_failed=False)
            case StepMissed():
                self._note_miss(event, n_rendered)
            case Control() | ChangeStyle():
                if not any(isinstance(out, Notice) and out.kind in _REFUSALS for out in outs):
                    self._note_change(event)
            case Flush():
                self._sink.put(Flushed(position=self._position))
                self._begin_anew(self._position)
            case Finish():
                self._sink.put(Finished(position=self._position))
                self._is_finished = True
            case _:  # no transport changes bundles while it streams
                pass
        for out in outs:
            if isinstance(out, StepRequest):
                self._open = out.step
        self._n_rendered = n_rendered
        while len(self._stretches) > 1 and self._stretches[1].first_step <= n_rendered:
            self._stretches.popleft()

    def close(self) -> None:
        """The session is over."""
        self._sink.put(Ended(how="finished" if self._is_finished else "abandoned", n_samples=self._n_samples))
        self._sink.close()

    def _note_audio(self, event: AudioIn) -> None:
        gap = event.first_sample - self._position
        if gap < 0:
            return  # the session drops it
        if gap:
            self._sink.put(Gap(position=self._position, n_samples=gap))
            if gap > self._longest_filled:
                self._begin_anew(event.first_sample)
        self._position = event.first_sample + event.block.shape[1]
        self._n_samples += event.block.shape[1]
        self._sink.put_audio(event.block)

    def _note_change(self, event: Control | ChangeStyle) -> None:
        if isinstance(event, ChangeStyle):
            self._sink.put(
                Restyled(
                    position=self._position,
                    style=event.vector,
                    at_sample=event.at_sample,
                    fade_samples=event.fade_samples,
                )
            )
        elif math.isfinite(event.value):  # what is not is ignored, even where that is said only after a flush
            self._sink.put(
                Changed(
                    position=self._position,
                    name=event.name,
                    value=float(event.value),
                    at_sample=event.at_sample,
                    ramp_samples=event.ramp_samples,
                )
            )

    def _note_miss(self, event: StepMissed, n_rendered: int) -> None:
        if event.reason is Miss.LATE:
            for step in range(self._n_rendered, n_rendered):
                self._put_miss(step, Miss.LATE, is_asked=step == self._open)
        elif event.step == self._open and n_rendered > self._n_rendered:
            self._open = None
            self._put_miss(event.step, Miss.FAILED, is_asked=True)
        else:
            self._note_answer(event.step, n_rendered, has_failed=True)

    def _put_miss(self, step: int, reason: Miss, *, is_asked: bool) -> None:
        stretch = next(stretch for stretch in reversed(self._stretches) if stretch.first_step <= step)
        position = stretch.origin + (step - stretch.first_step) * self._step_samples
        self._sink.put(Missed(step=step, position=position, reason=reason.value, is_asked=is_asked))

    def _note_answer(self, step: int, n_rendered: int, *, has_failed: bool) -> None:
        if step != self._open:
            return
        self._open = None
        if n_rendered == self._n_rendered:  # its sound was made without it
            self._sink.put(Answered(step=step, before_step=n_rendered, has_failed=has_failed))

    def _begin_anew(self, position: int) -> None:
        """A tail is pushed out by silence, which fills the last steps."""
        last = self._stretches[-1]
        n_steps = (self._position - last.origin + self._latency_samples) // self._step_samples
        self._stretches.append(_Stretch(last.first_step + n_steps, position))
