"""A look at an ONNX file before anything loads it: refuses external data, custom operators and excessive graphs.

It walks the protobuf wire format (varint keys, length-delimited submessages) of onnx.proto3's ModelProto and descends
only where tensors and nodes can hide; weights are stepped over, so that a file of 30 MB takes milliseconds. The walk
needs no protobuf schema and therefore no `onnx` package in the runtime.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from deepmusic.errors import BundleInvalid

#: Operators come from these domains only: the standard ones, and ONNX Runtime's own for quantised layers. What a model
#: merely imports is not looked at: ONNX Runtime's tools list every domain that they know.
ALLOWED_DOMAINS: Final = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
#: The largest transfer model of ours has some hundred nodes.
MAX_NODES: Final = 20_000
#: Loop and If bodies nest; ours do not nest at all.
MAX_DEPTH: Final = 8
#: Elements of one weight, whatever its type; 64 MiB of int8.
MAX_ELEMENTS: Final = 64 << 20

#: Field numbers of onnx.proto3: for each message, the fields to descend into and the message they hold.
_CHILDREN: Final[dict[str, dict[int, str]]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute", 7: "domain"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_REFUSED: Final = {"training": "training information", "function": "functions of its own"}
_TENSOR_DIMS: Final = 1
_TENSOR_EXTERNAL_DATA: Final = 13
_TENSOR_DATA_LOCATION: Final = 14
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def check_onnx(data: bytes, *, file: str) -> None:
    """Refuses an ONNX file that a bundle must not hold.

    Args:
        data: the file.
        file: its name, for messages.

    Raises:
        BundleInvalid: it is no ONNX model, keeps weights in other files, needs operators from elsewhere, defines
            functions, or is larger, deeper or wider than any bundle of ours.
    """
    view = memoryview(data)
    stack: list[tuple[str, int, int, int]] = [("model", 0, len(view), 0)]
    n_nodes = 0
    has_graph = False
    while stack:
        message, start, end, depth = stack.pop()
        n_nodes += message == "node"
        has_graph = has_graph or message == "graph"
        if n_nodes > MAX_NODES or depth > MAX_DEPTH * 3:
            raise BundleInvalid(
                f"{file}: expected at most {MAX_NODES} nodes and {MAX_DEPTH} levels, got more", field=file
            )
        try:
            if message == "domain":
                _check_domain(bytes(view[start : min(end, start + 100)]), file)
            elif message == "tensor":
                _check_tensor(view, start, end, file)
            else:
                stack.extend(_children(view, message, start, end, depth, file))
        except (IndexError, _MalformedError):
            raise BundleInvalid(
                f"{file}: expected an ONNX model, got bytes that are none; export again", field=file
            ) from None
    if not has_graph:
        raise BundleInvalid(f"{file}: expected an ONNX model, got a file without a graph; export again", field=file)


class _MalformedError(Exception):
    """The bytes break the wire format."""


def _children(
    view: memoryview, message: str, start: int, end: int, depth: int, file: str
) -> Iterator[tuple[str, int, int, int]]:
    wanted = _CHILDREN[message]
    for number, wire, low, high in _fields(view, start, end):
        child = wanted.get(number)
        if child is None:
            continue
        if wire != _BYTES:
            raise _MalformedError
        if child in _REFUSED:
            raise BundleInvalid(
                f"{file}: expected a plain graph, got {_REFUSED[child]}; export without them", field=file
            )
        yield child, low, high, depth + 1


def _check_domain(domain: bytes, file: str) -> None:
    name = domain.decode("utf-8", "replace")
    if name not in ALLOWED_DOMAINS:
        raise BundleInvalid(f"{file}: operators of domain {name!r} are not known here; use standard ones", field=file)


def _check_tensor(view: memoryview, start: int, end: int, file: str) -> None:
    n_elements = 1
    for number, wire, low, high in _fields(view, start, end):
        if number == _TENSOR_EXTERNAL_DATA or (number == _TENSOR_DATA_LOCATION and wire == _VARINT and low != 0):
            raise BundleInvalid(
                f"{file}: weights must lie in the file itself, got external data; export again", field=file
            )
        if number == _TENSOR_DIMS:
            n_elements *= low if wire == _VARINT else _product(view, low, high)
            if n_elements > MAX_ELEMENTS:
                raise BundleInvalid(
                    f"{file}: expected weights of at most {MAX_ELEMENTS} elements, got more", field=file
                )


def _product(view: memoryview, start: int, end: int) -> int:
    product = 1
    while start < end:
        value, start = _varint(view, start, end)
        product *= value
        if product > MAX_ELEMENTS:
            return product
    return product


def _fields(view: memoryview, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yields (field number, wire type, low, high): the bytes low .. high, or for a varint its value and 0."""
    while start < end:
        key, start = _varint(view, start, end)
        number, wire = key >> 3, key & 7
        if number == 0:
            raise _MalformedError
        if wire == _VARINT:
            value, start = _varint(view, start, end)
            yield number, wire, value, 0
            continue
        if wire == _BYTES:
            length, start = _varint(view, start, end)
        elif wire in (_FIXED64, _FIXED32):
            length = 8 if wire == _FIXED64 else 4
        else:
            raise _MalformedError
        if start + length > end:
            raise _MalformedError
        yield number, wire, start, start + length
        start += length


def _varint(view: memoryview, start: int, end: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if start >= end:
            raise _MalformedError
        byte = view[start]
        start += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, start
    raise _MalformedError
