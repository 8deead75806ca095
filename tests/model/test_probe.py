"""The probe: bundles that would harm the process that loads them harm a child instead."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from deepmusic.errors import BundleInvalid
from deepmusic.model.bundle import Bundle
from deepmusic.model.probe import Verdict, examine, probe_bundle
from deepmusic.model.probe_record import ProbeRecord
from tests.support.bundles import (
    custom_bundle,
    failing_bundle,
    int8_bundle,
    nan_bundle,
    passthrough_bundle,
    passthrough_transfer,
)


def _constant(side: int) -> Callable[[onnx.ModelProto], None]:
    """A few bytes that ask for side x side floats as soon as constants are folded."""

    def spoil(model: onnx.ModelProto) -> None:
        model.graph.initializer.append(numpy_helper.from_array(np.int64([side, side]), "constant_shape"))
        model.graph.node[-1].output[0] = "real_state"
        model.graph.node.extend(
            [
                helper.make_node("ConstantOfShape", ["constant_shape"], ["constant"]),
                helper.make_node("ReduceMax", ["constant"], ["constant_max"], keepdims=0),
                helper.make_node("Add", ["real_state", "constant_max"], ["state_out"]),
            ]
        )

    return spoil


def _endless_loop(model: onnx.ModelProto) -> None:
    body = helper.make_graph(
        [helper.make_node("Identity", ["go_on"], ["go_on_out"]), helper.make_node("Sin", ["x"], ["x_out"])],
        "forever",
        [
            helper.make_tensor_value_info("iteration", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go_on_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x_out", TensorProto.FLOAT, None),
        ],
    )
    model.graph.initializer.append(numpy_helper.from_array(np.bool_(True), "yes"))
    model.graph.node[-1].output[0] = "real_state"
    model.graph.node.append(helper.make_node("Loop", ["", "yes", "real_state"], ["state_out"], body=body))


def _bundle(path: Path, spoil: Callable[[onnx.ModelProto], None]) -> Bundle:
    transfer = passthrough_transfer()
    spoil(transfer)
    return Bundle.open(custom_bundle(path, transfer.SerializeToString()))


def test_a_good_bundle_passes(tmp_path: Path) -> None:
    probe_bundle(Bundle.open(int8_bundle(tmp_path / "b")))


def test_a_constant_that_asks_for_terabytes_is_refused_and_the_parent_lives(tmp_path: Path) -> None:
    probe_bundle(_bundle(tmp_path / "small", _constant(8)))
    for side in (1 << 15, 1 << 20):
        with pytest.raises(BundleInvalid, match="was refused") as caught:
            probe_bundle(_bundle(tmp_path / f"b{side}", _constant(side)))
        assert caught.value.resource == "custom"


def test_a_model_that_loops_for_ever_is_ended(tmp_path: Path) -> None:
    bundle = _bundle(tmp_path / "b", _endless_loop)
    started_s = time.monotonic()
    with pytest.raises(BundleInvalid, match="within 3 s"):
        probe_bundle(bundle, timeout_s=3.0)
    assert time.monotonic() - started_s < 30.0


def test_a_child_that_dies_is_a_refusal(tmp_path: Path) -> None:
    bundle = Bundle.open(passthrough_bundle(tmp_path / "b"))
    with pytest.raises(BundleInvalid, match="ended the probing process"):
        probe_bundle(bundle, memory_bytes=1 << 20)


@pytest.mark.parametrize("make", [failing_bundle, nan_bundle])
def test_a_bundle_that_cannot_do_its_first_step_is_refused(make: Callable[[Path], Path], tmp_path: Path) -> None:
    with pytest.raises(BundleInvalid, match="first step"):
        probe_bundle(Bundle.open(make(tmp_path / "b")))


def test_code_beside_a_bundle_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = passthrough_bundle(tmp_path / "b")
    mark = tmp_path / "imported"
    (folder / "numpy.py").write_text(f"open({str(mark)!r}, 'w')")
    monkeypatch.chdir(folder)
    probe_bundle(Bundle.open(folder))
    assert not mark.exists()


def test_the_examination_gives_a_verdict_for_each_fault(tmp_path: Path) -> None:
    good = Bundle.open(int8_bundle(tmp_path / "good"))
    assert examine(good.path, good.digest) is Verdict.ACCEPTED
    assert examine(good.path, "0" * 64) is Verdict.CHANGED
    assert examine(tmp_path / "none", good.digest) is Verdict.REFUSED
    failing = Bundle.open(failing_bundle(tmp_path / "failing"))
    assert examine(failing.path, failing.digest) is Verdict.STEP_FAILED


def test_a_record_lasts_and_belongs_to_one_version_of_the_runtime(tmp_path: Path) -> None:
    path = tmp_path / ".probed"
    ProbeRecord(path, runtime_version="1.0").add("abc")
    assert "abc" in ProbeRecord(path, runtime_version="1.0")
    assert "abd" not in ProbeRecord(path, runtime_version="1.0")
    assert "abc" not in ProbeRecord(path, runtime_version="1.1")


@pytest.mark.parametrize("content", [b"\xff\xfe", bytes(2 << 20)], ids=["no text", "too long"])
def test_a_damaged_record_counts_as_empty(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / ".probed"
    path.write_bytes(content)
    assert "abc" not in ProbeRecord(path, runtime_version="1.0")


def test_a_record_that_cannot_be_written_lasts_as_long_as_the_process(tmp_path: Path) -> None:
    record = ProbeRecord(tmp_path / "no" / "folder", runtime_version="1.0")
    record.add("abc")
    assert "abc" in record
    assert not any(tmp_path.iterdir())
