"""The very session that a stream runs, run over a whole recording, one step after another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import cast

import numpy as np

from deepmusic.audio import Audio
from deepmusic.model.runtime import TransferModel
from deepmusic.model.style_vector import StyleVector
from deepmusic.session.config import SessionConfig, model_facts
from deepmusic.session.events import (
    AudioIn,
    AudioOut,
    ChangeBundle,
    ChangeStyle,
    Control,
    Finish,
    Held,
    InEvent,
    LaneResult,
    OutEvent,
    StepRequest,
    StepResult,
)
from deepmusic.session.session import Session

BLOCK_SAMPLES = 16384
"""Samples handed over at a time; the output does not depend on it."""


def render(
    config: SessionConfig,
    model: TransferModel,
    style: StyleVector,
    audio: Audio,
    controls: Iterable[Control | ChangeStyle | ChangeBundle] = (),
    *,
    on_progress: Callable[[int], None] | None = None,
) -> Audio:
    """What a stream that is never late gives for a recording, without the latency.

    Args:
        config: Format and first values; the bounds on blocks and backlog do not matter here.
        model: The loaded model.
        style: Style in the space of the model's bundle.
        audio: float32 ``(channels, samples)`` at the config's rate; NaN and infinities count as 0.
        controls: Changes, each with its ``at_sample``; without one it applies from the start.
        on_progress: Called with the number of samples taken so far.

    Returns:
        float32 of the shape of ``audio``: sample i is what a stream gives ``latency_samples`` after sample i.

    Raises:
        InferenceFailed: The model failed. A stream would go on with the delayed input; a file wants to know.
    """
    n_samples = audio.shape[1]
    session = _session(config, model, style)
    result = np.empty(audio.shape, np.float32)
    if not n_samples:
        return result

    def keep(events: list[OutEvent]) -> None:
        for event in events:
            if isinstance(event, AudioOut):
                start = event.first_sample - session.latency_samples
                used = event.block[:, max(0, -start) :]
                result[:, max(0, start) : max(0, start) + used.shape[1]] = used

    for control in controls:
        keep(run_to_end(session, control))
    for part in _parts(audio):
        keep(run_to_end(session, part))
        if on_progress is not None:
            on_progress(part.first_sample + part.block.shape[1])
    keep(run_to_end(session, Finish()))
    return result


def rehearsed(config: SessionConfig, model: TransferModel, style: StyleVector, audio: Audio) -> SessionConfig:
    """The config of a session that knows its content from the first sample on.

    A stream begins with the means of what its network was trained on and settles within two seconds. Whoever has the
    whole recording can play its beginning beforehand, to nobody: its running statistics, and the levels of the loudness
    match, are what the real session begins with.

    Args:
        config: What the session was to begin with; statistics of its own stay as they are.
        model: The loaded model.
        style: Style in the space of the model's bundle.
        audio: The content's beginning, float32 ``(channels, samples)`` at the config's rate.

    Returns:
        The config with statistics; as it was where the beginning is too short to have any.

    Raises:
        InferenceFailed: The model failed.
    """
    if config.statistics is not None:
        return config
    session = _session(config, model, style)
    for part in _parts(audio):
        run_to_end(session, part)
    events = run_to_end(session, Control(name="freeze", value=1.0)) + run_to_end(session, Finish())
    held = [event.statistics for event in events if isinstance(event, Held)]
    return replace(config, statistics=held[0]) if held else config


def _session(config: SessionConfig, model: TransferModel, style: StyleVector) -> Session:
    """A session that takes a recording as fast as it comes."""
    return Session(replace(config, max_block_samples=BLOCK_SAMPLES, backlog_s=np.inf), model_facts(model), style)


def _parts(audio: Audio) -> Iterator[AudioIn]:
    """A recording in blocks."""
    for first in range(0, audio.shape[1], BLOCK_SAMPLES):
        yield AudioIn(block=audio[:, first : first + BLOCK_SAMPLES], first_sample=first)


def run_to_end(session: Session, event: InEvent) -> list[OutEvent]:
    """Feeds one event and answers every request for a step at once; gives all other events that followed."""
    waiting, out = [event], list[OutEvent]()
    while waiting:
        for answer in session.receive(waiting.pop(0)):
            if isinstance(answer, StepRequest):
                waiting.append(answer_step(answer))
            else:
                out.append(answer)
    return out


def answer_step(request: StepRequest) -> StepResult:
    """Runs the models of a request, whose handles are ``TransferModel``s, one lane after another.

    Raises:
        InferenceFailed: A model failed.
    """
    results: list[LaneResult] = []
    for lane in request.lanes:
        gain_db, state = cast("TransferModel", lane.model.handle).step(
            lane.bands[np.newaxis],
            lane.style[np.newaxis],
            np.array([[lane.freeze]], np.float32),
            lane.state[np.newaxis],
        )
        results.append(LaneResult(lane=lane.lane, gain_db=gain_db[0], state=state[0]))
    return StepResult(step=request.step, lanes=tuple(results))
