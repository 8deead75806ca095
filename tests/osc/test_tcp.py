"""OSC over TCP: framing, the same guard and budget as for datagrams, and rigs that vanish or do not read."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import itertools
import socket
import struct
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pythonosc import slip, tcp_client
from pythonosc.osc_message_builder import build_msg

from deepmusic.errors import MalformedMessage
from deepmusic.transports.osc import connection as connection_module
from deepmusic.transports.osc.connection import MAX_UNSENT_BYTES, Connection
from deepmusic.transports.osc.connections import MAX_CONNECTIONS, Connections
from deepmusic.transports.osc.counters import Count
from deepmusic.transports.osc.datagram import MAX_DATAGRAM_BYTES
from deepmusic.transports.osc.framing import Framing, Unframer
from deepmusic.transports.osc.gate import MESSAGES_A_SECOND, MOST_AT_ONCE, Peer
from tests.osc.conftest import Stage
from tests.osc.flood import FADER
from tests.osc.rig import PATIENCE_S, Desk, Reply, read
from tests.osc.test_datagram import STRENGTH, TRAPS, bundle
from tests.rpc.canary import canary

LAN = (ipaddress.ip_network("192.168.1.0/24"),)
AFAR = ("192.168.1.20", 9999)
END = b"\xc0"


def packets_of(unframer: Unframer, pieces: list[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        unframer.push(piece)
        while (packet := unframer.next()) is not None:
            yield packet


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(ends)]


packets = st.lists(st.binary(min_size=1, max_size=40).map(lambda rest: b"/" + rest), min_size=1, max_size=6)


@pytest.mark.parametrize("framing", Framing)
@given(packets, st.lists(st.integers(0, 1000), max_size=8))
def test_packets_survive_whatever_pieces_they_come_in(framing: Framing, those: list[bytes], places: list[int]):
    stream = b"".join(framing.frame(packet) for packet in those)
    assert list(packets_of(Unframer(), cut(stream, places))) == those


@given(packets)
def test_slip_is_that_of_python_osc(those: list[bytes]):
    assert all(Framing.SLIP.frame(packet) == slip.encode(packet) for packet in those)
    assert all(slip.decode(Framing.SLIP.frame(packet)) == packet for packet in those)


def test_a_sender_may_leave_the_first_end_out_and_send_more_ends_than_it_has_to():
    assert list(packets_of(Unframer(), [STRENGTH + END + END + END + STRENGTH + END])) == [STRENGTH, STRENGTH]


@pytest.mark.parametrize("broken", [b"/ab\xdbx", b"/ab\xdb", b"\xdb\xdb\xdc", b"/" + b"a" * 3 * MAX_DATAGRAM_BYTES])
def test_what_is_broken_in_slip_is_passed_over_and_what_follows_is_read(broken: bytes):
    unframer, those, n_broken = Unframer(), list[bytes](), 0
    stream = END + broken + END + Framing.SLIP.frame(STRENGTH)
    for start in range(0, len(stream), 4096):
        unframer.push(stream[start : start + 4096])
        is_more = True
        while is_more:
            try:
                packet = unframer.next()
            except MalformedMessage:
                n_broken += 1
                continue
            is_more = packet is not None
            those += [packet] if packet is not None else []
    assert (n_broken, those, unframer.is_lost) == (1, [STRENGTH], False)


@pytest.mark.parametrize(
    "stream",
    [b"\0\0\x10\x04", b"\0\xff\xff\xff", b"\0\0\0\4/a\0\0\xff\xff\xff\xfc", b"GET / HTTP/1.1\r\n", b"\x16\x03\x01"],
)
def test_behind_a_size_that_cannot_be_nothing_can_be_read(stream: bytes):
    unframer = Unframer()
    unframer.push(stream)
    with pytest.raises(MalformedMessage):
        list(packets_of(unframer, [b""]))
    assert unframer.is_lost
    assert unframer.next() is None


class TcpRig:
    """A rig that is connected; SLIP unless told otherwise."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, framing: Framing) -> None:
        self.reader, self.writer, self._framing = reader, writer, framing
        self._unframer = Unframer()

    def say(self, address: str, *arguments: object) -> None:
        self.writer.write(self._framing.frame(build_msg(address, arguments or "").dgram))  # type: ignore[arg-type]

    async def hear(self, *wanted: str) -> Reply:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                while (packet := self._unframer.next()) is not None:
                    if (answer := read(packet))[0] in wanted:
                        return answer
                piece = await self.reader.read(4096)
                assert piece, "the server has closed the connection"
                self._unframer.push(piece)

    async def is_cut_off(self) -> bool:
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(PATIENCE_S):
                while await self.reader.read(65536):
                    pass
        return True


@contextlib.asynccontextmanager
async def connected(address: str, framing: Framing = Framing.SLIP) -> AsyncIterator[TcpRig]:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield TcpRig(reader, writer, framing)
    finally:
        writer.transport.abort()


@pytest.mark.parametrize("framing", Framing)
async def test_a_rig_over_tcp_is_answered_in_its_own_framing(stage: Stage, framing: Framing):
    async with connected(stage.osc_address, framing) as rig:
        rig.say("/version")
        assert (await rig.hear("/version.reply"))[1] == "deepmusic"
        rig.say("/deepmusic/styles")
        assert await rig.hear("/done") == ("/done", "/deepmusic/styles", 3)
        rig.say("/sync", 7)
        assert await rig.hear("/synced") == ("/synced", 7)


@pytest.mark.parametrize("mode", ["1.0", "1.1"])
async def test_the_client_of_python_osc_understands_the_answers(stage: Stage, mode: str):
    host, _, port = stage.osc_address.rpartition(":")

    def ask() -> list[Reply]:
        client = tcp_client.SimpleTCPClient(host, int(port), mode=mode)
        client.send_message("/sync", 5)
        heard = next(iter(client.get_messages(PATIENCE_S)))
        client.close()
        return [(heard.address, *heard.params)]

    assert await asyncio.to_thread(ask) == [("/synced", 5)]


async def test_a_subscription_over_tcp_needs_no_token_and_ends_with_the_connection():
    desk = Desk("guitar", networks=LAN)
    peer = desk.bridge.admit(AFAR)
    assert peer is not None
    assert (peer.is_local, peer.is_connected) == (False, True)
    assert desk.bridge.offer(build_msg("/notify", 1).dgram, peer)  # type: ignore[arg-type]
    desk.bridge.work()
    assert read(desk.sent[-1][1])[:2] == ("/done", "/notify")
    await desk.bridge.tell()
    n_told = len(desk.sent)
    assert n_told > 1
    desk.say("/deepmusic/mix", 0.25)
    desk.bridge.forget(peer)
    await desk.bridge.tell()
    assert len(desk.sent) == n_told


async def test_only_allowed_networks_may_connect():
    desk = Desk(networks=LAN)
    assert [desk.bridge.admit((host, 1)) is not None for host in ("127.0.0.1", "192.168.1.9", "203.0.113.7")] == [
        *(True, True, False)
    ]
    closed: list[bool] = []
    connections = Connections(desk.bridge)
    ours, theirs = socket.socketpair()
    await connections._admit(ours, ("203.0.113.7", 1))
    theirs.settimeout(PATIENCE_S)
    closed.append(theirs.recv(1) == b"")
    theirs.close()
    assert (closed, len(connections), desk.bridge.stats.foreign) == ([True], 0, 1)


async def test_a_trap_over_tcp_is_counted_and_the_connection_goes_on(stage: Stage):
    async with canary(stage.serving), connected(stage.osc_address) as rig:
        for trap in TRAPS.values():
            if len(trap) <= MAX_DATAGRAM_BYTES:  # longer ones are framing's
                rig.writer.write(Framing.SLIP.frame(trap))
        rig.say("/sync", 1)
        await rig.hear("/synced")
    n_short = sum(0 < len(trap) <= MAX_DATAGRAM_BYTES for trap in TRAPS.values())
    assert stage.osc.stats.malformed == n_short


async def test_someone_who_speaks_something_else_is_cut_off(stage: Stage):
    async with connected(stage.osc_address) as rig:
        rig.writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert await rig.is_cut_off()
    assert stage.osc.stats.malformed == 1


async def test_more_than_the_budget_allows_waits_and_none_of_it_is_lost():
    desk = Desk("guitar")
    peer = desk.bridge.admit(("127.0.0.1", 1))
    assert peer is not None
    n_taken = 0
    while desk.bridge.offer(STRENGTH, peer):
        desk.bridge.work()
        n_taken += 1
    assert n_taken == MOST_AT_ONCE
    assert desk.bridge.stats.flooded == 0
    assert desk.say("/version")  # another source has its own
    desk.clock.now_s += 0.0101
    assert desk.bridge.offer(bundle(*[STRENGTH] * round(0.01 * MESSAGES_A_SECOND)), peer)
    assert not desk.bridge.offer(STRENGTH, peer)


async def test_a_flood_over_tcp_is_held_back_and_every_message_of_it_is_carried_out(stage: Stage):
    n_sent = round(MOST_AT_ONCE) + 300
    async with canary(stage.serving), connected(stage.osc_address) as rig:
        rig.writer.write(Framing.SLIP.frame(FADER) * n_sent)
        rig.say("/sync", 1)
        await rig.hear("/synced")
        async with connected(stage.osc_address) as other:
            other.say("/sync", 2)
            await other.hear("/synced")
    assert stage.osc.stats.messages == n_sent + 2
    assert stage.osc.stats.flooded == 0


async def test_a_rig_that_does_not_read_costs_a_bounded_buffer_and_is_cut_off(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(connection_module, "SLOW_READER_S", 0.2)
    host, _, port = stage.osc_address.rpartition(":")
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        slow.setblocking(False)
        await loop.sock_connect(slow, (host, int(port)))
        question = Framing.SLIP.frame(build_msg("/deepmusic/parameters").dgram)
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    await loop.sock_sendall(slow, question * 20)
                    assert all(
                        one._transport is None or one._transport.get_write_buffer_size() <= MAX_UNSENT_BYTES
                        for one in stage.osc._connections._open.values()
                    )
                    await asyncio.sleep(0.01)
    await stage.serving.wait_until(lambda: len(stage.osc._connections) == 0)
    assert stage.osc.stats.withheld > 0


async def test_the_system_is_asked_to_find_out_about_rigs_that_vanish(stage: Stage):
    async with connected(stage.osc_address) as rig:
        rig.say("/sync", 1)
        await rig.hear("/synced")
        (served,) = stage.osc._connections._open.values()
        assert served._transport is not None
        there = served._transport.get_extra_info("socket")
        assert there.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        idle_s, apart_s, n_probes = (
            there.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        )
        assert idle_s + apart_s * n_probes <= connection_module.DEAD_AFTER_S


async def test_of_too_many_connections_the_one_that_was_silent_for_longest_is_cut_off(stage: Stage):
    async with contextlib.AsyncExitStack() as stack:
        rigs: list[TcpRig] = []
        for n in range(MAX_CONNECTIONS):
            rigs.append(await stack.enter_async_context(connected(stage.osc_address)))
            rigs[-1].say("/sync", n)
            await rigs[-1].hear("/synced")
        rigs[0].say("/sync", 100)  # the first has just been heard again
        await rigs[0].hear("/synced")
        await stack.enter_async_context(connected(stage.osc_address))
        assert await rigs[1].is_cut_off()
        rigs[0].say("/sync", 101)
        await rigs[0].hear("/synced")
        assert len(stage.osc._connections) == MAX_CONNECTIONS


class Sink:
    """Takes packets while it has room."""

    def __init__(self) -> None:
        self.room = 0
        self.packets: list[bytes] = []
        self.dropped: list[Count] = []

    def offer(self, packet: bytes, peer: Peer) -> bool:
        if not self.room:
            return False
        self.room -= 1
        self.packets.append(packet)
        return True

    def drop(self, why: Count) -> None:
        self.dropped.append(why)

    def forget(self, peer: Peer) -> None:
        pass


class FakeTransport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.is_reading_now, self.is_aborted, self.n_unsent_bytes = True, False, 0
        self.written = b""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def pause_reading(self) -> None:
        self.is_reading_now = False

    def resume_reading(self) -> None:
        self.is_reading_now = True

    def is_closing(self) -> bool:
        return self.is_aborted

    def abort(self) -> None:
        self.is_aborted = True

    def get_write_buffer_size(self) -> int:
        return self.n_unsent_bytes

    def write(self, data: bytes) -> None:  # type: ignore[override]
        self.written += data


def fed(connection: Connection, data: bytes) -> None:
    for start in range(0, len(data), connection_module.READ_BYTES):
        piece = data[start : start + connection_module.READ_BYTES]
        connection.get_buffer(-1)[: len(piece)] = piece
        connection.buffer_updated(len(piece))


async def test_nothing_more_is_read_while_a_packet_waits_for_its_budget():
    sink, transport = Sink(), FakeTransport()
    connection = Connection(Peer(address=("127.0.0.1", 1), is_local=True), sink, lambda _: None)
    connection.connection_made(transport)
    assert not connection.send(STRENGTH)  # nobody knows its framing yet
    fed(connection, Framing.SLIP.frame(STRENGTH) * 3)
    assert (transport.is_reading_now, sink.packets) == (False, [])
    sink.room = 2
    connection._work()
    assert (transport.is_reading_now, sink.packets) == (False, [STRENGTH, STRENGTH])
    sink.room = 2
    connection._work()
    assert (transport.is_reading_now, len(sink.packets)) == (True, 3)
    transport.n_unsent_bytes = MAX_UNSENT_BYTES
    assert not connection.send(STRENGTH)
    transport.n_unsent_bytes = 0
    assert connection.send(STRENGTH)
    assert transport.written == Framing.SLIP.frame(STRENGTH)
    fed(connection, END + b"\xdbx" + END + struct.pack(">i", -1) + END)
    assert Count.MALFORMED in sink.dropped
    connection.connection_lost(None)
    assert not connection.send(STRENGTH)
