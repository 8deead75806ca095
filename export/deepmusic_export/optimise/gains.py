"""The recipe `gains`: the live network's gains, bent until the layers hear the style."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from deepmusic.audio import Audio
from deepmusic.dsp.excitation import EXCITATIONS
from deepmusic.dsp.gains import BandLayout
from deepmusic.dsp.windows import StftGeometry
from deepmusic.model.catalog import LoadedBundle
from deepmusic.styles.learn import learn_source
from deepmusic.styles.source import style_source
from deepmusic_export.nets.vgg19 import SMALLEST_SIDE
from deepmusic_export.optimise.chunks import Span, chunk_spans, joined_fields
from deepmusic_export.optimise.hearing import ContentHearing, Heard, style_magnitudes
from deepmusic_export.optimise.listener import load_listener
from deepmusic_export.optimise.network import GainModel, NeutralModel, SteeredModel, play
from deepmusic_export.optimise.plan import OptimisePlan
from deepmusic_export.optimise.solver import gradient_scales
from deepmusic_export.optimise.terms import ChunkTerms, Ear

#: Gradients are measured this far from the start, in dB: at the start itself the content terms have none.
JITTER_DB = 3.0
#: The jitter is smooth over so many steps and bands, as the offsets are that the terms are weighed for.
_JITTER_STEPS, _JITTER_BANDS = 8, 8


class GainsProblem:
    """A chunk: offsets in dB from the start's gains, bounded by the reach.

    Args:
        terms: What is heard of it.
        plan: Reach and weights.
        n_steps: Its length in model steps.
        n_bands: Bands.
    """

    def __init__(self, terms: ChunkTerms, plan: OptimisePlan, n_steps: int, n_bands: int) -> None:
        self._terms, self._reach_db = terms, plan.bound_db
        self._shape = (n_steps, len(EXCITATIONS), n_bands)
        weights = asdict(plan.term_weights)
        scales = gradient_scales(lambda variables: terms.values(self.offset_db(variables)), self._near_start())
        self._weights = {name: weights[name] * scale for name, scale in scales.items() if weights[name] > 0}

    def start(self) -> Tensor:
        """No offset."""
        return torch.zeros(self._shape)

    def loss(self, variables: Tensor) -> dict[str, Tensor]:
        """The weighted terms."""
        values = self._terms.values(self.offset_db(variables))
        return {name: weight * values[name] for name, weight in self._weights.items()}

    def magnitudes(self, variables: Tensor) -> Tensor:
        """Band magnitudes (frames, bands) of the output."""
        return self._terms.magnitudes(self.offset_db(variables))

    def offset_db(self, variables: Tensor) -> Tensor:
        """Offsets of the gains: within the reach, and in dB as long as they are small."""
        return bounded_db(variables, self._reach_db)

    def _near_start(self) -> Tensor:
        n_steps, n_excitations, n_bands = self._shape
        generator = torch.Generator().manual_seed(0)
        coarse = (1, n_excitations, n_steps // _JITTER_STEPS + 2, n_bands // _JITTER_BANDS + 2)
        noise = torch.randn(coarse, generator=generator)
        smooth = F.interpolate(noise, size=(n_steps, n_bands), mode="bilinear", align_corners=False)[0]
        return smooth.transpose(0, 1) / smooth.std() * JITTER_DB


def bounded_db(variables: Tensor, reach_db: float) -> Tensor:
    """Unbounded variables to dB within ± reach: x for small x, so that both have one unit."""
    return reach_db * torch.tanh(variables / reach_db)


class GainsTask:
    """A pair of recordings.

    Args:
        content: (channels, samples) at a rate that a session has.
        style: (channels, samples) at the same rate.
        sample_rate_hz: The rate.
        plan: How.
        bundle: The network and its bands.

    Raises:
        StyleSilent: The style has too little sound.
        AudioTooShort: It is too short.
    """

    def __init__(
        self, content: Audio, style: Audio, sample_rate_hz: int, plan: OptimisePlan, bundle: LoadedBundle
    ) -> None:
        features = bundle.bundle.manifest.features
        self._layout = BandLayout(n_bands=features.n_bands, low_hz=features.low_hz, high_hz=features.high_hz)
        if self._layout.n_bands % SMALLEST_SIDE:
            raise ValueError(
                f"expected a bundle whose bands are a multiple of {SMALLEST_SIDE}, as VGG19's pools need them, "
                f"got {self._layout.n_bands}"
            )
        self._content, self._rate_hz, self._plan = content, sample_rate_hz, plan
        self._model: GainModel = bundle.transfer if plan.start == "live" else NeutralModel(bundle.transfer)
        source = style_source(style, sample_rate_hz)
        self._vector = learn_source(source, bundle.encoder)
        listener = load_listener(plan, self._layout.n_bands)
        self._listener_origin = listener.origin
        self._ear = Ear(listener, self._layout, sample_rate_hz, plan.seed)
        excerpts = [style_magnitudes(piece, sample_rate_hz, self._layout) for piece in source.pieces]
        self._style = self._ear.observe([torch.from_numpy(excerpt) for excerpt in excerpts])
        step_samples = StftGeometry.for_rate(sample_rate_hz).step_samples
        n_steps = content.shape[1] // step_samples + 2
        self._spans = chunk_spans(n_steps + n_steps % 2, plan.chunk_steps, plan.overlap_steps)
        self._hearing = ContentHearing(content, sample_rate_hz, self._model, self._vector, self._layout)
        self._next, self._tail = 0, None

    @property
    def spans(self) -> list[Span]:
        """The chunks in model steps."""
        return self._spans

    @property
    def listener_origin(self) -> str:
        """Where the VGG19's weights come from."""
        return self._listener_origin

    def problem(self, chunk: int) -> GainsProblem:
        """The problem of a chunk: hears the content up to its end."""
        while self._next < chunk:
            self._hear()
        heard = self._hear()
        return GainsProblem(ChunkTerms(self._ear, self._style, heard), self._plan, heard.n_steps, self._layout.n_bands)

    def offset_db(self, found: Sequence[Tensor | None]) -> np.ndarray:
        """Offsets of the whole recording, float32 (steps, 4, bands)."""
        if all(variables is None for variables in found):
            return np.zeros((self._spans[-1].last, len(EXCITATIONS), self._layout.n_bands), np.float32)
        fields = [None if v is None else bounded_db(v, self._plan.bound_db).numpy() for v in found]
        return joined_fields(fields, self._spans)

    def render(self, found: Sequence[Tensor | None]) -> Audio:
        """Plays the content through the session with these offsets."""
        steered = SteeredModel(self._model, self.offset_db(found))
        return play(steered, self._vector, self._content, self._rate_hz)

    def _hear(self) -> Heard:
        span = self._spans[self._next]
        known = self._tail.n_steps if self._tail is not None else 0
        heard = self._hearing.next_steps(span.last - span.first - known)
        if self._tail is not None:
            heard = self._tail.followed_by(heard)
        self._next += 1
        is_last = self._next == len(self._spans)
        self._tail = None if is_last else heard.last_steps(span.last - self._spans[self._next].first)
        return heard
