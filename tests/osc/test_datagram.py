"""The guard: every trap is refused, everything sound passes, and python-osc agrees about what passed."""

from __future__ import annotations

import contextlib
import struct
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pythonosc.osc_bundle import OscBundle
from pythonosc.osc_bundle_builder import OscBundleBuilder
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder, build_msg

from deepmusic.errors import MalformedMessage
from deepmusic.transports.osc.codec import decode
from deepmusic.transports.osc.datagram import (
    IMMEDIATELY,
    MAX_ADDRESS_BYTES,
    MAX_ARGUMENTS,
    MAX_DATAGRAM_BYTES,
    MAX_DEPTH,
    MAX_MESSAGES,
    messages_of,
)

STRENGTH = build_msg("/deepmusic/strength", 0.5).dgram
LONGEST_CHECK_S = 0.005


def bundle(*elements: bytes, time_tag: int = IMMEDIATELY) -> bytes:
    sized = b"".join(struct.pack(">i", len(element)) + element for element in elements)
    return b"#bundle\0" + struct.pack(">Q", time_tag) + sized


def nested(depth: int) -> bytes:
    inner = STRENGTH
    for _ in range(depth):
        inner = bundle(inner)
    return inner


def padded(text: bytes) -> bytes:
    return text + b"\0" * (4 - len(text) % 4)


def message(types: bytes, *arguments: bytes, address: bytes = b"/deepmusic/strength") -> bytes:
    return padded(address) + padded(types) + b"".join(arguments)


TRAPS = {
    "an element of size -4": b"#bundle\0" + struct.pack(">Qi", 1, -4),
    "an element of size 0": b"#bundle\0" + struct.pack(">Qi", 1, 0),
    "an element longer than the bundle": b"#bundle\0" + struct.pack(">Qi", 1, 400) + STRENGTH,
    "an element of size 2**31 - 1": b"#bundle\0" + struct.pack(">Qi", 1, 2**31 - 1) + STRENGTH,
    "an element of no whole number of words": b"#bundle\0" + struct.pack(">Qi", 1, 6) + b"/ab\0\0\0",
    "a size that breaks off": b"#bundle\0" + struct.pack(">Q", 1) + b"\0\0",
    "a time tag that breaks off": b"#bundle\0\0\0",
    "400 bundles in one another": nested(400),
    "200 bundles in one another, which are short enough": nested(200),
    "one bundle too deep": nested(MAX_DEPTH + 1),
    "too many messages": bundle(*[padded(b"/a")] * (MAX_MESSAGES + 1)),
    "64 kB": b"/" + b"a" * 65506,
    "just too long": message(b",b", struct.pack(">i", MAX_DATAGRAM_BYTES), bytes(MAX_DATAGRAM_BYTES)),
    "nothing": b"",
    "no address": b"strength\0\0\0\0",
    "an address without an end": b"/deepmusic/strength",
    "an address with a space": message(b",", address=b"/deep music"),
    "an address with a hash": message(b",", address=b"/deep#music"),
    "an address in latin-1": message(b",", address=b"/deepm\xfcsic"),
    "an address in UTF-8": message(b",", address="/deepmüsic".encode()),
    "an address that is too long": message(b",", address=b"/" * (MAX_ADDRESS_BYTES + 1)),
    "types without a comma": message(b"f", struct.pack(">f", 0.5)),
    "types without an end": padded(b"/a") + b",fff",
    "too many arguments": message(b"," + b"i" * (MAX_ARGUMENTS + 1), bytes(4 * (MAX_ARGUMENTS + 1))),
    "an unknown type": message(b",x"),
    "a colour, which nobody needs": message(b",r", bytes(4)),
    "an array": message(b",[f]", struct.pack(">f", 0.5)),
    "400 arrays in one another": message(b"," + b"[" * 400 + b"]" * 400),
    "an argument that is missing": message(b",f"),
    "bytes behind the last argument": message(b",f", bytes(8)),
    "NaN": message(b",f", struct.pack(">f", float("nan"))),
    "infinity": message(b",f", struct.pack(">f", float("-inf"))),
    "NaN in double": message(b",d", struct.pack(">d", float("nan"))),
    "infinity behind a good number": message(b",ff", struct.pack(">ff", 0.5, float("inf"))),
    "bad UTF-8": message(b",s", padded(b"\xff\xfe")),
    "text without an end": message(b",s", b"abcd"),
    "a blob of negative size": message(b",b", struct.pack(">i", -4)),
    "a blob longer than the message": message(b",b", struct.pack(">i", 400), bytes(4)),
    "a blob without its padding": message(b",b", struct.pack(">i", 3), bytes(3)),
    "a blob without a size": message(b",b"),
}


@pytest.mark.parametrize("trap", TRAPS.values(), ids=TRAPS.keys())
def test_a_trap_is_refused_at_once(trap: bytes):
    seconds: list[float] = []
    for _ in range(5):  # the best of a few: the cores are shared
        start_s = time.thread_time()
        with pytest.raises(MalformedMessage) as refused:
            messages_of(trap)
        seconds.append(time.thread_time() - start_s)
        assert "expected" in refused.value.message
    assert min(seconds) < LONGEST_CHECK_S


@pytest.mark.parametrize(
    "sound",
    [
        STRENGTH,
        padded(b"/a"),
        message(b","),
        message(b",ifshdTFN", bytes(4), bytes(4), padded(b"x"), bytes(8), bytes(8)),
        message(b",b", struct.pack(">i", 0)),
        message(b",b", struct.pack(">i", 5), bytes(8)),
        message(b",s", padded("Blechbläser".encode())),
        message(b"," + b"i" * MAX_ARGUMENTS, bytes(4 * MAX_ARGUMENTS)),
        message(b",", address=b"/" + b"*" * 20),
    ],
)
def test_a_sound_message_passes_unchanged_alone_and_in_a_bundle(sound: bytes):
    assert [passed.packet for passed in messages_of(sound)] == [sound]
    twice = messages_of(bundle(sound, bundle(sound, time_tag=7), time_tag=5))
    assert [(passed.packet, passed.time_tag) for passed in twice] == [(sound, 5), (sound, 7)]
    decode(sound)


def test_bundles_may_be_nested_a_little_and_be_empty():
    assert len(messages_of(nested(MAX_DEPTH))) == 1
    assert messages_of(bundle()) == []
    assert len(messages_of(bundle(*[padded(b"/a")] * MAX_MESSAGES))) == MAX_MESSAGES


names = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="#"), min_size=1, max_size=40)
values = st.one_of(
    st.tuples(st.just("i"), st.integers(-(2**31), 2**31 - 1)),
    st.tuples(st.just("h"), st.integers(-(2**63), 2**63 - 1)),
    st.tuples(st.just("f"), st.floats(width=32, allow_nan=False, allow_infinity=False)),
    st.tuples(st.just("d"), st.floats(allow_nan=False, allow_infinity=False)),
    st.tuples(st.just("s"), st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20)),
    st.tuples(st.just("b"), st.binary(min_size=1, max_size=20)),
    st.tuples(st.sampled_from(["T", "F", "N"]), st.none()),
)


def built(name: str, arguments: list[tuple[str, Any]]) -> OscMessage:
    builder = OscMessageBuilder("/" + name)
    for kind, value in arguments:
        builder.add_arg(value, kind)
    return builder.build()


messages = st.builds(built, names, st.lists(values, max_size=8))


@given(st.lists(messages, max_size=5), st.integers(2, 2**64 - 1))
def test_whatever_python_osc_builds_passes_and_reads_the_same(those: list[OscMessage], time_tag: int):
    for one in those:
        (passed,) = messages_of(one.dgram)
        read = decode(passed.packet)
        assert (read.address, list(read.arguments)) == (one.address, one.params)
    builder = OscBundleBuilder(1e9)  # type: ignore[arg-type]  # seconds may be a float
    for one in those:
        builder.add_content(one)
    assert [passed.packet for passed in messages_of(builder.build().dgram)] == [one.dgram for one in those]
    assert {passed.time_tag for passed in messages_of(bundle(*(one.dgram for one in those), time_tag=time_tag))} <= {
        time_tag
    }


@given(st.data())
def test_what_passes_after_any_damage_is_read_by_python_osc_without_a_complaint(data: st.DataObject):
    whole = bytearray(bundle(*(one.dgram for one in data.draw(st.lists(messages, min_size=1, max_size=3)))))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    with contextlib.suppress(MalformedMessage):
        passed = messages_of(cut)
        assert [OscMessage(one.packet).address for one in passed] == [decode(one.packet).address for one in passed]
        if cut.startswith(b"#bundle\0"):
            OscBundle(cut)
