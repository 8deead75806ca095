"""The recipe `gatys`: Gatys et al. 2016 on the picture of a spectrogram, as deepart did it with photographs.

Gram matrices of conv1_1 .. conv5_1 for the style, conv4_2 for the content, L-BFGS on the picture itself, from the
content on. The picture is the compressed magnitude of a symmetric STFT; VGG19 looks at cells of 4 frames and 2 bins,
and since a gradient is the same all over a cell, cells are what is optimised: the content keeps its detail inside
them. The phase of what was painted comes from its magnitude (`phase`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from deepmusic.audio import Audio
from deepmusic.model.catalog import LoadedBundle
from deepmusic.styles.source import style_source
from deepmusic_export.nets.levels import COMPRESSION, compress, frequency_ramp
from deepmusic_export.optimise.chunks import Span, chunk_spans, joined_audio
from deepmusic_export.optimise.gaussian_stft import GaussianStft
from deepmusic_export.optimise.listener import Listener, load_listener
from deepmusic_export.optimise.phase import consistent_spectra, phase_from_magnitude
from deepmusic_export.optimise.plan import OptimisePlan
from deepmusic_export.optimise.solver import gradient_scales
from deepmusic_export.optimise.statistics import distance, gram_matrices, long_enough, mean_statistics

#: Frames and bins of a cell.
CELL_FRAMES, CELL_BINS = 4, 2
#: Samples of a session's step at 48 kHz, the unit of the plan's chunks.
_STEP_SAMPLES = 1024
#: Deviation of the noise beside the start where gradients are measured: a twentieth of the picture's range.
_JITTER = 0.05


def cells(level: Tensor) -> Tensor:
    """The mean over cells: (frames, bins) -> (columns, rows); the bin at half the rate has no cell."""
    return F.avg_pool2d(level[None, :, :-1], (CELL_FRAMES, CELL_BINS))[0]


def picture_of(cell_levels: Tensor) -> Tensor:
    """What VGG19 sees of cells: (columns, rows) -> (1, 2, columns, rows), level and ramp."""
    return long_enough(torch.cat([cell_levels[None, None], frequency_ramp(cell_levels[None])], dim=1))


class GatysProblem:
    """A chunk: the levels of its cells.

    Args:
        listener: The VGG19.
        style: Gram matrices of the style.
        cell_levels: The content's cells (columns, rows).
        content_weight: How hard the content pulls beside the style.
    """

    def __init__(self, listener: Listener, style: list[Tensor], cell_levels: Tensor, content_weight: float) -> None:
        self._listener, self._style, self._cells = listener, style, cell_levels
        with torch.no_grad():
            self._content = gram_matrices(listener.vgg, picture_of(cell_levels))[1]
        noise = torch.randn(cell_levels.shape, generator=torch.Generator().manual_seed(0)) * _JITTER
        scales = gradient_scales(self._terms, F.relu(cell_levels + noise))
        self._weights = {"style": scales["style"], "content": scales["content"] * content_weight}

    def start(self) -> Tensor:
        """The content's own cells."""
        return self._cells.clone()

    def loss(self, variables: Tensor) -> dict[str, Tensor]:
        """The weighted terms."""
        values = self._terms(variables)
        return {name: weight * values[name] for name, weight in self._weights.items()}

    def _terms(self, variables: Tensor) -> dict[str, Tensor]:
        grams, content = gram_matrices(self._listener.vgg, picture_of(F.relu(variables)))
        return {"style": distance(grams, self._style), "content": distance([content], [self._content])}


class GatysTask:
    """A pair of recordings.

    Args:
        content: (channels, samples).
        style: (channels, samples) at the same rate.
        sample_rate_hz: The rate.
        plan: How.
        bundle: Not listened to; its digest tells states apart.
    """

    def __init__(
        self, content: Audio, style: Audio, sample_rate_hz: int, plan: OptimisePlan, bundle: LoadedBundle
    ) -> None:
        self._stft = _stft_for(sample_rate_hz)
        self._content, self._plan = content, plan
        self._listener = load_listener(plan)
        unit = _STEP_SAMPLES * self._stft.hop // 256
        self._spans = chunk_spans(content.shape[1], plan.chunk_steps * unit, plan.overlap_steps * unit)
        grams = []
        with torch.no_grad():
            for piece in style_source(style, sample_rate_hz).pieces:
                level, _ = self._levels(piece)
                grams.append(gram_matrices(self._listener.vgg, picture_of(cells(level)))[0])
        self._style = mean_statistics(grams)

    @property
    def spans(self) -> list[Span]:
        """The chunks in samples."""
        return self._spans

    @property
    def listener_origin(self) -> str:
        """Where the VGG19's weights come from."""
        return self._listener.origin

    def problem(self, chunk: int) -> GatysProblem:
        """The problem of a chunk."""
        level, _ = self._levels(self._cut(chunk))
        return GatysProblem(self._listener, self._style, cells(level), self._plan.content_weight)

    def render(self, found: Sequence[Tensor | None]) -> Audio:
        """Gives every chunk its phase and joins them; a chunk that was not reached is the content."""
        parts = [
            self._cut(chunk) if variables is None else self._sound(self._cut(chunk), variables)
            for chunk, variables in enumerate(found)
        ]
        return joined_audio(parts, self._spans)

    def _cut(self, chunk: int) -> Audio:
        span = self._spans[chunk]
        return self._content[:, span.first : span.last]

    def _levels(self, audio: Audio) -> tuple[Tensor, float]:
        """Compressed levels (frames, bins) of the mean channel power, and the level that they are relative to."""
        power = sum(np.abs(self._stft.analyse(channel)) ** 2 for channel in audio) / len(audio)
        scale = math.sqrt(float(power.sum(1).mean()) + 1e-10)
        return compress(torch.from_numpy(np.sqrt(power).astype(np.float32) / scale)), scale

    def _sound(self, audio: Audio, variables: Tensor) -> Audio:
        """The chunk with its cells painted over: one gain for all channels, and one phase, so the image stays.

        Every channel keeps its distance in phase to the loudest one, for which the new phase is made.
        """
        level, scale = self._levels(audio)
        change = F.relu(variables) - cells(level)
        spread = F.interpolate(
            change[None, None], size=(len(change) * CELL_FRAMES, level.shape[1] - 1), mode="bilinear"
        )[0, 0]
        painted = level.clone()
        painted[: len(spread), :-1] += spread
        magnitude = scale / COMPRESSION * torch.expm1(F.relu(painted) * math.log1p(COMPRESSION)).numpy()
        before = scale / COMPRESSION * torch.expm1(level * math.log1p(COMPRESSION)).numpy()
        gain = magnitude / np.maximum(before, scale * 1e-7)
        loudest = self._stft.analyse(audio[int(np.argmax(np.square(audio).sum(1)))])
        wanted = np.abs(loudest) * gain
        n_samples = audio.shape[1]
        phase = phase_from_magnitude(wanted, self._stft, seed=self._plan.seed)
        made = consistent_spectra(wanted, phase, self._stft, n_samples)
        turn = made * loudest.conj()
        turn /= np.maximum(np.abs(turn), 1e-20)
        channels = [self._stft.synthesise(self._stft.analyse(channel) * gain * turn, n_samples) for channel in audio]
        return np.stack(channels)


def _stft_for(sample_rate_hz: int) -> GaussianStft:
    """2048 samples up to 50 kHz, and as long in milliseconds above."""
    factor = 1 if sample_rate_hz <= 50000 else 2 if sample_rate_hz <= 100000 else 4
    return GaussianStft(n_fft=2048 * factor, hop=256 * factor)
