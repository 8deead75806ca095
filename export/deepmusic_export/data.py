"""Training examples from a corpus: content, style, oracle, cut at random and brought to random levels."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from deepmusic_export.hybrids import Hybrid, random_hybrid

#: A clip whose crop is quieter than this says nothing, dBFS RMS.
QUIET_DBFS = -50.0
#: Spread of the level that an example is brought to, dB about -20 dBFS.
LEVEL_SPREAD_DB = 12.0
#: Share of examples whose style is the content's own patch: the gains must then be one.
IDENTITY_SHARE = 0.06
#: Share of varied examples whose style, and whose content, is between two instruments, and is equalised.
STYLE_SHARES, CONTENT_SHARES = (0.6, 0.4), (0.3, 0.3)
#: General MIDI's programs from here on are sound effects: birds, applause, a gunshot.
FIRST_EFFECT = 120


@dataclass(frozen=True, slots=True)
class Batch:
    """Audio float32 (batch, samples) at one sample rate; content and oracle are the same score at the same time."""

    content: Tensor
    style: Tensor
    oracle: Tensor
    sample_rate_hz: int


@dataclass(frozen=True, slots=True)
class _Group:
    audio: np.ndarray
    """int16 (patches, scores, samples), mapped from disk."""
    sample_rate_hz: int
    styles: np.ndarray
    """Patches of one sound: what only the accompaniment of one score plays cannot be learnt from another score."""
    instruments: np.ndarray
    """Those of them that play notes: General MIDI's sound effects do not."""
    sounds: tuple[str, ...]
    """What each patch is, as JSON: equal for equal sounds."""

    @classmethod
    def read(cls, path: Path) -> _Group:
        meta = json.loads(path.with_suffix(".json").read_text())
        patches = meta["patches"]
        styles = [n for n, patch in enumerate(patches) if patch["accompaniment"] == patch["program"]]
        effects = [n for n in styles if patches[n]["source"] == "soundfont" and patches[n]["program"] >= FIRST_EFFECT]
        return cls(
            np.load(path, mmap_mode="r"),
            meta["sample_rate_hz"],
            np.array(styles, np.intp),
            np.array([n for n in styles if n not in effects], np.intp),
            tuple(json.dumps(patch, sort_keys=True) for patch in patches),
        )


class Corpus:
    """The groups of folders that `render` made; later groups are found as they appear.

    Args:
        folders: One or more; every group counts alike,
        favoured: but for those of this folder, if one is given,
        share: which make up this share of all examples, 0 to 1.
    """

    def __init__(self, *folders: Path, favoured: Path | None = None, share: float = 0.5) -> None:
        self.folders, self._favoured, self._share = folders, favoured, share
        self._groups: dict[Path, _Group] = {}
        self.refresh()

    def refresh(self) -> None:
        """Looks for groups that were rendered since.

        Raises:
            FileNotFoundError: A folder holds no group.
        """
        for folder in self.folders:
            paths = sorted(folder.glob("group_*.npy"))
            if not paths:
                raise FileNotFoundError(f"expected rendered groups in {folder}; make them with deepmusic-export render")
            for path in paths:
                if path not in self._groups:
                    self._groups[path] = _Group.read(path)

    @property
    def hours(self) -> float:
        """Length of all audio in hours."""
        return sum(group.audio.size / group.sample_rate_hz for group in self._groups.values()) / 3600

    @property
    def n_bytes(self) -> int:
        """Size of all audio."""
        return sum(group.audio.nbytes for group in self._groups.values())

    def groups(self) -> list[Path]:
        """Paths of the groups, sorted."""
        return sorted(self._groups)

    def draw(self, rng: np.random.Generator, groups: Sequence[Path]) -> Path:
        """One of some groups, of the favoured folder as often as its share says; where it has none of them, any."""
        if self._favoured is not None:
            is_favoured = rng.random() < self._share
            groups = [group for group in groups if (group.parent == self._favoured) == is_favoured] or groups
        return groups[rng.integers(len(groups))]

    def clip(self, group: Path, patch: int, score: int) -> tuple[np.ndarray, int]:
        """A whole clip, float32 (samples,), and its rate in Hz."""
        entry = self._groups[group]
        return entry.audio[patch, score].astype(np.float32) / 32768.0, entry.sample_rate_hz

    def styles(self, group: Path) -> np.ndarray:
        """The patches of a group that can be a style: those of one sound."""
        return self._groups[group].styles

    def instruments(self, group: Path) -> np.ndarray:
        """The styles of a group that are instruments, not sound effects."""
        return self._groups[group].instruments

    def sounds(self, group: Path) -> tuple[str, ...]:
        """What each patch of a group is, program, body and effects: equal for equal sounds."""
        return self._groups[group].sounds

    def audible_clips(self, group: Path) -> Iterator[tuple[int, int, np.ndarray, int]]:
        """Patch, score, audio and rate in Hz of every clip of the group's instruments that is not silent."""
        for patch in self.instruments(group):
            for score in range(self.shape(group)[1]):
                audio, sample_rate_hz = self.clip(group, patch, score)
                if level_dbfs(audio) > QUIET_DBFS:
                    yield int(patch), score, audio, sample_rate_hz

    def shape(self, group: Path) -> tuple[int, int]:
        """Number of patches and scores of a group."""
        return self._groups[group].audio.shape[:2]

    def batch(self, rng: np.random.Generator, size: int, n_samples: int, is_varied: bool = False) -> Batch:
        """Draws examples of one sample rate.

        Args:
            rng: Source of randomness.
            size: Number of examples.
            n_samples: Length of content and oracle; the style is as long.
            is_varied: Whether instruments may be mixed and equalised: what training wants and a judge does not.

        Raises:
            ValueError: A clip is shorter.
        """
        rate, examples = self._examples(rng, list(self._groups), n_samples, is_varied)
        rows: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        while len(rows) < size:
            path, drawn = next(examples)
            example = _played(drawn, self._groups[path], n_samples)
            if example is not None:
                rows.append(example)
        content, style, oracle = (torch.from_numpy(np.stack(column)) for column in zip(*rows, strict=True))
        return Batch(content, style, oracle, rate)

    def _examples(
        self, rng: np.random.Generator, paths: Sequence[Path], n_samples: int, is_varied: bool
    ) -> tuple[int, Iterator[tuple[Path, Example]]]:
        """A sample rate, and examples of it with their groups without end; quiet ones are among them."""
        rate = self._groups[self.draw(rng, paths)].sample_rate_hz

        def drawn() -> Iterator[tuple[Path, Example]]:
            while True:
                # Of all groups: a favoured folder that lacks this rate has its whole share in batches of the other.
                path = self.draw(rng, paths)
                group = self._groups[path]
                if group.sample_rate_hz == rate:
                    example = draw_example(rng, group.styles, group.audio.shape, n_samples, is_varied)
                    if example is not None:
                        yield path, example

        return rate, drawn()


@dataclass(frozen=True, slots=True)
class Example:
    """Which clips of a group make an example, where they are cut, and who plays them."""

    content_patch: int
    style_patch: int
    score: int
    """Of content and oracle."""
    style_score: int
    start: int
    """First sample of content and oracle."""
    style_start: int
    level_dbfs: float
    """Of content and oracle."""
    style_level_dbfs: float
    style_hybrid: Hybrid | None
    """What becomes of style and oracle; None where the patch plays as it is."""
    content_hybrid: Hybrid | None

    @property
    def parts(self) -> tuple[tuple[int, int, int, Hybrid | None], ...]:
        """Patch, score, first sample and hybrid of content, style and oracle."""
        return (
            (self.content_patch, self.score, self.start, self.content_hybrid),
            (self.style_patch, self.style_score, self.style_start, self.style_hybrid),
            (self.style_patch, self.score, self.start, self.style_hybrid),
        )


def draw_example(
    rng: np.random.Generator, styles: np.ndarray, shape: tuple[int, ...], n_samples: int, is_varied: bool
) -> Example | None:
    """Draws an example of a group; None where no patch is a style.

    Args:
        rng: Source of randomness.
        styles: Patches that can be a style.
        shape: Patches, scores and samples of the group.
        n_samples: Length of the cuts.
        is_varied: Whether instruments may be mixed and equalised.

    Raises:
        ValueError: A clip is shorter.
    """
    n_patches, n_scores, length = shape
    pair = draw_patches(rng, n_patches, styles)
    if pair is None:
        return None
    p, q = pair
    a, b = rng.choice(n_scores, size=2, replace=False)
    check_length(length, n_samples)
    start, style_start = rng.integers(0, max(1, length - n_samples), size=2)
    levels = -20.0 + rng.uniform(-LEVEL_SPREAD_DB, LEVEL_SPREAD_DB, size=2)
    style_hybrid = content_hybrid = None
    if is_varied and p != q:
        style_hybrid = random_hybrid(rng, styles[styles != q], *STYLE_SHARES)
        content_hybrid = random_hybrid(rng, styles[(styles != p) & (styles != q)], *CONTENT_SHARES)
    return Example(
        p, q, int(a), int(b), int(start), int(style_start), levels[0], levels[1], style_hybrid, content_hybrid
    )


def _played(drawn: Example, group: _Group, n_samples: int) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Content, style and oracle at their levels; None where one of them says nothing."""

    def play(patch: int, score: int, start: int, hybrid: Hybrid | None) -> np.ndarray:
        clip = _cut(group.audio[patch, score], start, n_samples)
        if hybrid is None:
            return clip
        other = None if hybrid.other is None else _cut(group.audio[hybrid.other, score], start, n_samples)
        return hybrid.of_audio(clip, other, group.sample_rate_hz)

    content, style, oracle = (play(*part) for part in drawn.parts)
    if min(level_dbfs(content), level_dbfs(oracle), level_dbfs(style)) < QUIET_DBFS:
        return None
    # Content and oracle keep their proportion: the loss normalises, the network must not depend on it.
    return (
        _at_level(content, drawn.level_dbfs),
        _at_level(style, drawn.style_level_dbfs),
        _at_level(oracle, drawn.level_dbfs),
    )


def draw_patches(rng: np.random.Generator, n_patches: int, styles: np.ndarray) -> tuple[int, int] | None:
    """A patch for the content and one for the style and the oracle, sometimes the same; None where no patch is a style.

    Args:
        rng: Source of randomness.
        n_patches: Patches of the group.
        styles: Those that can be a style.
    """
    if not len(styles):
        return None
    q = int(rng.choice(styles))
    if rng.random() < IDENTITY_SHARE:
        return q, q
    return int((q + rng.integers(1, n_patches)) % n_patches), q


def check_length(length: int, wanted: int, unit: str = "samples") -> None:
    """Makes sure that a part of so many samples or frames can be cut from a clip.

    Raises:
        ValueError: It cannot.
    """
    if length < wanted:
        raise ValueError(
            f"expected clips of at least {wanted} {unit}, got one of {length}; render longer ones, or ask for less"
        )


def _cut(clip: np.ndarray, start: int, n_samples: int) -> np.ndarray:
    return clip[start : start + n_samples].astype(np.float32) / 32768.0


def level_dbfs(audio: np.ndarray) -> float:
    """Mean power of float32 audio in dB over full scale; -120 for digital silence."""
    return float(10 * np.log10(np.mean(audio**2) + 1e-12))


def _at_level(audio: np.ndarray, target_dbfs: float) -> np.ndarray:
    return audio * np.float32(10 ** ((target_dbfs - level_dbfs(audio)) / 20))
