"""The examples for OSC: the one in Python runs as it stands, the others name addresses and arguments that exist."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

from deepmusic.transports.osc.namespace import QUESTIONS
from tests.examples.stage import osc_stage, running
from tests.osc.rig import Desk
from tests.osc.test_page import argument

EXAMPLES = Path(__file__).resolve().parents[2] / "client_examples/osc"


async def test_the_rig_in_python_swells_into_a_style(tmp_path: Path):
    async with osc_stage(tmp_path) as stage:
        async with running(sys.executable, str(EXAMPLES / "rig.py"), "brass", stage.facts.osc) as rig:
            await stage.wait_until(lambda: rig.process.returncode is not None)
        assert rig.process.returncode == 0
        assert "/done /notify 60" in rig.lines
        assert "/done /deepmusic/style 1" in rig.lines
        assert rig.lines[-1] == "/synced 1"


def said_in_supercollider() -> list[list[str]]:
    text = (EXAMPLES / "rig.scd").read_text()
    sent = re.findall(r'~deepmusic\.send(?:Msg\(|Bundle\([\d.]+, \[)"([^"]+)"(?:, )?([^\])]*)', text)
    return [[address, *(word.strip(' "') for word in rest.split(",") if word)] for address, rest in sent]


def said_in_pure_data() -> list[list[str]]:
    """What each message box, toggle and slider of the patch sends through the object that it is connected to."""
    lines = (EXAMPLES / "rig.pd").read_text().replace("\\$1", "0.5").removesuffix("\n").split(";\n")
    objects = [
        line.rstrip(";").split() for line in lines if line.startswith(("#X obj", "#X msg", "#X text", "#X floatatom"))
    ]
    wires = [tuple(map(int, line.rstrip(";").split()[2:])) for line in lines if line.startswith("#X connect")]
    assert all(0 <= end < len(objects) for wire in wires for end in (wire[0], wire[2]))
    said: list[list[str]] = []
    for source, _, sink, _ in wires:
        if objects[sink][4:5] == ["oscformat"] and objects[source][4:5] != ["r"]:
            sends = objects[source]
            values = sends[4:] if sends[1] == "msg" else ["1"]
            if (
                not values[0].replace(".", "").isdigit()
            ):  # oscformat takes lists; a list that begins with a word says so
                assert values.pop(0) == "list"
            said.append(["/" + "/".join(objects[sink][5:]), *values])
    return said


@pytest.mark.parametrize("said", [said_in_supercollider(), said_in_pure_data()], ids=["SuperCollider", "Pure Data"])
async def test_what_the_other_rigs_say_is_understood(said: list[list[str]]):
    assert len(said) >= 7
    for address, *words in said:
        desk = Desk("guitar")
        desk.say("/notify", 1)
        values = [1.0 if word.startswith("i.even") else argument(word) for word in shlex.split(" ".join(words))]
        answers = await desk.ask(address, *values)
        assert all(answer[0] != "/fail" for answer in answers), (address, words, answers)
        assert len(desk.controls) == (address not in QUESTIONS), (address, words)


def test_the_rig_in_python_is_short():
    code = [line for line in (EXAMPLES / "rig.py").read_text().split('"""', 2)[2].splitlines() if line.strip()]
    assert len(code) <= 30
