"""The manifest of a bundle: what it is, which tensors its files take and give, and the digest of every file.

The page docs/model-bundle.md describes the format for people; `manifest_json` reads it.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from deepmusic.errors import BundleInvalid

#: The format that this runtime reads and writes.
FORMAT: Final = 1
MANIFEST_NAME: Final = "manifest.json"
#: What the bands' gains multiply, in this order; the last one (noise) has no band features of its own.
EXCITATIONS: Final = ("content", "odd", "even", "noise")
#: Band features that a transfer model sees: the excitations that follow from the content.
N_FEATURE_EXCITATIONS: Final = 3
#: No file of a bundle may be larger, in bytes.
MAX_FILE_BYTES: Final = 64 << 20
#: No step may be longer, in frames: 2.7 s at 48 kHz.
MAX_STEP_FRAMES: Final = 512
#: More files than these are no bundle.
MAX_FILES: Final = 32

_BUNDLE_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_FILE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class BundleKind(enum.Enum):
    """How the transfer model works through time."""

    STREAM = "stream"
    """Causal: one step of a few frames a call, with state."""
    SEGMENT = "segment"
    """Hears what follows: its steps are long segments, its gains come late, and it crossfades their joins itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorSpec:
    """One input or output of an ONNX file."""

    name: str
    dtype: str
    """Element type as numpy names it; the runtime feeds and takes float32."""
    shape: tuple[int | str, ...]
    """Sizes; a string names an axis that varies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureSpec:
    """The bands in Hz that the model hears and the excitations that its gains drive."""

    n_bands: int
    low_hz: float
    """Centre of the lowest band."""
    high_hz: float
    """Centre of the highest band."""
    scale: str
    """How the centres are spaced; only "mel-htk"."""
    step_frames: int
    """Frames a step."""
    excitations: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentSpec:
    """What the runtime must know of a model that looks ahead."""

    look_ahead_frames: int
    """A step's gains belong to the frames so many before its own; fewer than a step has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleFile:
    """The encoder that makes a style vector out of band magnitudes."""

    file: str
    size: int
    """Length D of a style vector."""
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferFile:
    """A model that turns features, style and state into gains and the next state."""

    file: str
    precision: str
    """What the weights are stored in: float32, float16 or int8."""
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StateSpec:
    """The packed state of a stream."""

    size: int
    """Floats a stream."""
    file: str
    """A .npy of shape (size,), float32: the state before the first step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingNote:
    """Where the weights come from."""

    data: str
    steps: int
    hours: float
    seed: int
    host: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """What a file of the bundle must be."""

    sha256: str
    """64 lower-case hexadecimal digits."""
    n_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A manifest that agrees with itself. Read one with `parse_manifest`."""

    name: str
    version: str
    kind: BundleKind
    profile: str
    features: FeatureSpec
    segment: SegmentSpec | None
    """For the kind segment, and for no other."""
    style: StyleFile
    transfer: TransferFile
    transfer_int8: TransferFile | None
    state: StateSpec
    golden_file: str
    """A .npz with bands (K, 1, F, 3, n_bands), style (1, D) and gain_db (K, 1, F, 4, n_bands): K steps in a row."""
    statistics_time_constant_s: float
    training: TrainingNote
    licence: str
    metrics: Mapping[str, float]
    files: Mapping[str, FileEntry]

    def __post_init__(self) -> None:
        check_bundle_name(self.name)
        self._check_segment()
        self._check_files()
        self._check_tensors()

    def transfer_tensors(self) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        """Inputs and outputs that every transfer file of this bundle must have."""
        n_bands, step = self.features.n_bands, self.features.step_frames
        state = _floats("state", "sessions", self.state.size)
        inputs = (
            _floats("bands", "sessions", step, N_FEATURE_EXCITATIONS, n_bands),
            _floats("style", "sessions", self.style.size),
            _floats("freeze", "sessions", 1),
            state,
        )
        gains = _floats("gain_db", "sessions", step, len(EXCITATIONS), n_bands)
        return inputs, (gains, _floats("state_out", "sessions", self.state.size))

    def style_tensors(self) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        """Inputs and outputs that the style encoder must have."""
        return (_floats("bands", 1, "frames", self.features.n_bands),), (_floats("style", 1, self.style.size),)

    @property
    def look_ahead_frames(self) -> int:
        """Frames that a step's gains are late; 0 for a stream."""
        return 0 if self.segment is None else self.segment.look_ahead_frames

    def _check_segment(self) -> None:
        if (self.segment is not None) is not (self.kind is BundleKind.SEGMENT):
            expected, got = ("an object", "none") if self.segment is None else ("none", "an object")
            raise BundleInvalid(
                f"manifest.json: segment: expected {expected} for the kind {self.kind.value}, got {got}",
                field="segment",
            )
        if self.look_ahead_frames >= self.features.step_frames:
            raise BundleInvalid(
                f"manifest.json: segment: expected a look_ahead_frames below the {self.features.step_frames} frames of "
                f"a step, got {self.look_ahead_frames}",
                field="segment",
            )

    def _check_files(self) -> None:
        used = {self.style.file, self.transfer.file, self.state.file, self.golden_file}
        if self.transfer_int8 is not None:
            used.add(self.transfer_int8.file)
        missing = sorted(used - set(self.files))
        if missing:
            raise BundleInvalid(f"manifest.json: files: expected an entry for {missing[0]!r}, got none", field="files")
        spare = sorted(set(self.files) - used)
        if spare:
            raise BundleInvalid(f"manifest.json: files: {spare[0]!r} is used by nothing; leave it out", field="files")

    def _check_tensors(self) -> None:
        _compare_tensors("style", self.style.inputs, self.style.outputs, self.style_tensors())
        _compare_tensors("transfer", self.transfer.inputs, self.transfer.outputs, self.transfer_tensors())
        if self.transfer_int8 is not None:
            int8 = self.transfer_int8
            _compare_tensors("transfer_int8", int8.inputs, int8.outputs, self.transfer_tensors())


def check_bundle_name(name: str) -> str:
    """Returns `name` where it can name a bundle (and a folder, and a metric).

    Raises:
        BundleInvalid: it cannot.
    """
    if not _BUNDLE_NAME.fullmatch(name):
        raise BundleInvalid(
            f"expected a bundle name of 1 to 64 characters out of a-z, 0-9, - and _, got {name[:80]!r}", field="name"
        )
    return name


def check_file_name(name: str) -> str:
    """Returns `name` where it is a plain file name inside the bundle: no folder, no drive, nothing hidden.

    Raises:
        BundleInvalid: it is not.
    """
    if not _FILE_NAME.fullmatch(name) or name == MANIFEST_NAME:
        raise BundleInvalid(
            f"expected a plain file name out of letters, digits, '.', '-' and '_', got {name[:120]!r}", field="files"
        )
    return name


def _floats(name: str, *shape: int | str) -> TensorSpec:
    return TensorSpec(name=name, dtype="float32", shape=shape)


def _compare_tensors(
    what: str,
    inputs: tuple[TensorSpec, ...],
    outputs: tuple[TensorSpec, ...],
    expected: tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]],
) -> None:
    for given, wanted in ((inputs, expected[0]), (outputs, expected[1])):
        if given != wanted:
            raise BundleInvalid(f"{what}: expected tensors {_drawn(wanted)}, got {_drawn(given)}", field=what)


def _drawn(tensors: tuple[TensorSpec, ...]) -> str:
    drawn = ", ".join(f"{t.name} {t.dtype}[{', '.join(map(str, t.shape))}]" for t in tensors)
    return drawn if len(drawn) <= 400 else drawn[:397] + "..."
