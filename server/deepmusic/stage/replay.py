r"""Plays a receipt again: the same session, fed with the same samples and changes, and with the same misses.

::

    dry samples --+                                 +-- in time: the model's answer, at once
                  +--> session --> StepRequest -----+-- late: missed now, the answer later, for its state alone
    entries ------+            <--------------------+-- failed: missed

What matters of the time at which things happened is which step was missed, and which step was the first to know a late
answer's state. The rest of the order is the receipt's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from deepmusic.audio import Audio
from deepmusic.model.style_vector import StyleVector
from deepmusic.session.events import (
    AudioIn,
    AudioOut,
    ChangeStyle,
    Control,
    Finish,
    Flush,
    InEvent,
    Miss,
    StepMissed,
    StepRequest,
    StepResult,
)
from deepmusic.session.session import Session
from deepmusic.session.state import SessionState
from deepmusic.stage.placing import Placing
from deepmusic.stage.receipt import Answered, Changed, Entry, Finished, Flushed, Gap, InputEntry, Missed, Restyled

BLOCK_SAMPLES = 16384
"""Samples handed over at a time; the output does not depend on it."""


class DrySamples(Protocol):
    """A dry recording."""

    @property
    def n_samples(self) -> int:
        """How long it is."""
        ...

    def read(self, first: int, count: int) -> Audio:
        """float32 ``(channels, count)``."""
        ...


class Misses:
    """Which steps had no answer in time, and when late answers came.

    Args:
        entries: Of the receipt; without any, nothing is missed.
    """

    def __init__(self, entries: Sequence[Entry] = ()) -> None:
        self._missed = {entry.step: entry for entry in entries if isinstance(entry, Missed)}
        self._answered = {entry.step: entry for entry in entries if isinstance(entry, Answered)}

    def of(self, step: int) -> Missed | None:
        """The miss of a step; ``None`` where it was in time."""
        return self._missed.get(step)

    def is_never_asked(self, step: int) -> bool:
        """Whether it was missed while the model still had an earlier one."""
        missed = self._missed.get(step)
        return missed is not None and not missed.is_asked

    def answer_to(self, step: int) -> Answered:
        """When a late step's answer came; where the receipt ends before, ahead of the next step that was asked for."""
        if step in self._answered:
            return self._answered[step]
        following = step + 1
        while self.is_never_asked(following):
            following += 1
        return Answered(step=step, before_step=following, has_failed=False)


class Replay:
    """One replay.

    Args:
        session: As new, with the receipt's first values.
        misses: What was missed.
        run_step: The model.
        style_of: The vector of an entry's style; another bundle has its own.
    """

    def __init__(
        self,
        session: Session,
        misses: Misses,
        run_step: Callable[[StepRequest], StepResult],
        style_of: Callable[[StyleVector], StyleVector],
    ) -> None:
        self._session = session
        self._misses = misses
        self._run_step = run_step
        self._style_of = style_of
        self._overdue: tuple[int, StepResult | StepMissed] | None = None
        self._placing = Placing(session.latency_samples)
        self._position = 0
        self._n_played = 0

    def play(self, entries: Sequence[Entry], dry: DrySamples) -> Iterator[Audio]:
        """The whole stream, without the latency: sample i of all blocks is what was made of sample i of ``dry``.

        Args:
            entries: Of the receipt.
            dry: What came in, without gaps.

        Yields:
            float32 ``(channels, n)``, as many samples as ``dry`` has. What never was handed out is silence.
        """
        for entry in entries:
            if isinstance(entry, InputEntry):
                yield from self._play_up_to(entry.position, dry)
                if isinstance(entry, Gap):
                    self._position += entry.n_samples
                else:
                    yield from self._feed(self._event(entry))
        yield from self._play_up_to(None, dry)
        if self._session.state is SessionState.STREAMING:
            yield from self._feed(Finish())  # its client went without a word: this is what it would have heard
        yield from self._placing.rest(dry.read(0, 1).shape[0] if dry.n_samples else 0)

    def _play_up_to(self, position: int | None, dry: DrySamples) -> Iterator[Audio]:
        """Feeds samples up to a position of the stream, or all that are left."""
        while self._n_played < dry.n_samples and (position is None or self._position < position):
            left = dry.n_samples - self._n_played
            count = min(BLOCK_SAMPLES, left, left if position is None else position - self._position)
            block = dry.read(self._n_played, count)
            self._placing.take(self._position, count)
            event = AudioIn(block=block, first_sample=self._position)
            self._n_played += count
            self._position += count
            yield from self._feed(event)

    def _event(self, entry: Changed | Restyled | Flushed | Finished) -> InEvent:
        match entry:
            case Changed():
                return Control(
                    name=entry.name, value=entry.value, at_sample=entry.at_sample, ramp_samples=entry.ramp_samples
                )
            case Restyled():
                return ChangeStyle(
                    vector=self._style_of(entry.style), at_sample=entry.at_sample, fade_samples=entry.fade_samples
                )
            case Flushed():
                return Flush()
            case Finished():
                return Finish()

    def _feed(self, event: InEvent) -> Iterator[Audio]:
        """Feeds an event and answers every step that follows, as it was answered then."""
        waiting: list[InEvent] = [event]
        while waiting:
            for out in self._session.receive(waiting.pop(0)):
                if isinstance(out, AudioOut):
                    yield from self._placing.place(out)
                elif isinstance(out, StepRequest):
                    waiting.append(self._answer(out))
            if not waiting and (following := self._following()) is not None:
                waiting.append(following)

    def _answer(self, request: StepRequest) -> StepResult | StepMissed:
        missed = self._misses.of(request.step)
        if missed is None:
            return self._run_step(request)
        if missed.reason == Miss.FAILED.value:
            return StepMissed(step=request.step, reason=Miss.FAILED)
        answer = self._misses.answer_to(request.step)
        result = StepMissed(step=request.step, reason=Miss.FAILED) if answer.has_failed else self._run_step(request)
        self._overdue = (answer.before_step, result)
        return StepMissed(step=request.step, reason=Miss.LATE)

    def _following(self) -> StepResult | StepMissed | None:
        """What came next by itself: a late answer, or the miss of a step that nobody asked for."""
        if self._overdue is None:
            return None
        before_step, result = self._overdue
        step = self._session.n_steps_rendered
        if step >= before_step:
            self._overdue = None
            return result
        is_whole = self._session.n_steps_complete > step
        return StepMissed(step=step, reason=Miss.LATE) if is_whole else None
