"""Controls: what the namespace means, which streams it reaches, and when."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest
from pythonosc.osc_message_builder import build_msg

from deepmusic.errors import StyleNotFound
from deepmusic.model.style_share import StyleShare
from deepmusic.model.style_vector import StyleVector
from deepmusic.session.events import ChangeStyle, Control
from deepmusic.session.parameters import PARAMETERS, numeric_names
from deepmusic.transports.osc.intake import LONGEST_AHEAD_S
from deepmusic.transports.osc.time_tag import seconds_ahead, tag_of
from tests.osc.rig import Desk, FakeFacts, FakeSession, Reply
from tests.osc.test_datagram import bundle


@pytest.mark.parametrize("name", numeric_names())
async def test_every_parameter_of_the_registry_reaches_every_stream(name: str):
    desk = Desk("guitar", "voice")
    assert desk.say(f"/deepmusic/{name}", 1.0) == []
    control = Control(name=name, value=PARAMETERS[name].clamp(1.0))
    assert desk.controls == [("guitar", control), ("voice", control)]


async def test_an_address_with_a_stream_reaches_it_alone_and_a_ramp_is_in_samples():
    desk = Desk("guitar", "voice")
    assert desk.say("/deepmusic/session/voice/strength", 0.25, 200) == []
    assert desk.controls == [("voice", Control(name="strength", value=0.25, ramp_samples=9600))]


@pytest.mark.parametrize(
    ("value", "used"), [(7.0, 1.0), (-1, 0.0), (True, 1.0), (False, 0.0), (1, 1.0), (0.3, pytest.approx(0.3))]
)
async def test_a_number_out_of_range_is_clamped_and_whole_numbers_and_truths_are_numbers(value: object, used: object):
    desk = Desk("guitar")
    desk.say("/deepmusic/strength", value)
    ((_, control),) = desk.controls
    assert isinstance(control, Control)
    assert control.value == used


async def test_a_button_that_says_nothing_switches_on():
    desk = Desk("guitar")
    for arguments in ((), (1.0,), (0.0,)):
        desk.say("/deepmusic/panic", *arguments)
    assert [control.value for _, control in desk.controls if isinstance(control, Control)] == [1.0, 1.0, 0.0]


async def test_patterns_reach_several_streams_and_parameters():
    desk = Desk("stream-1", "stream-2", "voice")
    assert desk.say("/deepmusic/session/stream-?/{bypass,mix}", 1) == []
    assert [(name, control.name) for name, control in desk.controls if isinstance(control, Control)] == [
        ("stream-1", "mix"),
        ("stream-1", "bypass"),
        ("stream-2", "mix"),
        ("stream-2", "bypass"),
    ]


async def test_a_pattern_never_asks_a_question():
    desk = Desk("guitar")
    answers = desk.say("/*")
    assert [answer[0] for answer in answers] == ["/fail"]
    assert {answer[1] for answer in desk.say("/deepmusic/s*", 0.5)} == {"/deepmusic/s*"}


async def test_a_name_that_no_address_can_hold_is_written_as_in_a_url():
    desk = Desk("my voice/2*")
    assert desk.say("/deepmusic/session/my%20voice%2F2%2A/mix", 0.5) == []
    assert len(desk.controls) == 1


@pytest.mark.parametrize("name", ["Straßenmusik in Köln", "Гитара соло, вторая песня большого вечера", "🎻" * 64])
async def test_a_stream_of_any_name_is_reached_by_the_address_that_a_rig_was_told(name: str):
    desk = Desk(name)
    part = desk.say("/deepmusic/sessions")[0][1]
    assert desk.say(f"/deepmusic/session/{part}/output_gain_db", -3.0) == []
    assert len(desk.controls) == 1


async def test_a_style_is_looked_up_and_answered():
    desk = Desk("guitar", "voice")
    assert await desk.ask("/deepmusic/style", "strings") == [("/done", "/deepmusic/style", 2)]
    assert await desk.ask("/deepmusic/session/voice/style", "brass", 100) == [
        ("/done", "/deepmusic/session/voice/style", 1)
    ]
    changes = [
        (name, event.vector.name, event.fade_samples) for name, event in desk.controls if isinstance(event, ChangeStyle)
    ]
    assert changes == [("guitar", "strings", None), ("voice", "strings", None), ("voice", "brass", 4800)]


async def test_several_styles_with_weights_are_a_morph_and_an_odd_argument_is_the_fade():
    desk = Desk("guitar")
    assert await desk.ask("/deepmusic/style_weights", "brass", 0.25, "strings", 0.75, 50) == [
        ("/done", "/deepmusic/style_weights", 1)
    ]
    ((_, change),) = desk.controls
    assert isinstance(change, ChangeStyle)
    assert (change.vector.name, change.fade_samples) == ("brass + strings", 2400)


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (("/deepmusic/strengths", 0.5), "expected an address such as"),
        (("/deepmusic",), "expected an address such as"),
        (("/elsewhere/strength", 0.5), "expected an address such as"),
        (("/deepmusic/session/nobody/strength", 0.5), "no stream is named so"),
        (("/deepmusic/session/x*/strength", 0.5), "no stream is named so"),
        (("/deepmusic/strength",), "a number, and the milliseconds of the ramp"),
        (("/deepmusic/strength", "loud"), "a number, and the milliseconds of the ramp"),
        (("/deepmusic/strength", 0.5, 10, 10), "a number, and the milliseconds of the ramp"),
        (("/deepmusic/strength", 0.5, -1), "a ramp of 0 to"),
        (("/deepmusic/strength", 0.5, 1e9), "a ramp of 0 to"),
        (("/deepmusic/bypass", "on"), "0, 1 or nothing"),
        (("/deepmusic/style", 1.0), "the name of a style"),
        (("/deepmusic/style", ""), "expected a name"),
        (("/deepmusic/style_weights", "brass"), "1 to 16 styles"),
        (("/deepmusic/style_weights", "brass", 0.0), "a weight above 0"),
        (("/deepmusic/style_weights", "brass", -1.0), "a weight of at least 0"),
        (("/deepmusic/style_weights", 1.0, "brass"), "a weight of at least 0"),
        (("/deepmusic/style_weights", *["brass", 1.0] * 17), "1 to 16 styles"),
        (("/deepmusic/session/guitar/at", 100, "volume", 1.0), "a sample, a parameter and its value"),
        (("/deepmusic/session/guitar/at", -1, "mix", 1.0), "a sample, a parameter and its value"),
        (("/deepmusic/session/guitar/at", "mix", 1.0), "a sample, a parameter and its value"),
        (("/deepmusic/session/guitar/[", 1.0), "expected a ']'"),
        (("/sync", "now"), "a whole number"),
    ],
)
async def test_what_cannot_be_is_answered_by_fail_and_counted(message: tuple[object, ...], says: str):
    desk = Desk("guitar")
    (answer,) = desk.say(str(message[0]), *message[1:])
    assert answer[:2] == ("/fail", message[0])
    assert says in answer[2]
    assert desk.controls == []
    assert desk.bridge.stats.failed + desk.bridge.stats.malformed == 1


async def test_a_style_that_is_not_there_is_answered_when_it_has_been_looked_for():
    desk = Desk("guitar")
    (answer,) = await desk.ask("/deepmusic/style", "nobody")
    assert answer[:2] == ("/fail", "/deepmusic/style")
    assert "there are: brass, strings" in answer[2]


async def test_a_stream_without_room_is_answered_by_fail_and_the_others_get_theirs():
    desk = Desk("guitar", "voice")
    desk.sessions[0].room = 0
    (answer,) = desk.say("/deepmusic/mix", 0.5)
    assert answer == ("/fail", "/deepmusic/mix", "1 of 2 streams have no room for more changes; send fewer")
    assert [name for name, _ in desk.controls] == ["voice"]
    assert desk.bridge.stats.busy == 1


async def test_at_names_the_sample_itself():
    desk = Desk("guitar")
    assert desk.say("/deepmusic/session/guitar/at", 96001, "mix", 0.5, 10) == []
    assert await desk.ask("/deepmusic/session/guitar/at", 5_000_000_000, "style", "strings") == [
        ("/done", "/deepmusic/session/guitar/at", 1)
    ]
    (_, control), (_, change) = desk.controls
    assert control == Control(name="mix", value=0.5, at_sample=96001, ramp_samples=480)
    assert change.at_sample == 5_000_000_000


def tagged(desk: Desk, ahead_s: float, *messages: bytes) -> list[Reply]:
    return desk.throw(bundle(*messages, time_tag=tag_of(desk.wall_clock.now_s + ahead_s)))


MIX = build_msg("/deepmusic/mix", 0.5).dgram


async def test_a_time_tag_becomes_the_sample_that_comes_in_then():
    desk = Desk("guitar", "file")
    desk.sessions[1].is_live = False
    assert tagged(desk, 0.25, MIX) == []
    at = {name: event.at_sample for name, event in desk.controls}
    assert at == {"guitar": round((1000.0 + 0.25) * 48000), "file": None}
    assert desk.bridge.stats.late == 0


class Stranger(FakeSession):
    """A stream of a bundle that cannot learn what was imported for another one."""

    def style(self, styles: Sequence[StyleShare]) -> StyleVector:
        raise StyleNotFound("the style was imported for another bundle")


async def test_a_stream_whose_bundle_has_not_the_style_keeps_it_from_no_other():
    desk = Desk("guitar", "voice")
    desk.sessions[0] = Stranger(name="guitar", facts=FakeFacts(bundle_digest="e" * 64))
    (answer,) = await desk.ask("/deepmusic/style", "brass")
    assert answer == ("/fail", "/deepmusic/style", "the style was imported for another bundle")
    assert [name for name, _ in desk.controls] == ["voice"]


async def test_a_style_under_a_time_tag_changes_then_however_long_the_look_took():
    desk = Desk("guitar")
    tagged(desk, 0.25, build_msg("/deepmusic/style", "strings").dgram)  # type: ignore[arg-type]
    await desk.ask("/sync", 1)
    ((_, change),) = desk.controls
    assert change.at_sample == round((1000.0 + 0.25) * 48000)


async def test_all_messages_of_a_bundle_act_on_one_sample_though_blocks_come_in_between():
    desk = Desk("guitar")
    desk.sessions[0].positions = iter([5000, 5480, 5960])
    tagged(desk, 0.25, MIX, MIX, build_msg("/deepmusic/style", "strings").dgram)  # type: ignore[arg-type]
    await desk.ask("/sync", 1)
    assert [event.at_sample for _, event in desk.controls] == [5000, 5000, 5000]


async def test_what_is_late_acts_at_once_and_is_counted_and_what_is_immediate_is_not_late():
    desk = Desk("guitar")
    tagged(desk, -0.001, MIX)
    desk.throw(bundle(MIX))
    assert [event.at_sample for _, event in desk.controls] == [None, None]
    assert desk.bridge.stats.late == 1


async def test_a_time_tag_an_hour_ahead_is_dropped_and_counted_and_nothing_waits_for_it():
    desk = Desk("guitar")
    assert tagged(desk, 3600.0, MIX) == []
    assert tagged(desk, LONGEST_AHEAD_S + 0.01, MIX) == []
    assert desk.controls == []
    assert desk.bridge.stats.too_early == 2


async def test_the_bundles_within_a_bundle_have_their_own_times():
    desk = Desk("guitar")
    now_s = desk.wall_clock.now_s
    inner = bundle(MIX, time_tag=tag_of(now_s + 0.5))
    desk.throw(bundle(MIX, inner, time_tag=tag_of(now_s + 0.25)))
    assert [event.at_sample for _, event in desk.controls] == [round(1000.25 * 48000), round(1000.5 * 48000)]


@pytest.mark.parametrize("wall_s", [0.0, 1_700_000_000.0, 2_085_978_495.5, 2_085_978_496.5])
def test_time_tags_are_right_across_the_year_in_which_their_count_begins_anew(wall_s: float):
    for ahead_s in (-3.25, 0.0, 0.5, 3600.0):
        assert seconds_ahead(tag_of(wall_s + ahead_s), wall_s) == ahead_s
    assert struct.pack(">Q", tag_of(0.0)).hex() == "83aa7e8000000000"
