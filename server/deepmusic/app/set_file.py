"""A set from its file."""

from __future__ import annotations

from pathlib import Path

from deepmusic.errors import BadConfig
from deepmusic.stage.set_list import SetList, parse_set
from deepmusic.stage.toml_text import decoded

MAX_SET_BYTES = 256 * 1024
"""Largest file: 500 cues with a blend each have less."""


def read_set(name: str) -> SetList:
    """The set of a TOML file; an empty one, which has a beat alone, where none is named.

    Raises:
        BadConfig: It cannot be read, or is no set; the message names the file and the mistake.
    """
    if not name:
        return SetList()
    path = Path(name)
    try:
        with path.open("rb") as file:
            text = file.read(MAX_SET_BYTES + 1)
    except OSError as error:
        raise BadConfig(f"expected a set at {path}, could not read one; mend --set", field="set_list") from error
    if len(text) > MAX_SET_BYTES:
        raise BadConfig(
            f"expected {path} to have at most {MAX_SET_BYTES} bytes, got more; is it the right file?", field="set_list"
        )
    try:
        return parse_set(decoded(text))
    except BadConfig as error:
        raise BadConfig(f"{path}: {error.message}", field=error.field) from error
