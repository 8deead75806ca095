"""The scan of ONNX files before they are loaded."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from deepmusic.errors import BundleInvalid
from deepmusic.model.onnx_scan import MAX_NODES, check_onnx
from tests.support.bundles import passthrough_transfer


def _check(model: onnx.ModelProto) -> None:
    check_onnx(model.SerializeToString(), file="transfer.onnx")


def test_a_plain_model_passes() -> None:
    _check(passthrough_transfer())


def test_a_domain_that_is_only_imported_is_no_reason_to_refuse() -> None:
    model = passthrough_transfer()
    model.opset_import.append(helper.make_opsetid("com.microsoft.experimental", 1))
    _check(model)


@pytest.mark.parametrize("location", ["weights.bin", "../weights.bin", "/etc/passwd"])
def test_external_data_is_refused_wherever_it_lies(location: str) -> None:
    model = passthrough_transfer()
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    tensor.ClearField("raw_data")
    with pytest.raises(BundleInvalid, match="external data"):
        _check(model)


def test_external_data_is_found_inside_nodes_and_their_graphs() -> None:
    tensor = helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])
    tensor.external_data.add(key="location", value="../x")
    constant = helper.make_node("Constant", [], ["c"], value=tensor)
    body = helper.make_graph([constant], "body", [], [])
    model = passthrough_transfer()
    model.graph.node.append(helper.make_node("If", ["x"], ["y"], then_branch=body, else_branch=body))
    with pytest.raises(BundleInvalid, match="external data"):
        _check(model)


def _with_custom_operator(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Evil", ["state"], ["z"], domain="evil.example"))


def _with_function(model: onnx.ModelProto) -> None:
    node = helper.make_node("Identity", ["a"], ["b"])
    opset = [helper.make_opsetid("", 17)]
    model.functions.append(helper.make_function("local", "f", ["a"], ["b"], [node], opset))


def _with_training_information(model: onnx.ModelProto) -> None:
    model.training_info.add()


def _with_too_many_nodes(model: onnx.ModelProto) -> None:
    model.graph.node.extend([helper.make_node("Identity", ["state"], ["z"])] * (MAX_NODES + 1))


def _with_a_huge_weight(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[:] = [1 << 31, 1 << 31]


def _with_negative_dims(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[:] = [-1]


def _with_deep_graphs(model: onnx.ModelProto) -> None:
    graph = helper.make_graph([], "leaf", [], [])
    for _ in range(20):
        node = helper.make_node("If", ["x"], ["y"], then_branch=graph)
        graph = helper.make_graph([node], "g", [], [])
    model.graph.node.append(helper.make_node("If", ["x"], ["y"], then_branch=graph))


@pytest.mark.parametrize(
    "spoil",
    [
        _with_custom_operator,
        _with_function,
        _with_training_information,
        _with_too_many_nodes,
        _with_a_huge_weight,
        _with_negative_dims,
        _with_deep_graphs,
    ],
)
def test_what_no_bundle_needs_is_refused(spoil: Callable[[onnx.ModelProto], None]) -> None:
    model = passthrough_transfer()
    spoil(model)
    with pytest.raises(BundleInvalid):
        _check(model)


def _packed(*values: int) -> bytes:
    """A TensorProto whose dims are one packed field, as protobuf writes repeated numbers in proto3."""
    dims = b"".join(_varint(value) for value in values)
    return b"\x0a" + _varint(len(dims)) + dims


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def _graph_with_tensor(tensor: bytes) -> bytes:
    graph = b"\x2a" + _varint(len(tensor)) + tensor
    return b"\x3a" + _varint(len(graph)) + graph


def test_the_size_of_a_weight_is_found_in_packed_dims_too() -> None:
    check_onnx(_graph_with_tensor(_packed(3, 4)), file="x.onnx")
    with pytest.raises(BundleInvalid, match="elements"):
        check_onnx(_graph_with_tensor(_packed(1 << 31, 1 << 31, 1 << 31)), file="x.onnx")


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=300))
def test_random_bytes_raise_nothing_but_bundle_invalid(data: bytes) -> None:
    with contextlib.suppress(BundleInvalid):
        check_onnx(data, file="x.onnx")


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_model_cut_or_changed_anywhere_raises_nothing_but_bundle_invalid(data: st.DataObject) -> None:
    whole = passthrough_transfer().SerializeToString()
    position = data.draw(st.integers(0, len(whole) - 1))
    changed = bytearray(whole)
    changed[position] ^= data.draw(st.integers(1, 255))
    for candidate in (bytes(changed), whole[:position]):
        with contextlib.suppress(BundleInvalid):
            check_onnx(candidate, file="x.onnx")
