"""OSC's patterns, matched without ever going back.

A pattern is read once, from left to right, with the set of all places of the name that it can have reached so far; the
set is the bits of one number, so each step moves all places at once. So the time is that of the pattern's length times
the name's, whatever the pattern: a regular expression needs seconds for ``*a*a*a*a*a*a*a*b``.

::

    name      b  r  a  s  s             bit j is set: the pattern so far matches the first j characters
    b         .  1  .  .  .  .
    *         .  1  1  1  1  1
    s         .  .  .  .  1  1          the last bit is set at the end: it matches
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

from deepmusic.errors import MalformedMessage

MAX_PART_CHARACTERS = 128
"""Longest part of an address that is taken for a pattern."""

KEPT_NAMES = 1024
"""Names whose places are kept; the least used goes first."""

_SPECIAL = frozenset("?*[]{}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Places:
    """Where the characters of a name stand, as bits."""

    of: dict[str, int]
    """For each character: bit j is set where it is the name's character j."""
    length: int
    """Characters of the name."""

    @property
    def all(self) -> int:
        """Every place, the end included."""
        return (1 << self.length + 1) - 1


_Step = Callable[[int, _Places], int]
"""Takes the places reached so far; gives the places reached next."""


class Pattern:
    """One part of an address: what stands between two slashes. Without special characters it matches itself alone.

    Args:
        text: ``?`` is any character, ``*`` any number of them, ``[a-z]`` one of a set, ``[!a-z]`` one of no set,
            ``{one,two}`` one of several words.

    Raises:
        MalformedMessage: A bracket is not closed, or never opened, or the part is too long.
    """

    def __init__(self, text: str) -> None:
        self._steps: list[_Step] = []
        self._exact = text if _SPECIAL.isdisjoint(text) else None
        if self._exact is not None:
            return
        if len(text) > MAX_PART_CHARACTERS:
            raise MalformedMessage(f"expected a pattern of at most {MAX_PART_CHARACTERS} characters, got more")
        place = 0
        while place < len(text):
            place = self._add_step(text, place)

    def matches(self, name: str) -> bool:
        """Whether it matches the whole name."""
        if self._exact is not None:
            return name == self._exact
        places = _places(name)
        reached = 1
        for step in self._steps:
            reached = step(reached, places)
            if not reached:
                return False
        return bool(reached >> places.length & 1)

    def _add_step(self, text: str, place: int) -> int:
        character = text[place]
        if character == "*":
            self._steps.append(_any_number)
        elif character == "?":
            self._steps.append(_any_one)
        elif character == "[":
            end = _closing("]", text, place)
            self._steps.append(_one_of(text[place + 1 : end]))
            return end + 1
        elif character == "{":
            end = _closing("}", text, place)
            self._steps.append(_one_word_of(tuple(text[place + 1 : end].split(","))))
            return end + 1
        elif character in "]}":
            raise MalformedMessage(f"expected an opening bracket before {character!r}, got none")
        else:
            self._steps.append(_one_word_of((character,)))
        return place + 1


@functools.lru_cache(maxsize=KEPT_NAMES)
def _places(name: str) -> _Places:
    of = dict.fromkeys(name, 0)
    for place, character in enumerate(name):
        of[character] |= 1 << place
    return _Places(of=of, length=len(name))


def _any_number(reached: int, places: _Places) -> int:
    lowest = reached & -reached
    return places.all & -lowest


def _any_one(reached: int, places: _Places) -> int:
    return reached << 1 & places.all


def _one_of(text: str) -> _Step:
    is_negated = text.startswith("!")
    characters = _expanded(text[is_negated:])

    def step(reached: int, places: _Places) -> int:
        allowed = 0
        for character, where in places.of.items():
            if (character in characters) is not is_negated:
                allowed |= where
        return (reached & allowed) << 1

    return step


def _one_word_of(words: tuple[str, ...]) -> _Step:
    def step(reached: int, places: _Places) -> int:
        result = 0
        for word in words:
            behind = reached
            for character in word:
                behind = (behind & places.of.get(character, 0)) << 1
            result |= behind
        return result

    return step


def _expanded(text: str) -> frozenset[str]:
    """The characters of a set; a minus between two of them stands for all between, one at an end for itself."""
    characters: set[str] = set()
    place = 0
    while place < len(text):
        if place + 2 < len(text) and text[place + 1] == "-":
            characters.update(map(chr, range(ord(text[place]), ord(text[place + 2]) + 1)))
            place += 3
        else:
            characters.add(text[place])
            place += 1
    return frozenset(characters)


def _closing(bracket: str, text: str, place: int) -> int:
    end = text.find(bracket, place)
    if end < 0:
        raise MalformedMessage(f"expected a {bracket!r} behind {text[place]!r}, got the part's end")
    return end
