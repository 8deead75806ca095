"""Receipts as lines of JSON, and back; a line that is not one of ours is refused.

::

    {"is": "receipt", "format": 1, "stream": "guitar", ...}
    {"is": "changed", "position": 96000, "name": "mix", "value": 0.5, "at_sample": null, "ramp_samples": 960}

Style vectors are their float32 bytes, little endian, in base64: the very numbers.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np

from deepmusic.errors import DeepmusicError, RequestError
from deepmusic.model.arrays import FloatArray, float_bytes, floats_from_bytes
from deepmusic.model.style_share import StyleShare
from deepmusic.model.style_vector import StyleVector
from deepmusic.session.config import Setting
from deepmusic.session.statistics import Statistics
from deepmusic.stage.receipt import (
    RECEIPT_FORMAT,
    Answered,
    Changed,
    Circumstances,
    Ended,
    Entry,
    Finished,
    Flushed,
    Gap,
    Mark,
    Missed,
    Receipt,
    Restyled,
)

_ENTRIES: dict[str, type[Any]] = {
    entry.__name__.lower(): entry
    for entry in (Changed, Restyled, Gap, Flushed, Finished, Missed, Answered, Mark, Ended)
}

_T = TypeVar("_T")


def write_receipt(receipt: Receipt) -> str:
    """The first line, without its end."""
    return json.dumps({"is": "receipt", "format": RECEIPT_FORMAT, **_members(receipt)})


def write_entry(entry: Entry) -> str:
    """A further line, without its end."""
    return json.dumps({"is": type(entry).__name__.lower(), **_members(entry)})


def read_receipt(line: str) -> Receipt:
    """The first line.

    Raises:
        RequestError: It is none.
    """
    members = _object(line)
    if members.pop("is", None) != "receipt" or members.pop("format", None) != RECEIPT_FORMAT:
        raise _unfit(f"a receipt of format {RECEIPT_FORMAT} in the first line")
    return _built(Receipt, {"statistics": None} | members)  # the first receipts knew of none


def read_entry(line: str) -> Entry:
    """A further line.

    Raises:
        RequestError: It is none.
    """
    members = _object(line)
    kind = members.pop("is", None)
    if not isinstance(kind, str) or kind not in _ENTRIES:
        raise _unfit(f"a line that is {', '.join(_ENTRIES)}")
    return _built(_ENTRIES[kind], members)


def _members(of: Any) -> dict[str, Any]:
    return {field.name: _written(getattr(of, field.name)) for field in dataclasses.fields(of)}


def _written(value: object) -> object:
    if isinstance(value, StyleVector):
        parts = [[share.name, share.weight] for share in value.shares]
        values = _written(value.values)
        return {"name": value.name, "bundle_digest": value.bundle_digest, "shares": parts, "values": values}
    if isinstance(value, Statistics | Circumstances):
        return _members(value)
    if isinstance(value, np.ndarray):
        return base64.b64encode(float_bytes(cast("FloatArray", value))).decode()
    if isinstance(value, tuple):
        return {setting.name: setting.value for setting in cast("tuple[Setting, ...]", value)}
    return value


def _built(kind: type[_T], members: dict[str, Any]) -> _T:
    """An object of a kind, each member of the type that its annotation says."""
    fields = {field.name: str(field.type) for field in dataclasses.fields(cast("Any", kind))}
    if set(members) != set(fields):
        raise _unfit(f"the keys {', '.join(fields)} in {kind.__name__.lower()}")
    try:
        return kind(**{name: _READ[fields[name]](value) for name, value in members.items()})
    except (DeepmusicError, ValueError, TypeError, KeyError, binascii.Error) as error:
        raise _unfit(f"other values in {kind.__name__.lower()}") from error


def _style(value: Any) -> StyleVector:
    shares = tuple(StyleShare(name=_text(name), weight=_number(weight)) for name, weight in value["shares"])
    return StyleVector(
        values=_floats(value["values"]),
        bundle_digest=_text(value["bundle_digest"]),
        name=_text(value["name"]),
        shares=shares,
    )


def _statistics(value: Any) -> Statistics | None:
    if value is None:
        return None
    return Statistics(
        bundle_digest=_text(value["bundle_digest"]),
        values=_floats(value["values"]),
        content_power=_number(value["content_power"]),
        wet_power=_number(value["wet_power"]),
    )


def _floats(value: Any) -> FloatArray:
    return floats_from_bytes(base64.b64decode(value, validate=True))


def _settings(value: Any) -> tuple[Setting, ...]:
    return tuple(Setting(name=name, value=_number(number)) for name, number in value.items())


def _circumstances(value: Any) -> Circumstances:
    return _built(Circumstances, value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return float(value)


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise TypeError
    return value


def _whole_or_none(value: Any) -> int | None:
    return None if value is None else _whole(value)


def _switch(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


_READ: dict[str, Callable[[Any], object]] = {
    "str": _text,
    "float": _number,
    "int": _whole,
    "int | None": _whole_or_none,
    "bool": _switch,
    "StyleVector": _style,
    "Statistics | None": _statistics,
    "Circumstances": _circumstances,
    "tuple[Setting, ...]": _settings,
}
"""By annotation."""


def _object(line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _unfit("JSON in each line") from error
    if not isinstance(value, dict):
        raise _unfit("an object in each line")
    return cast("dict[str, Any]", value)


def _unfit(wanted: str) -> RequestError:
    return RequestError(f"expected {wanted} of the receipt, got something else; is it one of deepmusic's?")
