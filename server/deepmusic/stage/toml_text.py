"""TOML that people write by hand, in whatever editor they have: read, or the place of the mistake said."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from typing import Any, cast

from deepmusic.errors import BadConfig

_BYTE_ORDER_MARK = "\ufeff"
_PLACE = re.compile(r"at line (\d+), column (\d+)")
_LARGEST_INTEGER = 2**63 - 1
"""TOML 1.0: integers have 64 bits."""


def decoded(data: bytes) -> str:
    """The text of a file; the mark that Windows' editors put before it does no harm.

    Raises:
        BadConfig: It is no UTF-8; the message says in which line.
    """
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = 1 + data.count(b"\n", 0, error.start)
        raise BadConfig(f"expected text in UTF-8, got something else in line {line}; save it as UTF-8") from error


def parsed(text: str, *, what: str, example: str) -> dict[str, Any]:
    """The table that a text is.

    Args:
        text: All of it.
        what: It should be, for the message: "a set in TOML".
        example: A line of such a text.

    Raises:
        BadConfig: It is no TOML; the message says where, as far as that can be told.
    """
    try:
        table = tomllib.loads(text.removeprefix(_BYTE_ORDER_MARK))
        _check_integers(table.values())
    except (ValueError, RecursionError) as error:  # a number of thousands of digits; brackets in brackets in ...
        raise BadConfig(f"expected {what}, got something else{_where(error)}; write lines such as {example}") from error
    return table


def _where(error: Exception) -> str:
    """The place of a mistake: Python's own parser says it nowhere but in its message."""
    if not isinstance(error, tomllib.TOMLDecodeError):
        return ""
    place = _PLACE.search(str(error))
    return f" in line {place[1]}, column {place[2]}" if place else " at the end of the file"


def _check_integers(values: Iterable[object]) -> None:
    for value in values:
        if isinstance(value, dict):
            _check_integers(cast("dict[str, object]", value).values())
        elif isinstance(value, list):
            _check_integers(cast("list[object]", value))
        elif isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
            raise ValueError
