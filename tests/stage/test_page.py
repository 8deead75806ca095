"""docs/stage.md: the set that it shows is one, and its table has every key."""

from __future__ import annotations

import re
import tomllib
from typing import get_args

from deepmusic.stage.receipt import Entry
from deepmusic.stage.set_list import CUE_KEYS, MIDI_KEYS, parse_set
from tests.house.repository import ROOT
from tests.osc.test_page import SAID, quoted

PAGE = (ROOT / "docs/stage.md").read_text()


def test_the_set_of_the_page_is_a_set():
    (text,) = re.findall(r"^```toml\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert [cue.name for cue in parse_set(text).cues] == ["verse", "bridge", "slow song"]


def test_the_page_has_every_key_of_a_cue_and_no_other():
    rows = PAGE[PAGE.index("| key of a cue |") :].split("\n\n")[0].splitlines()[2:]
    keys = [key for row in rows for key in re.findall(r"`([^`]+)`", row.split("|")[1])]
    assert sorted(keys) == sorted(CUE_KEYS)


def test_the_page_has_every_key_of_the_switches():
    (shown,) = re.findall(r"`(midi = \{.*?\})`", PAGE)
    assert set(tomllib.loads(shown)["midi"]) == set(MIDI_KEYS)


def test_the_page_has_every_line_of_a_receipt_and_no_other():
    rows = PAGE[PAGE.index("| line |") :].split("\n\n")[0].splitlines()[2:]
    lines = [line for row in rows for line in re.findall(r"`([^`]+)`", row.split("|")[1])]
    assert sorted(lines) == sorted(["receipt", *(entry.__name__.lower() for entry in get_args(Entry))])


def test_every_address_of_the_page_is_one_of_the_bridge():
    said = set(re.findall(r"/deepmusic/(?:session/\w+/)?[a-z_]+(?:\.\w+)?", PAGE))
    heard = {"/deepmusic/cue.now", "/deepmusic/tempo.now", "/deepmusic/session/guitar/on"}
    assert said - heard <= {address for row in SAID for address in quoted(row[0])}
