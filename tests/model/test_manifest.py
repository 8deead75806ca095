"""The manifest: what it accepts, and how it refuses everything else."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepmusic.errors import BundleInvalid
from deepmusic.model.manifest import (
    MAX_FILE_BYTES,
    BundleKind,
    TensorSpec,
    check_bundle_name,
    check_file_name,
)
from deepmusic.model.manifest_json import parse_manifest, tensor_fields
from tests.support.bundles import N_BANDS, manifest_fields

_FILES = ("transfer.onnx", "style_encoder.onnx", "initial_state.npy", "golden.npz")


def _fields() -> dict[str, Any]:
    entries = {name: {"sha256": "0" * 64, "bytes": 10} for name in _FILES}
    return {**manifest_fields(), "files": entries}


def _parse(fields: dict[str, Any]) -> Any:
    return parse_manifest(json.dumps(fields).encode())


def test_a_whole_manifest_is_read() -> None:
    manifest = _parse(_fields())
    assert manifest.name == "passthrough"
    assert manifest.kind is BundleKind.STREAM
    assert manifest.features.n_bands == N_BANDS
    assert manifest.transfer_int8 is None
    assert manifest.files["golden.npz"].n_bytes == 10
    assert manifest.statistics_time_constant_s == 1.5


def test_tensors_survive_the_way_to_json_and_back() -> None:
    manifest = _parse(_fields())
    assert tensor_fields(manifest.transfer.inputs) == manifest_fields()["transfer"]["inputs"]
    assert manifest.transfer.inputs[0] == TensorSpec(name="bands", dtype="float32", shape=("sessions", 4, 3, N_BANDS))


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if not isinstance(value, dict):
        return []
    found = [path]
    for key, child in value.items():
        if key not in ("metrics", "files"):
            found += _paths(child, (*path, key))
    return found


def _at(fields: dict[str, Any], path: tuple[Any, ...]) -> dict[str, Any]:
    for key in path:
        fields = fields[key]
    return fields


def test_a_segment_says_how_late_its_gains_are() -> None:
    manifest = _parse({**_fields(), "kind": "segment", "segment": {"look_ahead_frames": 3}})
    assert manifest.look_ahead_frames == 3
    assert _parse(_fields()).look_ahead_frames == 0


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"kind": "segment"}, "expected an object for the kind segment"),
        ({"segment": {"look_ahead_frames": 3}}, "expected none for the kind stream"),
        ({"kind": "segment", "segment": {"look_ahead_frames": 4}}, "below the 4 frames of a step"),
        ({"kind": "segment", "segment": {"look_ahead_frames": 0}}, "from 1 to 512"),
        ({"kind": "segment", "segment": {}}, "look_ahead_frames"),
        ({"kind": "segment", "segment": {"look_ahead_frames": 3, "overlap": 1}}, "unknown key 'overlap'"),
    ],
)
def test_a_segment_that_does_not_fit_its_kind_or_its_step_is_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(BundleInvalid, match=message):
        _parse({**_fields(), **changed})


@pytest.mark.parametrize("path", _paths(_fields()), ids=str)
def test_an_unknown_key_anywhere_is_refused_and_valid_ones_are_named(path: tuple[Any, ...]) -> None:
    fields = _fields()
    here = _at(fields, path)
    valid = next(iter(here))
    here["colour"] = "blue"
    with pytest.raises(BundleInvalid, match=rf"unknown key 'colour'; valid keys are .*{valid}"):
        _parse(fields)


@pytest.mark.parametrize(
    ("path", "key"), [(path, key) for path in _paths(_fields()) for key in _at(_fields(), path)], ids=str
)
def test_a_missing_key_is_refused_by_name(path: tuple[Any, ...], key: str) -> None:
    fields = _fields()
    del _at(fields, path)[key]
    if key == "transfer_int8":
        assert _parse(fields).transfer_int8 is None
        return
    with pytest.raises(BundleInvalid, match=key):
        _parse(fields)


@pytest.mark.parametrize(
    ("path", "key"), [(path, key) for path in _paths(_fields()) for key in _at(_fields(), path)], ids=str
)
@pytest.mark.parametrize("value", [True, 1e400, [1], {"a": 1}, ""], ids=repr)
def test_a_value_of_the_wrong_type_is_refused(path: tuple[Any, ...], key: str, value: Any) -> None:
    fields = _fields()
    if key == "metrics" and isinstance(value, dict):
        return
    _at(fields, path)[key] = value
    with pytest.raises(BundleInvalid):
        _parse(fields)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("format",), 2, "format"),
        (("name",), "../live", "bundle name"),
        (("name",), "x" * 65, "bundle name"),
        (("name",), "Ünicode", "bundle name"),
        (("kind",), "batch", "one of stream, segment"),
        (
            (
                "features",
                "high_hz",
            ),
            20.0,
            "high_hz",
        ),
        (
            (
                "features",
                "n_bands",
            ),
            1 << 20,
            "n_bands",
        ),
        (
            (
                "features",
                "scale",
            ),
            "bark",
            "mel-htk",
        ),
        (
            (
                "features",
                "excitations",
            ),
            ["content"],
            "excitations",
        ),
        (
            (
                "features",
                "step_frames",
            ),
            8,
            "expected tensors",
        ),
        (
            (
                "state",
                "size",
            ),
            17,
            "expected tensors",
        ),
        (
            (
                "style",
                "size",
            ),
            9,
            "expected tensors",
        ),
        (
            (
                "style",
                "file",
            ),
            "/etc/passwd",
            "plain file name",
        ),
        (
            (
                "style",
                "file",
            ),
            "../x.onnx",
            "plain file name",
        ),
        (
            (
                "style",
                "file",
            ),
            "..\\x.onnx",
            "plain file name",
        ),
        (
            (
                "style",
                "file",
            ),
            ".hidden",
            "plain file name",
        ),
        (
            (
                "style",
                "file",
            ),
            "manifest.json",
            "plain file name",
        ),
        (
            (
                "transfer",
                "precision",
            ),
            "int8",
            "float32, float16",
        ),
        (
            (
                "transfer",
                "file",
            ),
            "other.onnx",
            "an entry for 'other.onnx'",
        ),
        (
            (
                "transfer",
                "inputs",
                0,
                "dtype",
            ),
            "float16",
            "expected tensors",
        ),
        (
            (
                "files",
                "spare.bin",
            ),
            {"sha256": "0" * 64, "bytes": 1},
            "used by nothing",
        ),
        (
            (
                "files",
                "golden.npz",
            ),
            {"sha256": "0" * 63, "bytes": 1},
            "hexadecimal",
        ),
        (
            (
                "files",
                "golden.npz",
            ),
            {"sha256": "0" * 64, "bytes": MAX_FILE_BYTES + 1},
            "bytes",
        ),
        (
            (
                "files",
                "golden.npz",
            ),
            {"sha256": "0" * 64, "bytes": 0},
            "bytes",
        ),
        (
            (
                "metrics",
                "lsd_db",
            ),
            "good",
            "lsd_db",
        ),
    ],
)
def test_parts_out_of_range_or_at_odds_are_refused(path: tuple[Any, ...], value: Any, message: str) -> None:
    fields = copy.deepcopy(_fields())
    _at(fields, path[:-1])[path[-1]] = value
    with pytest.raises(BundleInvalid, match=message):
        _parse(fields)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00\xff\xfe",
        b"[]",
        b"null",
        b'{"format": 1, "format": 1}',
        b'{"format": NaN}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b" " * (2 << 20),
    ],
    ids=["empty", "not utf-8", "list", "null", "twice", "nan", "deep list", "deep object", "too long"],
)
def test_bytes_that_are_no_manifest_are_refused(data: bytes) -> None:
    with pytest.raises(BundleInvalid):
        parse_manifest(data)


def test_too_many_files_are_refused() -> None:
    fields = _fields()
    fields["files"] |= {f"f{i}": {"sha256": "0" * 64, "bytes": 1} for i in range(40)}
    with pytest.raises(BundleInvalid, match="at most 32 files"):
        _parse(fields)


@settings(max_examples=50, deadline=None)
@given(data=st.binary(max_size=200))
def test_random_bytes_raise_nothing_but_bundle_invalid(data: bytes) -> None:
    with pytest.raises(BundleInvalid):
        parse_manifest(data)


@settings(max_examples=100, deadline=None)
@given(name=st.text(max_size=30))
def test_an_accepted_file_name_stays_inside_its_folder(name: str) -> None:
    try:
        check_file_name(name)
    except BundleInvalid:
        return
    assert not set(name) & set("/\\:\0")
    assert name not in (".", "..")


def test_bundle_names_are_lower_case_words() -> None:
    assert check_bundle_name("live-2_b") == "live-2_b"
    with pytest.raises(BundleInvalid):
        check_bundle_name("")
