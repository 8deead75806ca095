"""Patterns: what OSC 1.0 says, against a regular expression on small ones, and in linear time on evil ones."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepmusic.errors import MalformedMessage
from deepmusic.transports.osc.pattern import MAX_PART_CHARACTERS, Pattern

LONGEST_MATCH_S = 0.002


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("mix", ["mix"], ["", "mi", "mixx"]),
        ("m?x", ["mix", "max"], ["mx", "miix"]),
        ("*", ["", "mix"], []),
        ("*_hz", ["low_hz", "_hz"], ["low_h", "low_hz2"]),
        ("{input,output}_gain_db", ["input_gain_db", "output_gain_db"], ["_gain_db"]),
        ("{a,ab,}c", ["ac", "abc", "c"], ["bc"]),
        ("[a-c]x", ["ax", "cx"], ["dx", "-x"]),
        ("[!a-c]x", ["dx", "!x"], ["ax", "x"]),
        ("[a-]x", ["ax", "-x"], ["bx"]),
        ("[]x", [], ["x", "ax"]),
        ("**?*", ["a", "ab"], [""]),
        ("stream-*[0-9]", ["stream-1", "stream-ab12"], ["stream-", "stream-1a"]),
    ],
)
def test_a_pattern_matches_what_it_says_and_nothing_else(pattern: str, matching: list[str], others: list[str]):
    matcher = Pattern(pattern)
    assert [name for name in matching + others if matcher.matches(name)] == matching


@pytest.mark.parametrize("broken", ["[ab", "{a,b", "a]", "b}", "[", "*" * (MAX_PART_CHARACTERS + 1)])
def test_a_broken_pattern_is_refused(broken: str):
    with pytest.raises(MalformedMessage):
        Pattern(broken)


pieces = st.one_of(
    st.sampled_from(["a", "b", "c", "?", "*", "[ab]", "[!a]", "[a-c]", "{a,bc}", "{ab,a,c}", "{,b}"]),
)


def expression(parts: list[str]) -> str:
    table = {"?": ".", "*": ".*", "{a,bc}": "(a|bc)", "{ab,a,c}": "(ab|a|c)", "{,b}": "(|b)", "[!a]": "[^a]"}
    return "".join(table.get(part, part) for part in parts)


@given(st.lists(pieces, max_size=7), st.lists(st.text("abcd", max_size=8), min_size=1, max_size=20))
def test_small_patterns_match_as_a_regular_expression_does(parts: list[str], names: list[str]):
    matcher, oracle = Pattern("".join(parts)), re.compile(expression(parts))
    for name in names:
        assert matcher.matches(name) is bool(oracle.fullmatch(name))


@pytest.mark.parametrize(
    "evil",
    [
        "*" * 20,
        "*a" * 60 + "b",
        "*" * MAX_PART_CHARACTERS,
        "?*" * 60 + "b",
        "{a,aa,aaa}" * 12 + "b",
        "*[a-z]" * 20 + "b",
    ],
)
def test_no_pattern_takes_long(evil: str):
    name = "a" * 64
    seconds: list[float] = []
    for _ in range(10):  # the best of a few: the cores are shared
        start_s = time.thread_time()
        Pattern(evil).matches(name)
        seconds.append(time.thread_time() - start_s)
    assert min(seconds) < LONGEST_MATCH_S
