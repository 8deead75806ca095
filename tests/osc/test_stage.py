"""The beat and the set over OSC: changes on the beat to the sample, cues, and what a rig hears of them."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import numpy as np
import pytest
from pythonosc.osc_message_builder import build_msg

from deepmusic.session.events import ChangeStyle, Control
from deepmusic.stage.performer import Performer
from deepmusic.stage.set_list import parse_set
from deepmusic.transports.osc.endpoint import OscServer
from deepmusic.transports.osc.errands import MAX_ERRANDS
from deepmusic.transports.osc.time_tag import tag_of
from deepmusic.transports.rpc.client import RpcClient
from tests.osc.conftest import Stage
from tests.osc.rig import PATIENCE_S, Desk, Rig
from tests.osc.test_datagram import bundle
from tests.osc.test_streams import BLOCK_SAMPLES, RATE_HZ, rendered, style
from tests.rpc.serving import config, listen, noise

PATIENT_SAMPLES = 5 * RATE_HZ
"""A deadline that no step misses, however loaded the machine is."""
SET = parse_set("""
bpm = 120

[[cue]]
name = "verse"
style = "brass"
quantise = "bar"
ramp_ms = 100
parameters = { mix = 0.5 }

[[cue]]
name = "out"
parameters = { strength = 0 }
""")


def at_samples(desk: Desk) -> list[int | None]:
    return [event.at_sample for _, event in desk.controls]


def test_a_change_waits_for_the_next_beat_or_bar_of_every_stream():
    desk = Desk("one", "two")
    desk.clock.now_s = 1000.1
    assert desk.say("/deepmusic/on", "beat", "mix", 0.5, 20.0) == []
    assert desk.say("/deepmusic/session/one/on", "bar", "mix", 0.25) == []
    half_a_second, two = round(1000.5 * 48000), 1002 * 48000
    assert desk.controls == [
        ("one", Control(name="mix", value=0.5, at_sample=half_a_second, ramp_samples=960)),
        ("one", Control(name="mix", value=0.25, at_sample=two)),
        ("two", Control(name="mix", value=0.5, at_sample=half_a_second, ramp_samples=960)),
    ]


def test_a_beat_that_is_too_near_is_left_to_those_who_were_earlier():
    desk = Desk("one")
    desk.clock.now_s = 1000.496
    desk.say("/deepmusic/on", "beat", "mix", 0.5)
    assert at_samples(desk) == [1001 * 48000]


def test_the_tempo_and_the_downbeat_are_set_now_or_at_a_time_tag():
    desk = Desk("one")
    desk.clock.now_s = 1000.1
    desk.say("/deepmusic/on", "bar", "mix", 0.5)
    tempo, downbeat = build_msg("/deepmusic/tempo", [60, 3]).dgram, build_msg("/deepmusic/downbeat").dgram
    ahead = bundle(tempo, downbeat, time_tag=tag_of(desk.wall_clock.now_s + 0.25))
    assert desk.throw(ahead) == []
    desk.say("/deepmusic/on", "bar", "mix", 0.25)
    desk.say("/deepmusic/downbeat", 0)  # the button is let go
    desk.say("/deepmusic/on", "beat", "mix", 0.25)
    assert at_samples(desk) == [1002 * 48000, round(1000.35 * 48000), round(1000.35 * 48000)]
    desk.clock.now_s = 1000.4
    desk.say("/deepmusic/on", "bar", "mix", 0.25)
    assert at_samples(desk)[-1] == round(1003.35 * 48000)


async def test_a_style_waits_for_the_bar_and_a_stream_without_samples_changes_at_once():
    desk = Desk("one", "two")
    desk.sessions[1].is_live = False
    assert await desk.ask("/deepmusic/on", "bar", "style", "brass") == [("/done", "/deepmusic/on", 2)]
    assert at_samples(desk) == [1002 * 48000, None]


@pytest.mark.parametrize(
    ("address", "arguments"),
    [
        ("/deepmusic/on", ("phrase", "mix", 0.5)),
        ("/deepmusic/on", ("bar",)),
        ("/deepmusic/on", ("bar", "on", "bar", "mix", 0.5)),
        ("/deepmusic/on", ()),
        ("/deepmusic/tempo", ()),
        ("/deepmusic/tempo", ("fast",)),
        ("/deepmusic/tempo", (5,)),
        ("/deepmusic/tempo", (120, 99)),
        ("/deepmusic/cue", ()),
        ("/deepmusic/cue", ("back",)),
        ("/deepmusic/cue", ("go", "nobody")),
        ("/deepmusic/cue", ("go", 9)),
    ],
)
def test_what_cannot_be_is_answered_and_changes_nothing(address: str, arguments: tuple[object, ...]):
    desk = Desk("one", cues=SET)
    (answer,) = desk.say(address, *arguments)
    assert answer[:2] == ("/fail", address)
    assert desk.controls == []


async def test_a_rig_steps_through_the_set():
    desk = Desk("one", cues=SET)
    assert await desk.ask("/deepmusic/cues") == [
        ("/deepmusic/cues.reply", 1, "verse", "bar"),
        ("/deepmusic/cues.reply", 2, "out", "off"),
        ("/done", "/deepmusic/cues", 2),
    ]
    assert await desk.ask("/deepmusic/cue", "next") == [("/done", "/deepmusic/cue", 1)]
    mix, brass = (event for _, event in desk.controls)
    assert mix == Control(name="mix", value=0.5, at_sample=1002 * 48000, ramp_samples=4800)
    assert isinstance(brass, ChangeStyle)
    assert (brass.vector.name, brass.at_sample, brass.fade_samples) == ("brass", 1002 * 48000, 4800)
    assert await desk.ask("/deepmusic/cue", "next") == [("/done", "/deepmusic/cue", 2)]
    assert desk.controls[-1] == ("one", Control(name="strength", value=0.0, at_sample=round(1000.005 * 48000)))
    assert (await desk.ask("/deepmusic/cue", "next"))[0][:2] == ("/fail", "/deepmusic/cue")
    assert await desk.ask("/deepmusic/cue", "prev") == [("/done", "/deepmusic/cue", 1)]
    assert await desk.ask("/deepmusic/cue", "go", 2.0) == [("/done", "/deepmusic/cue", 2)]
    assert await desk.ask("/deepmusic/cue", "go", "verse") == [("/done", "/deepmusic/cue", 1)]


async def test_a_cue_that_finds_no_room_leaves_the_set_where_it_is():
    desk = Desk("one", cues=SET)
    for number in range(MAX_ERRANDS):
        assert desk.say("/sync", number) == []
    (answer,) = desk.say("/deepmusic/cue", "next")
    assert answer[:2] == ("/fail", "/deepmusic/cue")
    running = asyncio.create_task(desk.bridge.run())
    async with asyncio.timeout(PATIENCE_S):
        while ("/synced", MAX_ERRANDS - 1) not in desk._heard(0):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert await desk.ask("/deepmusic/cue", "next") == [("/done", "/deepmusic/cue", 1)]


@pytest.mark.parametrize(("cue", "n_changes"), [("verse", 2), ("out", 1)])
async def test_a_cue_under_a_time_tag_acts_then(cue: str, n_changes: int):
    desk = Desk("one", cues=SET)
    message = build_msg("/deepmusic/cue", ["go", cue]).dgram
    desk.throw(bundle(message, time_tag=tag_of(desk.wall_clock.now_s + 2.0)))
    await desk.ask("/status")
    # exactly on a bar: that one, without any time ahead of it; and one that waits for nothing waits for its time
    assert at_samples(desk) == [1002 * 48000] * n_changes


async def test_a_cue_whose_style_is_not_there_says_so_and_does_the_rest():
    desk = Desk("one", cues=parse_set('[[cue]]\nname = "a"\nstyle = "kazoo"\nparameters = { mix = 0.5 }'))
    (answer,) = await desk.ask("/deepmusic/cue", "next")
    assert answer[:2] == ("/fail", "/deepmusic/cue")
    assert desk.controls == [("one", Control(name="mix", value=0.5, at_sample=round(1000.005 * 48000)))]


async def test_a_subscriber_hears_of_the_beat_and_the_set_and_then_of_what_changes():
    desk = Desk(cues=SET)
    desk.say("/notify", 1)

    async def heard() -> list[tuple[object, ...]]:
        n_before = len(desk.sent)
        await desk.bridge.tell()
        return desk._heard(n_before)

    assert await heard() == [("/deepmusic/tempo.now", 120.0, 4), ("/deepmusic/cue.now", 0, "", 2)]
    assert await heard() == []
    desk.say("/deepmusic/cue", "next")
    desk.say("/deepmusic/tempo", 90, 3)
    assert await heard() == [("/deepmusic/tempo.now", 90.0, 3), ("/deepmusic/cue.now", 1, "verse", 2)]


async def test_two_cues_of_a_live_stream_land_on_bars_of_its_own_samples(stage: Stage, client: RpcClient):
    """The first bar is where the arrivals say; every later one is exactly so many samples on."""
    bpm, n_blocks = 240.0, 160  # a beat is 12 000 samples
    audio = noise(n_blocks * BLOCK_SAMPLES)
    cues = parse_set(
        f'bpm = {bpm}\n[[cue]]\nname = "one"\nquantise = "beat"\nstyle = "faint"\n'
        '[[cue]]\nname = "two"\nquantise = "beat"\nstyle = "plain"\n'
    )
    performer = Performer(stage.serving.sessions, cues, time.monotonic())
    osc = OscServer(stage.serving.sessions, stage.serving.styles, performer=performer)
    port = await osc.start("127.0.0.1", 0)
    live = replace(config(deadline_samples=PATIENT_SAMPLES), session_id="guitar")
    with Rig(f"127.0.0.1:{port}") as rig:
        async with client.transfer(live) as call, asyncio.TaskGroup() as tasks:
            hearing = tasks.create_task(listen(call))
            start_s = time.monotonic()
            for n in range(n_blocks):
                await asyncio.sleep(start_s + (n + 1) * BLOCK_SAMPLES / RATE_HZ - time.monotonic())
                await call.send(audio[:, n * BLOCK_SAMPLES : (n + 1) * BLOCK_SAMPLES])
                if n in (20, 80):
                    rig.say("/deepmusic/cue", "next")
                    assert (await rig.hear("/done", "/fail"))[0] == "/done"
            await call.finish()
    await osc.stop()
    heard = hearing.result()
    changed = [event.at_sample for event in heard.events if event.kind.value == "STYLE_CHANGED"]
    assert len(changed) == 2
    first, second = changed
    assert first is not None
    assert second is not None
    assert (second - first) % 12000 == 0
    sound = heard.audio[:, call.ready.latency_samples :]
    expected = rendered(stage, audio, style(stage, "faint", first), style(stage, "plain", second))
    np.testing.assert_array_equal(sound, expected)
