"""Bad input: dropped and counted, answered by no more than it brought, and never long on the loop."""

from __future__ import annotations

import gc
import ipaddress
import time
from collections.abc import Callable, Iterator

import pytest
from pythonosc.osc_message_builder import build_msg

from deepmusic.session.parameters import PARAMETERS
from deepmusic.transports.osc.datagram import MAX_MESSAGES
from deepmusic.transports.osc.gate import ALL_MESSAGES_A_SECOND, MAX_SOURCES, MESSAGES_A_SECOND, MOST_AT_ONCE, Gate
from deepmusic.transports.osc.intake import MAX_WAITING
from deepmusic.transports.osc.namespace import QUESTIONS
from tests.osc.fuzz import AFAR, LONGEST_TURN_S, Fuzzer, longest_turn_s
from tests.osc.rig import LOCAL, Desk, FakeClock
from tests.osc.test_audio import Studio
from tests.osc.test_datagram import STRENGTH, TRAPS, bundle, padded

LAN = (ipaddress.ip_network("192.168.1.0/24"), ipaddress.ip_network("fd00::/8"))
TRIES = 10
"""A shared machine can charge a turn with what others did to its caches: only what is slow every time is slow."""
N_FUZZED = 4000


@pytest.fixture
def _no_collection() -> Iterator[None]:
    """The collector walks everything that the tests have made so far, at a moment of its choice."""
    gc.disable()
    yield
    gc.enable()


def is_prompt(make: Callable[[], Desk], datagram: bytes, peer: tuple[str | int, ...] = LOCAL) -> bool:
    return any(longest_turn_s(make(), datagram, peer) < LONGEST_TURN_S for _ in range(TRIES))


@pytest.mark.usefixtures("_no_collection")
@pytest.mark.parametrize("trap", TRAPS.values(), ids=TRAPS.keys())
async def test_a_trap_is_dropped_counted_and_answered_by_nothing(trap: bytes):
    desk = Desk("guitar", networks=LAN)
    for peer in (LOCAL, AFAR):
        assert is_prompt(lambda: Desk("guitar", networks=LAN), trap, peer)
        desk.bridge.receive(trap, peer)
        assert not desk.bridge.work()
    assert desk.bridge.stats.malformed == 2
    assert desk.sent == []
    assert desk.controls == []
    assert desk.say("/version")


@pytest.mark.usefixtures("_no_collection")
@pytest.mark.parametrize(
    "heavy",
    [
        build_msg("/deepmusic/session/*/*", 1.0).dgram,
        build_msg("/deepmusic/session/" + "*a" * 60 + "/*", 1.0).dgram,
        build_msg("/deepmusic/session/" + "*[a-z]" * 20 + "/*", 1.0).dgram,
        padded(b"/" + b"*" * 20),
        bundle(*[build_msg("/deepmusic/session/" + "*a" * 30 + "b/*", 1.0).dgram] * 40),
        bundle(*[build_msg("/deepmusic/*", 1.0).dgram] * MAX_MESSAGES),
        bundle(*[padded(b"/deepmusic/sessions")] * MAX_MESSAGES),
    ],
    ids=["all", "stars", "sets", "twenty stars", "many stars", "many for all", "many lists"],
)
async def test_whatever_a_datagram_asks_for_the_loop_is_never_held_for_long(heavy: bytes):
    assert is_prompt(lambda: Desk(*("a" * 60 + f"{n:04d}" for n in range(64)), clock=time.monotonic), heavy)


async def test_an_address_that_others_may_not_use_is_foreign():
    desk = Desk("guitar", networks=LAN)
    for host in ("203.0.113.7", "2001:db8::1", "192.168.2.1", "::ffff:203.0.113.7", "nonsense"):
        assert desk.say("/version", peer=(host, 1)) == []
    assert desk.bridge.stats.foreign == 5
    for host in ("127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"):
        assert desk.say("/version", peer=(host, 1))
    for host in ("192.168.1.77", "fd00::7", "::ffff:192.168.1.77"):
        assert desk.say("/sync", 5, peer=(host, 1)) == []
        assert desk.say("/notify", 1, peer=(host, 1))
    assert desk.bridge.stats.foreign == 5


async def test_nobody_who_is_not_verified_is_sent_more_than_came_in_its_name():
    desk = Desk("guitar", "voice", networks=LAN)
    requests = [build_msg(address, 1).dgram for address in (*QUESTIONS, *(f"/deepmusic/{name}" for name in PARAMETERS))]
    requests += [bundle(*[build_msg("/notify", 1).dgram] * 8), bundle(build_msg("/x").dgram, build_msg("/y").dgram)]
    requests += [build_msg("/nothing/of/the/kind", "x" * 3000).dgram]
    for request in requests:
        n_before = len(desk.sent)
        desk.throw(request, AFAR)
        await desk.ask("/sync", 1)
        to_afar = [packet for address, packet in desk.sent[n_before:] if address == AFAR]
        assert len(to_afar) <= 1
        assert sum(map(len, to_afar)) <= len(request)
    assert desk.bridge.stats.withheld > 0


async def test_a_source_that_floods_is_held_back_and_another_is_not():
    desk = Desk("guitar")
    for _ in range(round(MOST_AT_ONCE) + 50):
        desk.throw(STRENGTH)
    assert desk.bridge.stats.flooded == 50
    assert desk.say("/version", peer=("127.0.0.1", 1))
    desk.clock.now_s += 0.1
    for _ in range(round(MESSAGES_A_SECOND * 0.1) + 7):
        desk.throw(STRENGTH)
    assert desk.bridge.stats.flooded == 57


async def test_every_message_of_a_bundle_counts():
    desk = Desk("guitar")
    whole = bundle(*[STRENGTH] * MAX_MESSAGES)
    for _ in range(round(MOST_AT_ONCE) // MAX_MESSAGES + 1):
        desk.throw(whole)
    assert desk.bridge.stats.flooded == 1
    assert desk.bridge.stats.messages == round(MOST_AT_ONCE) // MAX_MESSAGES * MAX_MESSAGES


async def test_sources_that_are_many_are_held_back_together():
    desk = Desk("guitar")
    for port in range(round(ALL_MESSAGES_A_SECOND) + 500):
        desk.throw(STRENGTH, ("127.0.0.1", port))
    assert desk.bridge.stats.flooded == 500


def test_a_source_is_forgotten_once_enough_others_have_come():
    clock = FakeClock(0.0)
    gate = Gate((), clock)
    first = gate.peer(("127.0.0.1", 0))
    assert first is not None
    assert gate.take(first, round(MOST_AT_ONCE))
    assert not gate.take(first, 1)
    for port in range(1, MAX_SOURCES):
        gate.peer(("127.0.0.1", port))
    assert gate.peer(first.address) is first
    for port in range(1, MAX_SOURCES + 1):
        gate.peer(("127.0.0.1", port))
    again = gate.peer(first.address)
    assert again is not None
    assert gate.take(again, 1)


async def test_messages_that_find_no_room_are_dropped_by_the_datagram():
    desk = Desk("guitar")
    whole = bundle(*[STRENGTH] * MAX_MESSAGES)
    for port in range(MAX_WAITING // MAX_MESSAGES + 1):
        desk.bridge.receive(whole, ("127.0.0.1", port))
    assert desk.bridge.stats.busy == 1
    while desk.bridge.work():
        pass
    assert len(desk.controls) == MAX_WAITING


async def test_a_fault_of_ours_is_answered_without_its_text_and_ends_nothing(caplog: pytest.LogCaptureFixture):
    desk = Desk("guitar")

    def broken() -> list[object]:
        raise ZeroDivisionError("secret")

    desk.listings = desk.running = broken  # type: ignore[method-assign,assignment]
    for answers in (desk.say("/deepmusic/sessions"), await desk.ask("/deepmusic/styles")):
        ((address, _, text),) = answers
        assert address == "/fail"
        assert "secret" not in text
    assert caplog.text.count("ZeroDivisionError: secret") == 2


@pytest.mark.usefixtures("_no_collection")
async def test_thousands_of_damaged_datagrams_do_no_harm(caplog: pytest.LogCaptureFixture):
    fuzzer = Fuzzer(Studio(), seed=53)
    for _ in range(N_FUZZED):
        fuzzer.one()
    await fuzzer.tidy()
    outcome, stats = fuzzer.outcome, fuzzer.desk.bridge.stats
    assert outcome.wrong == []
    assert outcome.slow == []
    assert outcome.n_packets > 100
    assert min(stats.foreign, stats.malformed, stats.messages, stats.late, stats.too_early, stats.failed) > 50
    assert caplog.records == []
    assert fuzzer.desk.say("/version")
    fuzzer.desk.bridge.close()
