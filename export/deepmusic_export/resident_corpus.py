"""A corpus that lies on the device which trains: cut, mixed and equalised there, a batch at a time."""

from __future__ import annotations

from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from deepmusic.dsp.windows import StftGeometry
from deepmusic_export.data import QUIET_DBFS, Batch, Corpus, Example
from deepmusic_export.hybrids import EQ_POINTS, Hybrid, mixed, over_bins

#: Examples that are drawn for each that is wanted: the quiet ones among them are left out.
SPARE = 1.25
#: Most of the accelerator's free memory that clips may take; the networks need the rest.
MEMORY_SHARE = 0.5


class ResidentCorpus(Corpus):
    """A corpus on a device.

    An accelerator trains faster than two or three processors cut and transform crops, so the clips lie in its memory,
    14 MB a group, and what `Corpus` does clip by clip is done there for a whole batch.

    Args:
        folders, favoured, share: As `Corpus` has them.
        device: torch's device.
    """

    def __init__(
        self, *folders: Path, device: torch.device | str, favoured: Path | None = None, share: float = 0.5
    ) -> None:
        self._device = torch.device(device)
        self._clips: dict[Path, Tensor] = {}
        super().__init__(*folders, favoured=favoured, share=share)

    def refresh(self) -> None:
        """Looks for groups that were rendered since, and takes them to the device."""
        super().refresh()
        for path, group in list(self._groups.items()):
            if path not in self._clips:
                self._clips[path] = torch.from_numpy(np.array(group.audio)).to(self._device)

    def batch(self, rng: np.random.Generator, size: int, n_samples: int, is_varied: bool = False) -> Batch:
        """As `Corpus.batch`, on the device. Where too few examples are audible, quiet ones are among them."""
        rate, drawn = self._examples(rng, list(self._clips), n_samples, is_varied)
        examples = [(example, self._clips[path]) for path, example in islice(drawn, round(size * SPARE))]
        audio = self._played(examples, n_samples, rate)
        power = audio.square().mean(-1) + 1e-12
        is_quiet = (power < 10 ** (QUIET_DBFS / 10)).any(1)
        kept = torch.argsort(is_quiet.to(torch.uint8), stable=True)[:size]
        levels = [(e.level_dbfs, e.style_level_dbfs, e.level_dbfs) for e, _ in examples]
        wanted = torch.pow(10.0, self._tensor(np.array(levels, np.float32)) / 20)
        content, style, oracle = (audio * (wanted / torch.sqrt(power))[..., None])[kept].unbind(1)
        return Batch(content, style, oracle, rate)

    def _played(self, examples: list[tuple[Example, Tensor]], n_samples: int, rate: int) -> Tensor:
        """Audio (examples, 3, samples) of contents, styles and oracles."""
        parts = [(clips, *part) for example, clips in examples for part in example.parts]
        plain = torch.stack([clips[p, s, start : start + n_samples] for clips, p, s, start, _ in parts]) / 32768.0
        rows, others, hybrids = list[int](), list[Tensor](), list[Hybrid]()
        for row, (clips, patch, score, start, hybrid) in enumerate(parts):
            if hybrid is not None:
                # A patch mixed with itself is itself, so one transform does for all.
                other = patch if hybrid.other is None else hybrid.other
                rows.append(row)
                others.append(clips[other, score, start : start + n_samples])
                hybrids.append(hybrid)
        if rows:
            weight = np.stack([hybrid.weight for hybrid in hybrids])
            no_eq = np.zeros(EQ_POINTS)
            eq_db = np.stack([no_eq if hybrid.eq_db is None else hybrid.eq_db for hybrid in hybrids])
            curves = (self._tensor(points) @ _curves(points.shape[1], rate, self._device) for points in (weight, eq_db))
            index = torch.tensor(rows, device=self._device)
            plain[index] = mixed(plain[index], torch.stack(others) / 32768.0, *curves)
        return plain.reshape(len(examples), 3, n_samples)

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(values.astype(np.float32)).to(self._device, non_blocking=True)


def corpus_for(device: str, *folders: Path, favoured: Path | None = None, share: float = 0.5) -> Corpus:
    """The corpus that feeds a device best: on an accelerator that has room for it, there; else in the host's files.

    Args:
        device: torch's device.
        *folders: Where the groups are.
        favoured: As `Corpus` has it.
        share: As `Corpus` has it.
    """
    corpus = Corpus(*folders, favoured=favoured, share=share)
    kind = torch.device(device).type
    if kind == "cpu" or (kind == "cuda" and corpus.n_bytes > MEMORY_SHARE * torch.cuda.mem_get_info(device)[0]):
        return corpus
    return ResidentCorpus(*folders, device=device, favoured=favoured, share=share)


@lru_cache
def _curves(n_points: int, sample_rate_hz: int, device: torch.device) -> Tensor:
    """(points, bins): what each point of a curve adds to every bin."""
    return over_bins(np.eye(n_points), StftGeometry.for_rate(sample_rate_hz)).to(device)
