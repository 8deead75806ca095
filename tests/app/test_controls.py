"""What plays on the streams from beside them says where the set is."""

from __future__ import annotations

from deepmusic.app.controls import Controls
from deepmusic.config import ServerConfig
from deepmusic.stage.set_list import SetList, parse_set

NOWHERE = ServerConfig(osc="", http="")


class Nothing:
    """No streams, and no styles."""

    def running(self) -> tuple[()]:
        return ()

    def listings(self) -> tuple[()]:
        return ()


async def test_the_place_in_a_set_is_its_last_cue_and_the_tempo():
    cues = parse_set('bpm = 126.5\n[[cue]]\nname = "verse"\n[[cue]]\nname = "Süd 🎻"')
    controls = Controls(Nothing(), Nothing(), cues, NOWHERE)
    assert controls.place() == "0 of 2: before the first; 126.5 beats per minute"
    controls._performer.cues.go(2)
    assert controls.place() == "2 of 2: Süd 🎻; 126.5 beats per minute"


async def test_without_a_set_there_is_no_place_in_it():
    assert Controls(Nothing(), Nothing(), SetList(), NOWHERE).place() == ""
