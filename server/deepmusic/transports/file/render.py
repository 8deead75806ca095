"""Run a session over a recording of any length, block by block: the same samples as `session.offline.render`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
import soxr

from deepmusic.audio import SUPPORTED_RATES_HZ, Audio, AudioFormat, as_audio
from deepmusic.model.runtime import TransferModel
from deepmusic.model.style_vector import StyleVector
from deepmusic.session.config import SessionConfig, Setting, model_facts
from deepmusic.session.events import AudioIn, AudioOut, Finish
from deepmusic.session.offline import BLOCK_SAMPLES, rehearsed, run_to_end
from deepmusic.session.session import Session

RESAMPLED_RATE_HZ = 48_000
"""Where recordings go whose rate no stream has."""

_QUALITY = "VHQ"  # as in deepmusic.dsp.resample


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RenderPlan:
    """What a recording is turned with."""

    model: TransferModel
    """The loaded model."""

    style: StyleVector
    """Style in the space of the model's bundle."""

    settings: tuple[Setting, ...] = ()
    """Parameters of the session that are not at their defaults."""

    rehearsal_s: float = 0.0
    """How much of the beginning the session has heard before it begins, seconds; 0 begins as a stream does."""


def render_blocks(plan: RenderPlan, blocks: Iterable[Audio], sample_rate_hz: int, n_channels: int) -> Iterator[Audio]:
    """The recording in its new sound, at its own rate, without the latency and with its exact length.

    Args:
        plan: model, style and parameters.
        blocks: the recording, finite, float32 `(channels, samples)`.
        sample_rate_hz: its rate, Hz. Rates that a stream cannot have are brought to 48 kHz and back.
        n_channels: its channels.

    Raises:
        InferenceFailed: the model failed.
    """
    if sample_rate_hz in SUPPORTED_RATES_HZ:
        yield from _run_session(plan, blocks, AudioFormat(sample_rate_hz=sample_rate_hz, n_channels=n_channels))
        return
    counted = _Counted(blocks)
    there = _resampled(counted, sample_rate_hz, RESAMPLED_RATE_HZ, n_channels)
    audio_format = AudioFormat(sample_rate_hz=RESAMPLED_RATE_HZ, n_channels=n_channels)
    back = _resampled(_run_session(plan, there, audio_format), RESAMPLED_RATE_HZ, sample_rate_hz, n_channels)
    yield from _fitted(back, counted, n_channels)


def _run_session(plan: RenderPlan, blocks: Iterable[Audio], audio_format: AudioFormat) -> Iterator[Audio]:
    config = SessionConfig(
        audio_format=audio_format, settings=plan.settings, max_block_samples=BLOCK_SAMPLES, backlog_s=math.inf
    )
    beginning, blocks = _beginning(blocks, round(plan.rehearsal_s * audio_format.sample_rate_hz))
    if beginning is not None:
        config = rehearsed(config, plan.model, plan.style, beginning)
    session = Session(config, model_facts(plan.model), plan.style)
    position = 0
    for block in blocks:
        for start in range(0, block.shape[1], BLOCK_SAMPLES):
            part = block[:, start : start + BLOCK_SAMPLES]
            yield from _sound(session, AudioIn(block=np.ascontiguousarray(part), first_sample=position))
            position += part.shape[1]
    if position:
        yield from _sound(session, Finish())


def _beginning(blocks: Iterable[Audio], n_samples: int) -> tuple[Audio | None, Iterable[Audio]]:
    """The first samples, `None` where there are none or none are wanted, and all blocks again."""
    if not n_samples:
        return None, blocks
    remaining, first = iter(blocks), list[Audio]()
    while sum(block.shape[1] for block in first) < n_samples and (block := next(remaining, None)) is not None:
        first.append(block)
    beginning = np.concatenate(first, axis=1)[:, :n_samples] if first else None
    return beginning, chain(first, remaining)


def _sound(session: Session, event: AudioIn | Finish) -> Iterator[Audio]:
    for answer in run_to_end(session, event):
        if isinstance(answer, AudioOut):
            block = answer.block[:, max(0, session.latency_samples - answer.first_sample) :]
            if block.shape[1]:
                yield block


def _resampled(blocks: Iterable[Audio], from_hz: int, to_hz: int, n_channels: int) -> Iterator[Audio]:
    """Another rate, aligned with the original; the count may be off by one."""
    stream = soxr.ResampleStream(from_hz, to_hz, n_channels, dtype="float32", quality=_QUALITY)
    for block in blocks:
        yield as_audio(stream.resample_chunk(np.ascontiguousarray(block.T)).T)
    yield as_audio(stream.resample_chunk(np.zeros((0, n_channels), np.float32), last=True).T)


class _Counted:
    """Blocks that remember how many samples went by."""

    def __init__(self, blocks: Iterable[Audio]) -> None:
        self._blocks = blocks
        self.n_samples = 0

    def __iter__(self) -> Iterator[Audio]:
        for block in self._blocks:
            self.n_samples += block.shape[1]
            yield block


def _fitted(blocks: Iterable[Audio], counted: _Counted, n_channels: int) -> Iterator[Audio]:
    """Exactly as many samples as `counted` has seen by the end: what is too much goes, silence fills what lacks."""
    n_out = 0
    for block in blocks:
        # Output never leads the input by more than the last, rounded-up sample, so this cuts at the end alone.
        kept = block[:, : max(0, counted.n_samples - n_out)]
        n_out += kept.shape[1]
        yield kept
    if n_out < counted.n_samples:
        yield np.zeros((n_channels, counted.n_samples - n_out), np.float32)
