"""Questions, lists, and who is told what happens."""

from __future__ import annotations

import dataclasses
import ipaddress

import pytest

from deepmusic import __version__
from deepmusic.session.asked import AskedValues
from deepmusic.session.events import ChangeStyle, Control
from deepmusic.session.parameters import PARAMETERS
from deepmusic.transports.osc.bridge import MAX_LISTED
from deepmusic.transports.osc.counters import Count, OscStats
from deepmusic.transports.osc.errands import MAX_ERRANDS
from deepmusic.transports.osc.subscribers import EXPIRY_S, MAX_SUBSCRIBERS, TOKEN_LIFE_S
from deepmusic.transports.osc.watch import MAX_MESSAGES_A_LOOK
from tests.osc.rig import Desk, FakeSession, Reply, read

MOST_BYTES = 1400
AFAR = ("192.168.1.20", 50000)
LAN = (ipaddress.ip_network("192.168.1.0/24"),)


async def told(desk: Desk) -> list[Reply]:
    n_before = len(desk.sent)
    await desk.bridge.tell()
    return [read(packet) for _, packet in desk.sent[n_before:]]


async def test_the_streams_are_listed_with_what_a_rig_needs():
    desk = Desk("guitar", "my voice")
    desk.sessions[0].stats = dataclasses.replace(desk.sessions[0].stats, samples_in=2**33, late_blocks=3, dry_blocks=4)
    assert desk.say("/deepmusic/sessions") == [
        ("/deepmusic/sessions.reply", "guitar", "live", "brass", 48000, 2, 1855, 3, 4, 2**33),
        ("/deepmusic/sessions.reply", "my%20voice", "live", "brass", 48000, 2, 1855, 0, 0, 0),
        ("/done", "/deepmusic/sessions", 2),
    ]


@pytest.mark.parametrize("name", ["é" * 64, "🎻" * 64])
async def test_no_answer_is_longer_than_a_frame(name: str):
    desk = Desk(name)
    desk.sessions[0].asked = AskedValues((), " + ".join(f"{'style' * 12} {n}%" for n in range(16)))
    desk.say("/deepmusic/sessions")
    desk.say("/status")
    desk.say("/notify", 1)
    await told(desk)
    await desk.ask("/deepmusic/style", "x" * 64)
    assert max(len(packet) for _, packet in desk.sent) <= MOST_BYTES


async def test_a_look_that_fails_is_logged_and_the_bridge_goes_on(caplog: pytest.LogCaptureFixture):
    desk = Desk("guitar")
    desk.say("/notify", 1)
    desk.sessions[0].stats = None  # type: ignore[assignment]
    await desk.ask("/sync", 1)
    assert "subscribers could not be told" in caplog.text
    assert await desk.ask("/version")


async def test_the_parameters_are_the_registry():
    *listed, last = Desk().say("/deepmusic/parameters")
    assert [entry[1] for entry in listed] == list(PARAMETERS)
    assert listed[0] == ("/deepmusic/parameters.reply", "strength", "number", "", 0.0, 1.0, 1.0)
    assert last == ("/done", "/deepmusic/parameters", len(PARAMETERS))


async def test_a_long_list_comes_in_parts():
    desk = Desk()
    desk.style_names = [f"style {n}" for n in range(MAX_LISTED + 3)]
    *listed, last = await desk.ask("/deepmusic/styles")
    assert [entry[1] for entry in listed] == desk.style_names[:MAX_LISTED]
    assert last == ("/done", "/deepmusic/styles", MAX_LISTED + 3)
    *listed, _ = await desk.ask("/deepmusic/styles", MAX_LISTED)
    assert [entry[1] for entry in listed] == desk.style_names[MAX_LISTED:]


async def test_the_version_and_the_counters_are_answered():
    desk = Desk("guitar")
    assert desk.say("/version") == [("/version.reply", "deepmusic", __version__)]
    desk.throw(b"nonsense")
    ((address, *pairs),) = desk.say("/status")
    assert address == "/status.reply"
    numbers = dict(zip(pairs[::2], pairs[1::2], strict=True))
    assert list(numbers) == ["streams", "subscribers", *(field.name for field in dataclasses.fields(OscStats))]
    assert {count.value for count in Count} <= set(numbers)
    assert (numbers["streams"], numbers["malformed"], numbers["datagrams"]) == (1, 1, 3)


async def test_sync_is_answered_behind_what_takes_longer():
    desk = Desk("guitar")
    desk.say("/deepmusic/style", "strings")
    answers = await desk.ask("/sync", 7)
    assert answers == [("/done", "/deepmusic/style", 1), ("/synced", 7)]


@pytest.mark.parametrize(("number", "answered"), [(2**40, 2**31 - 1), (-(2**40), -(2**31)), (2.6, 3)])
async def test_a_number_that_does_not_fit_is_answered_by_the_nearest(number: float, answered: int):
    assert await Desk().ask("/sync", number) == [("/synced", answered)]


async def test_of_a_morph_that_moves_faster_than_styles_are_looked_up_the_last_position_counts():
    desk = Desk("guitar")
    for n in range(1, 10 * MAX_ERRANDS):
        assert desk.say("/deepmusic/style_weights", "brass", float(n)) == []
    desk.say("/deepmusic/style_weights", "strings", 1.0)
    desk.say("/deepmusic/session/guitar/at", 480, "style", "brass")
    desk.say("/deepmusic/session/guitar/at", 960, "style", "strings")
    await desk.ask("/sync", 1)
    names = [event.vector.name for _, event in desk.controls if isinstance(event, ChangeStyle)]
    assert names == ["strings", "brass", "strings"]


async def test_only_so_many_commands_wait():
    desk = Desk("guitar")
    answers = [desk.say("/deepmusic/styles") for _ in range(MAX_ERRANDS + 1)]
    assert answers[:-1] == [[]] * MAX_ERRANDS
    assert answers[-1][0][:2] == ("/fail", "/deepmusic/styles")
    assert desk.bridge.stats.busy == 1


async def test_a_subscriber_hears_every_value_first_and_then_what_changes_whoever_changed_it():
    desk = Desk("guitar")
    assert desk.say("/notify", 1) == [("/done", "/notify", EXPIRY_S)]
    beat, *first = await told(desk)
    assert beat == ("/deepmusic/tempo.now", 120.0, 4)
    assert first[0] == ("/deepmusic/opened", "guitar")
    assert {entry[2] for entry in first[1:]} == set(PARAMETERS) - {"style_weights"}
    assert ("/deepmusic/changed", "guitar", "style", "brass") in first
    assert await told(desk) == []
    desk.say("/deepmusic/mix", 0.5)
    desk.sessions[0].asked.note(Control(name="low_hz", value=100.0))  # the stream's own client
    assert await told(desk) == [
        ("/deepmusic/changed", "guitar", "mix", 0.5),
        ("/deepmusic/changed", "guitar", "low_hz", 100.0),
    ]


async def test_a_fader_that_moves_all_the_time_is_told_at_the_pace_of_looking():
    desk = Desk("guitar")
    desk.say("/notify", 1)
    await told(desk)
    for n in range(100):
        desk.say("/deepmusic/mix", n / 128)
    assert await told(desk) == [("/deepmusic/changed", "guitar", "mix", 99 / 128)]


async def test_a_subscriber_hears_of_late_and_dry_blocks_and_of_streams_that_come_and_go():
    desk = Desk("guitar")
    desk.say("/notify", 1)
    await told(desk)
    desk.sessions[0].stats = dataclasses.replace(desk.sessions[0].stats, late_blocks=2, dry_blocks=2, late_controls=1)
    assert await told(desk) == [("/deepmusic/late", "guitar", 2, 2, 1)]
    gone = desk.sessions.pop()
    desk.sessions.append(FakeSession(name="voice"))
    assert (await told(desk))[:2] == [("/deepmusic/closed", gone.name), ("/deepmusic/opened", "voice")]


async def test_much_news_is_spread_over_looks_and_none_is_lost():
    desk = Desk(*(f"stream-{n}" for n in range(20)))
    desk.say("/notify", 1)
    heard: list[Reply] = []
    while news := await told(desk):
        assert len(news) <= MAX_MESSAGES_A_LOOK
        heard += news
    assert len(heard) == len(set(heard)) == 20 * len(PARAMETERS) + 1  # and the tempo


async def test_a_subscription_ends_when_it_is_ended_or_expires_and_is_renewed_by_asking_again():
    desk = Desk("guitar")
    desk.say("/notify", 1)
    desk.clock.now_s += EXPIRY_S - 1
    desk.say("/notify", 1)
    desk.clock.now_s += 2
    assert await told(desk)
    desk.clock.now_s += EXPIRY_S
    assert await told(desk) == []
    desk.say("/notify", 1)
    assert desk.say("/notify", 0) == [("/done", "/notify", 0)]
    assert await told(desk) == []


async def test_only_so_many_peers_subscribe():
    desk = Desk()
    for port in range(MAX_SUBSCRIBERS):
        assert desk.say("/notify", peer=("127.0.0.1", port)) == [("/done", "/notify", EXPIRY_S)]
    assert desk.say("/notify", 1)[0][:2] == ("/fail", "/notify")


async def test_a_peer_from_afar_proves_that_it_hears_before_it_is_told_more_than_it_says():
    desk = Desk("guitar", networks=LAN)
    assert desk.say("/deepmusic/sessions", peer=AFAR) == []
    assert desk.bridge.stats.withheld == 2
    assert desk.say("/deepmusic/mix", 0.5, peer=AFAR) == []
    assert len(desk.controls) == 1
    ((address, token),) = desk.say("/notify", 1, peer=AFAR)
    assert address == "/token"
    assert await told(desk) == []
    for wrong in (token + 1, token ^ 1, -1):
        assert desk.say("/notify", 1, wrong, peer=AFAR)[0][0] == "/token"
    assert desk.say("/notify", 1, token, peer=("192.168.1.21", 50000))[0][0] == "/token"
    assert desk.say("/notify", 1, token, peer=AFAR) == [("/done", "/notify", EXPIRY_S)]
    assert len(desk.say("/deepmusic/sessions", peer=AFAR)) == 2
    assert await told(desk)


@pytest.mark.parametrize(("age_s", "answer"), [(TOKEN_LIFE_S - 1, "/done"), (3 * TOKEN_LIFE_S, "/token")])
async def test_a_token_is_good_for_a_while(age_s: float, answer: str):
    desk = Desk(networks=LAN)
    ((_, token),) = desk.say("/notify", 1, peer=AFAR)
    desk.clock.now_s += age_s
    assert desk.say("/notify", 1, token, peer=AFAR)[0][0] == answer


async def test_what_the_network_does_not_take_is_counted():
    desk = Desk()
    desk.can_send = False
    desk.say("/version")
    assert desk.bridge.stats.withheld == 1
