"""Strict reading of JSON: every key is asked for once, and the keys that nobody asked for are refused."""

from __future__ import annotations

import json
import math
from typing import Any, Final, NoReturn, cast

from deepmusic.errors import BundleInvalid

#: A manifest is a page of text; more than this is not one.
MAX_JSON_BYTES: Final = 1 << 20


def load_object(data: bytes, *, where: str) -> JsonFields:
    """Parses one JSON object, refusing repeated keys, NaN and nesting that exhausts the parser.

    Args:
        data: UTF-8 text.
        where: what this is, for messages, such as ``"manifest.json"``.

    Raises:
        BundleInvalid: the bytes are not one JSON object.
    """
    if len(data) > MAX_JSON_BYTES:
        raise BundleInvalid(
            f"expected {where} of at most {MAX_JSON_BYTES} bytes, got {len(data)}; export the bundle again"
        )
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_unrepeated, parse_constant=_no_constant)
    except RecursionError:
        raise BundleInvalid(f"{where} is nested too deeply; export the bundle again") from None
    except ValueError as error:
        raise BundleInvalid(f"expected JSON in {where}, got something else; export the bundle again") from error
    if not isinstance(value, dict):
        raise BundleInvalid(f"expected a JSON object in {where}, got {_kind(value)}; export the bundle again")
    return JsonFields(cast("dict[str, Any]", value), where=where)


class JsonFields:
    """One JSON object whose members are taken out by name and type; `close` refuses what is left."""

    def __init__(self, members: dict[str, Any], *, where: str) -> None:
        self._members = members
        self._asked: list[str] = []
        self._where = where

    def text(self, name: str) -> str:
        """A string member, not empty."""
        value = self._take(name)
        if not isinstance(value, str) or not value:
            self._refuse(name, "a string that is not empty", value)
        return value

    def integer(self, name: str, *, low: int = 0, high: int = 2**53) -> int:
        """A whole number from `low` to `high`."""
        value = self._take(name)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            self._refuse(name, f"a whole number from {low} to {high}", value)
        return value

    def number(self, name: str, *, low: float = -math.inf, high: float = math.inf) -> float:
        """A finite number from `low` to `high`."""
        value = self._take(name)
        if not _is_finite_number(value) or not low <= value <= high:
            self._refuse(name, f"a finite number from {low:g} to {high:g}", value)
        return float(value)

    def choice(self, name: str, allowed: tuple[str, ...]) -> str:
        """A string out of `allowed`."""
        value = self._take(name)
        if value not in allowed:
            self._refuse(name, "one of " + ", ".join(allowed), value)
        return cast("str", value)

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of strings."""
        value = self._list(name)
        if not all(isinstance(item, str) for item in value):
            self._refuse(name, "a list of strings", value)
        return tuple(value)

    def dimensions(self, name: str) -> tuple[int | str, ...]:
        """A tensor's shape: positive whole numbers, and names for the axes that vary."""
        value = self._list(name)
        for item in value:
            is_size = isinstance(item, int) and not isinstance(item, bool) and item > 0
            if not is_size and not (isinstance(item, str) and item):
                self._refuse(name, "a list of positive whole numbers and axis names", value)
        return tuple(value)

    def nested(self, name: str) -> JsonFields:
        """A nested object."""
        value = self._take(name)
        if not isinstance(value, dict):
            self._refuse(name, "an object", value)
        return JsonFields(cast("dict[str, Any]", value), where=f"{self._where}: {name}")

    def optional_nested(self, name: str) -> JsonFields | None:
        """A nested object, or None where the member is null or absent."""
        if self._members.get(name) is None:
            self._asked.append(name)
            return None
        return self.nested(name)

    def nested_list(self, name: str) -> tuple[JsonFields, ...]:
        """A list of objects."""
        value = self._list(name)
        if not all(isinstance(item, dict) for item in value):
            self._refuse(name, "a list of objects", value)
        return tuple(JsonFields(item, where=f"{self._where}: {name}[{i}]") for i, item in enumerate(value))

    def names(self) -> tuple[str, ...]:
        """The names of all members, for objects whose keys are data."""
        return tuple(self._members)

    def close(self) -> None:
        """Refuses the members that nobody asked for, and names the ones that exist.

        Raises:
            BundleInvalid: there is an unknown member.
        """
        unknown = [name for name in self._members if name not in self._asked]
        if unknown:
            valid = ", ".join(self._asked)
            raise BundleInvalid(
                f"{self._where}: unknown key {_short(unknown[0])}; valid keys are {valid}", field=unknown[0][:64]
            )

    def _take(self, name: str) -> Any:
        self._asked.append(name)
        if name not in self._members:
            raise BundleInvalid(
                f"{self._where}: expected a key {name!r}, got none; export the bundle again", field=name
            )
        return self._members[name]

    def _list(self, name: str) -> list[Any]:
        value = self._take(name)
        if not isinstance(value, list):
            self._refuse(name, "a list", value)
        return cast("list[Any]", value)

    def _refuse(self, name: str, expected: str, value: object) -> NoReturn:
        raise BundleInvalid(f"{self._where}: {name}: expected {expected}, got {_short(value)}", field=name)


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return members


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _is_finite_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 1e300


def _kind(value: object) -> str:
    return "null" if value is None else f"a JSON {type(value).__name__}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
