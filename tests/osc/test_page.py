"""docs/osc.md: its tables are the code's, and every example in them does what it says."""

from __future__ import annotations

import dataclasses
import re
import shlex

import pytest

from deepmusic.session.parameters import PARAMETERS
from deepmusic.stage.set_list import Cue, SetList
from deepmusic.transports.osc.answers import Answer
from deepmusic.transports.osc.audio.messages import AudioAddress, AudioAnswer, read_open
from deepmusic.transports.osc.counters import OscStats
from deepmusic.transports.osc.namespace import QUESTIONS
from tests.house.repository import ROOT
from tests.osc.rig import Desk

PAGE = (ROOT / "docs/osc.md").read_text()


def table(heading: str) -> list[list[str]]:
    """The rows of the table behind a heading, its own heads left out."""
    lines = PAGE[PAGE.index(heading) :].splitlines()
    begin = next(n for n, line in enumerate(lines) if line.startswith("|---"))
    rows: list[list[str]] = []
    for line in lines[begin + 1 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


SAID = table("## What a rig says")


def test_the_page_has_every_address_and_no_other():
    addresses = [address for row in SAID for address in quoted(row[0])]
    of_streams = ["/deepmusic/on", *(f"/deepmusic/session/<stream>/{name}" for name in ("<parameter>", "at", "on"))]
    assert addresses == [*(f"/deepmusic/{name}" for name in PARAMETERS), *of_streams, *QUESTIONS]


def test_the_page_has_every_answer_and_no_other():
    heard = [address for row in table("## What a rig hears") for address in quoted(row[0])]
    assert sorted(heard) == sorted(answer.value for answer in (*Answer, *AudioAnswer))


def test_the_page_has_every_address_of_audio_and_what_answers_it():
    rows = table("## Audio in datagrams")
    assert [quoted(row[0]) for row in rows] == [[address.value] for address in AudioAddress]
    answers = {answer for row in rows for answer in quoted(row[2])} - {"/done"}
    assert answers == {answer.value for answer in AudioAnswer}
    address, *words = shlex.split(quoted(rows[0][1])[0])
    assert address == AudioAddress.OPEN.value
    request = read_open([argument(word) for word in words])
    assert request.wait_samples == 1920


def test_the_page_has_every_counter_in_its_order():
    names = [name for row in table("`/status.reply` counts:") for name in quoted(row[0])]
    assert names == ["streams", "subscribers", *(field.name for field in dataclasses.fields(OscStats))]


@pytest.mark.parametrize("row", SAID, ids=[row[0].strip("`") for row in SAID])
async def test_every_example_of_the_page_is_carried_out_and_answered_as_it_says(row: list[str]):
    (example,) = quoted(row[1])
    address, *words = shlex.split(example)
    desk = Desk("guitar", cues=SetList(cues=(Cue(name="verse"),)))
    answers = await desk.ask(address, *map(argument, words))
    assert [answer[0] for answer in answers[:1]] == quoted(row[2])[:1]
    assert all(answer[0] != "/fail" for answer in answers)
    is_control = address not in QUESTIONS
    assert len(desk.controls) == is_control


def argument(word: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word
