"""What a session is told once, at its start: the format, the model's facts, the first values of its parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from deepmusic.audio import AudioFormat
from deepmusic.dsp.gains import BandLayout
from deepmusic.dsp.windows import STEP_FRAMES
from deepmusic.errors import BadConfig
from deepmusic.model.held_state import held_indices
from deepmusic.session.statistics import MAX_STATISTICS, Statistics

if TYPE_CHECKING:
    from deepmusic.model.runtime import TransferModel

MAX_BLOCK_SAMPLES = 65536
"""Largest block by default: 1.4 s at 48 kHz; larger ones only cost memory."""

BACKLOG_S = 20.0
"""Input that may wait for the model before the sender is told that it is too fast; credits stop it far earlier."""


def _nothing_held() -> npt.NDArray[np.intp]:
    return np.zeros(0, np.intp)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ModelFacts:
    """What the session must know of a loaded bundle; it never runs the model itself."""

    name: str
    """Name of the bundle."""
    digest: str
    """``Bundle.digest``; style vectors carry the same."""
    handle: object
    """Passed back in ``LaneRequest.model`` for whoever runs the step; the session never looks at it."""
    layout: BandLayout
    """Bands in Hz that the model sees and gives gains for."""
    n_style: int
    """Length of a style vector."""
    initial_state: npt.NDArray[np.float32]
    """``(n_state,)``: the state before the first step."""
    step_frames: int = STEP_FRAMES
    """Frames that the model turns in one call."""
    look_ahead_frames: int = 0
    """Frames that its gains are late: they belong to those of so many before."""
    held: Callable[[], npt.NDArray[np.intp]] = _nothing_held
    """Places in the state that ``freeze`` holds; the first call may ask the model."""

    def __post_init__(self) -> None:
        if self.step_frames % STEP_FRAMES or self.look_ahead_frames % STEP_FRAMES:
            raise BadConfig(
                f"expected a bundle whose step and look-ahead are multiples of {STEP_FRAMES} frames, got "
                f"{self.step_frames} and {self.look_ahead_frames}; export it again",
                field="bundle",
            )

    @property
    def late_frames(self) -> int:
        """Frames that gains come later than those of a model with the shortest step and no look-ahead."""
        return self.step_frames - STEP_FRAMES + self.look_ahead_frames

    def statistics_in(
        self, state: npt.NDArray[np.float32], content_power: float, wet_power: float
    ) -> Statistics | None:
        """What a state knows of its content; ``None`` where that cannot be told apart, or is too much to hand out.

        Args:
            state: ``(n_state,)``.
            content_power: As in ``Statistics``.
            wet_power: As in ``Statistics``.
        """
        held = self.held()
        if not 1 <= len(held) <= MAX_STATISTICS:
            return None
        return Statistics(
            bundle_digest=self.digest, values=state[held], content_power=content_power, wet_power=wet_power
        )

    def state_with(self, statistics: Statistics | None) -> npt.NDArray[np.float32]:
        """The state before the first step, with statistics of this bundle where there are any."""
        if statistics is None:
            return self.initial_state
        state = self.initial_state.copy()
        state[self.held()] = statistics.values
        return state

    def check_statistics(self, statistics: Statistics) -> None:
        """Judges whether a stream of this bundle can begin with them.

        Raises:
            BadConfig: They are another bundle's, or not as many as it has.
        """
        if statistics.bundle_digest != self.digest:
            raise BadConfig(
                f"expected statistics of bundle {self.name!r} with digest {self.digest}, got those of "
                f"{statistics.bundle_digest:.64}; leave them out, or name their bundle",
                field="config.statistics",
            )
        if len(statistics.values) != len(self.held()):
            raise BadConfig(
                f"expected {len(self.held())} statistics of bundle {self.name!r}, got {len(statistics.values)}; "
                "take them from a frozen stream anew",
                field="config.statistics",
            )


def model_facts(model: TransferModel) -> ModelFacts:
    """What a session must know of a loaded model; the model itself becomes the handle."""
    features = model.manifest.features
    return ModelFacts(
        name=model.manifest.name,
        digest=model.bundle_digest,
        handle=model,
        layout=BandLayout(n_bands=features.n_bands, low_hz=features.low_hz, high_hz=features.high_hz),
        n_style=model.manifest.style.size,
        initial_state=model.initial_state(),
        step_frames=features.step_frames,
        look_ahead_frames=model.manifest.look_ahead_frames,
        held=partial(held_indices, model),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """First value of a parameter."""

    name: str
    """Name in ``parameters.PARAMETERS``."""
    value: float
    """In the parameter's unit; switches take 0 and 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionConfig:
    """What a session is told at its start."""

    audio_format: AudioFormat
    """Rate and channels of the stream, the host's own."""
    settings: tuple[Setting, ...] = ()
    """First values of parameters; the others begin at their defaults."""
    max_block_samples: int = MAX_BLOCK_SAMPLES
    """Largest block that is taken, in samples."""
    noise_seed: int = 0
    """Seed of the excitation bank's noise; equal seeds give equal output. 0 to 2**63 - 1."""
    backlog_s: float = BACKLOG_S
    """Seconds of input that may wait for the model; ``inf`` for offline work."""
    statistics: Statistics | None = None
    """What is known of the content already; ``None``: nothing."""

    def __post_init__(self) -> None:
        if self.max_block_samples < 1:
            raise BadConfig(
                f"expected max_block_samples of at least 1, got {self.max_block_samples}", field="max_block_samples"
            )
        if not 0 <= self.noise_seed < 2**63:
            raise BadConfig(f"expected a noise_seed of 0 to 2**63 - 1, got {self.noise_seed}", field="noise_seed")
        if not self.backlog_s > 0.0:
            raise BadConfig(f"expected a backlog_s above 0, got {self.backlog_s}", field="backlog_s")
