"""Manifests as JSON: strict reading, and the pieces that writers need."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from deepmusic.errors import BundleInvalid
from deepmusic.model.json_fields import JsonFields, load_object
from deepmusic.model.manifest import (
    EXCITATIONS,
    FORMAT,
    MANIFEST_NAME,
    MAX_FILE_BYTES,
    MAX_FILES,
    MAX_STEP_FRAMES,
    BundleKind,
    FeatureSpec,
    FileEntry,
    Manifest,
    SegmentSpec,
    StateSpec,
    StyleFile,
    TensorSpec,
    TrainingNote,
    TransferFile,
    check_file_name,
)

_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def parse_manifest(data: bytes) -> Manifest:
    """Reads the bytes of a manifest.json.

    Raises:
        BundleInvalid: an unknown key, a missing one, a value of the wrong type or range, or parts that disagree.
    """
    root = load_object(data, where=MANIFEST_NAME)
    root.integer("format", low=FORMAT, high=FORMAT)
    manifest = Manifest(
        name=root.text("name"),
        version=root.text("version"),
        kind=BundleKind(root.choice("kind", tuple(kind.value for kind in BundleKind))),
        profile=root.text("profile"),
        features=_features(root.nested("features")),
        segment=_segment(root.optional_nested("segment")),
        style=_style(root.nested("style")),
        transfer=_transfer(root.nested("transfer"), ("float32", "float16")),
        transfer_int8=_optional_transfer(root.optional_nested("transfer_int8")),
        state=_state(root.nested("state")),
        golden_file=_golden(root.nested("golden")),
        statistics_time_constant_s=root.number("statistics_time_constant_s", low=0.0, high=60.0),
        training=_training(root.nested("training")),
        licence=root.text("licence"),
        metrics=_metrics(root.nested("metrics")),
        files=_files(root.nested("files")),
    )
    root.close()
    return manifest


def tensor_fields(tensors: tuple[TensorSpec, ...]) -> list[dict[str, Any]]:
    """The JSON form of `tensors`, for those who write manifests."""
    return [{"name": t.name, "dtype": t.dtype, "shape": list(t.shape)} for t in tensors]


def _features(fields: JsonFields) -> FeatureSpec:
    low_hz = fields.number("low_hz", low=1.0, high=22000.0)
    spec = FeatureSpec(
        n_bands=fields.integer("n_bands", low=8, high=1024),
        low_hz=low_hz,
        high_hz=fields.number("high_hz", low=low_hz + 1.0, high=22050.0),
        scale=fields.choice("scale", ("mel-htk",)),
        step_frames=fields.integer("step_frames", low=1, high=MAX_STEP_FRAMES),
        excitations=fields.texts("excitations"),
    )
    if spec.excitations != EXCITATIONS:
        expected = ", ".join(EXCITATIONS)
        raise BundleInvalid(
            f"features: excitations: expected {expected}, got {spec.excitations!r:.80}", field="features"
        )
    fields.close()
    return spec


def _segment(fields: JsonFields | None) -> SegmentSpec | None:
    if fields is None:
        return None
    spec = SegmentSpec(look_ahead_frames=fields.integer("look_ahead_frames", low=1, high=MAX_STEP_FRAMES))
    fields.close()
    return spec


def _style(fields: JsonFields) -> StyleFile:
    style = StyleFile(
        file=check_file_name(fields.text("file")),
        size=fields.integer("size", low=1, high=1 << 16),
        inputs=_tensors(fields.nested_list("inputs")),
        outputs=_tensors(fields.nested_list("outputs")),
    )
    fields.close()
    return style


def _transfer(fields: JsonFields, precisions: tuple[str, ...]) -> TransferFile:
    transfer = TransferFile(
        file=check_file_name(fields.text("file")),
        precision=fields.choice("precision", precisions),
        inputs=_tensors(fields.nested_list("inputs")),
        outputs=_tensors(fields.nested_list("outputs")),
    )
    fields.close()
    return transfer


def _optional_transfer(fields: JsonFields | None) -> TransferFile | None:
    return None if fields is None else _transfer(fields, ("int8",))


def _tensors(items: tuple[JsonFields, ...]) -> tuple[TensorSpec, ...]:
    tensors: list[TensorSpec] = []
    for fields in items:
        spec = TensorSpec(name=fields.text("name"), dtype=fields.text("dtype"), shape=fields.dimensions("shape"))
        fields.close()
        tensors.append(spec)
    return tuple(tensors)


def _state(fields: JsonFields) -> StateSpec:
    state = StateSpec(size=fields.integer("size", low=1, high=1 << 22), file=check_file_name(fields.text("file")))
    fields.close()
    return state


def _golden(fields: JsonFields) -> str:
    name = check_file_name(fields.text("file"))
    fields.close()
    return name


def _training(fields: JsonFields) -> TrainingNote:
    training = TrainingNote(
        data=fields.text("data"),
        steps=fields.integer("steps"),
        hours=fields.number("hours", low=0.0),
        seed=fields.integer("seed"),
        host=fields.text("host"),
        note=fields.text("note"),
    )
    fields.close()
    return training


def _metrics(fields: JsonFields) -> Mapping[str, float]:
    return MappingProxyType({name: fields.number(name) for name in fields.names()})


def _files(fields: JsonFields) -> Mapping[str, FileEntry]:
    names = fields.names()
    if len(names) > MAX_FILES:
        raise BundleInvalid(f"expected at most {MAX_FILES} files in a bundle, got {len(names)}", field="files")
    entries: dict[str, FileEntry] = {}
    for name in names:
        entry = fields.nested(check_file_name(name))
        sha256 = entry.text("sha256")
        if not _SHA256.fullmatch(sha256):
            raise BundleInvalid(
                f"files: {name}: expected 64 hexadecimal digits for sha256, got {sha256[:80]!r}", field="files"
            )
        entries[name] = FileEntry(sha256=sha256, n_bytes=entry.integer("bytes", low=1, high=MAX_FILE_BYTES))
        entry.close()
    return MappingProxyType(entries)
