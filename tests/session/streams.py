"""Sessions for tests: small real models, streams driven step by step, and what came of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import numpy as np

from deepmusic.audio import Audio, AudioFormat
from deepmusic.model.bundle import Bundle
from deepmusic.model.runtime import TransferModel
from deepmusic.model.style_vector import StyleVector
from deepmusic.session.config import SessionConfig, Setting, model_facts
from deepmusic.session.events import (
    AudioFlag,
    AudioIn,
    AudioOut,
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
)
from deepmusic.session.offline import answer_step, run_to_end
from deepmusic.session.session import Session
from tests.support import bundles, laws

RATE_HZ = 48000
STEP = 1024
LATENCY = 1855
"""1791 of the STFT's steps and 64 of the ceiling's look-ahead, at 44.1 and 48 kHz."""

QUIET = 0.001
"""Peak of content below the gate of the loudness match (-50 dBFS), so that a model's gain is heard as it is."""

RECONSTRUCTION = 5e-6
"""float32 analysis and synthesis of content within full scale, with gains of 0 dB, up to transforms of 8192."""

Out = TypeVar("Out", AudioOut, Notice, StepRequest, Summary)


@cache
def model(make: Callable[[Path], Path]) -> TransferModel:
    """The model of a test bundle, loaded once."""
    with TemporaryDirectory() as folder:
        return TransferModel.load(Bundle.open(make(Path(folder) / "bundle")), device="cpu")


def style(of: TransferModel, gain_db: float = 0.0, name: str = "style") -> StyleVector:
    """A style; for the bundle of ``style_gain_bundle`` it sets the content's gain."""
    values = np.zeros(bundles.STYLE_SIZE, np.float32)
    values[0] = gain_db
    return StyleVector(values=values, bundle_digest=of.bundle_digest, name=name)


def config(n_channels: int = 1, rate_hz: int = RATE_HZ, noise_seed: int = 0, **settings: float) -> SessionConfig:
    return SessionConfig(
        noise_seed=noise_seed,
        audio_format=AudioFormat(sample_rate_hz=rate_hz, n_channels=n_channels),
        settings=tuple(Setting(name=name, value=value) for name, value in settings.items()),
        backlog_s=np.inf,
    )


def session(
    of: TransferModel | None = None,
    *,
    n_channels: int = 1,
    rate_hz: int = RATE_HZ,
    gain_db: float = 0.0,
    noise_seed: int = 0,
    **settings: float,
) -> Session:
    of = of or model(bundles.passthrough_bundle)
    return Session(config(n_channels, rate_hz, noise_seed, **settings), model_facts(of), style(of, gain_db))


@dataclass
class Heard:
    """All that a session said, in order."""

    events: list[OutEvent] = field(default_factory=list)

    @property
    def audio(self) -> Audio:
        return np.concatenate([out.block for out in self.of(AudioOut)], axis=1)

    @property
    def notices(self) -> list[NoticeKind]:
        return [notice.kind for notice in self.of(Notice)]

    @property
    def flags(self) -> AudioFlag:
        flags = AudioFlag.NONE
        for out in self.of(AudioOut):
            flags |= out.flags
        return flags

    def of(self, kind: type[Out]) -> list[Out]:
        return [event for event in self.events if isinstance(event, kind)]


def audio_events(audio: Audio, block_samples: int = 480, first_sample: int = 0) -> Iterator[AudioIn]:
    for sequence, block in enumerate(laws.blocks(audio, block_samples)):
        if block.shape[1]:
            yield AudioIn(block=block, first_sample=first_sample, sequence=sequence)
            first_sample += block.shape[1]


def receive_all(of: Session, events: Iterable[InEvent]) -> list[OutEvent]:
    """Feeds events, answers no step, and gives all that followed."""
    return [out for event in events for out in of.receive(event)]


def play(of: Session, events: Iterable[InEvent]) -> Heard:
    """Feeds events and answers every step at once."""
    heard = Heard()
    for event in events:
        heard.events += run_to_end(of, event)
    return heard


def play_through(of: Session, audio: Audio, *controls: InEvent, block_samples: int = 480) -> Heard:
    """Controls, then the audio, then ``Finish``."""
    return play(of, [*controls, *audio_events(audio, block_samples), Finish()])


def play_missing(
    of: Session, audio: Audio, misses: dict[int, Miss], *, block_samples: int = 512, late_by: int = 0
) -> Heard:
    """Plays audio whose steps are answered at once, but for some that are missed.

    Args:
        of: The session.
        audio: Content.
        misses: Steps that are missed, and why.
        block_samples: Size of the blocks.
        late_by: Blocks that go by between a late step's miss and its answer.
    """
    heard = Heard()
    held: list[tuple[int, StepResult]] = []
    pending = list[InEvent]()
    for index, event in enumerate([*audio_events(audio, block_samples), Finish()]):
        pending.append(event)
        if held and index >= held[0][0]:
            pending.append(held.pop(0)[1])
        while pending:
            for out in of.receive(pending.pop(0)):
                if not isinstance(out, StepRequest):
                    heard.events.append(out)
                    continue
                miss = misses.get(out.step)
                if miss is not None:
                    pending.append(StepMissed(step=out.step, reason=miss))
                if miss is Miss.LATE:
                    held.append((index + late_by, answer_step(out)))
                elif miss is None:
                    pending.append(answer_step(out))
            if held and late_by == 0:
                pending.append(held.pop(0)[1])
    return heard


class SessionProcessor:
    """A session as a processor, for the laws that hold for every processor."""

    def __init__(self, make: Callable[[], Session], n_channels: int) -> None:
        self._make = make
        self._n_channels = n_channels
        self._session = make()
        self._position = 0

    @property
    def latency_samples(self) -> int:
        return self._session.latency_samples

    def process(self, block: Audio) -> Audio:
        if not block.shape[1]:
            return block.copy()
        first, self._position = self._position, self._position + block.shape[1]
        return self._play(AudioIn(block=block, first_sample=first))

    def flush(self) -> Audio:
        return self._play(Flush())

    def reset(self) -> None:
        self._session, self._position = self._make(), 0

    def _play(self, event: InEvent) -> Audio:
        blocks = [out.block for out in run_to_end(self._session, event) if isinstance(out, AudioOut)]
        return np.concatenate([np.empty((self._n_channels, 0), np.float32), *blocks], axis=1)


def noise(n_samples: int, peak: float = 0.5, n_channels: int = 1, seed: int = 0) -> Audio:
    """Uniform noise up to a peak."""
    return np.random.default_rng(seed).uniform(-peak, peak, (n_channels, n_samples)).astype(np.float32)


def delayed(audio: Audio, delay: int = LATENCY) -> Audio:
    """The audio after silence, as long as a stream with its tail."""
    return np.pad(audio, ((0, 0), (delay, 0)))
