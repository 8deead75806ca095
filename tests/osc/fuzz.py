"""Damaged OSC without end: what may come from a network where anybody may send anything.

Usage: python -m tests.osc.fuzz DATAGRAMS [SEED]     from the repository's root; prints what became of them

Each datagram goes through the real gate, guard, codec and bridge, every fourth as packets of a connection, in pieces;
the streams and the socket are fakes. A turn is what the server's loop is held for at a time, in processor time.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import random
import struct
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pythonosc.osc_message_builder import OscMessageBuilder, build_msg

from deepmusic.errors import MalformedMessage
from deepmusic.session.parameters import PARAMETERS
from deepmusic.transports.osc.audio.messages import AudioAddress
from deepmusic.transports.osc.datagram import MAX_DATAGRAM_BYTES
from deepmusic.transports.osc.framing import Framing, Unframer
from deepmusic.transports.osc.namespace import QUESTIONS
from deepmusic.transports.osc.time_tag import tag_of
from tests.osc.rig import LOCAL, PATIENCE_S, Desk

LONGEST_TURN_S = 0.005
"""Of the processor's time: other programs that share it are no fault of the bridge."""
AFAR = ("192.168.1.20", 9999)
FOREIGN = ("203.0.113.7", 9999)
CONNECTED = ("127.0.0.1", 40000)
TIDIED_EVERY = 1000
TRIES = 10
MOST_HELD_BYTES = 3 * MAX_DATAGRAM_BYTES


def bundle(*elements: bytes, time_tag: int = 1) -> bytes:
    sized = b"".join(struct.pack(">i", len(element)) + element for element in elements)
    return b"#bundle\0" + struct.pack(">Q", time_tag) + sized


def sound_messages() -> list[bytes]:
    """Messages as they should be: every address, with arguments that fit it and such that do not."""
    addresses = [*QUESTIONS, "/deepmusic/session/*/at", "/deepmusic/*", "/deepmusic/session/[gv]*/{mix,style}"]
    addresses += [f"/deepmusic/{name}" for name in PARAMETERS]
    values: list[list[object]] = [[], [1], [0.5, 100], ["brass"], ["brass", 0.5, "strings", 0.5], [100, "mix", 0.5]]
    values += [[-(2**40)], [2**62, 2**62], [1e30], [-1e30, 1e30], [True, None], [b"blob"], ["", ""]]
    sound = [build_msg(address, value or "").dgram for address in addresses for value in values]  # type: ignore[arg-type]
    sound += [build_msg(AudioAddress.OPEN.value, ["set", "brass", 48000, 2, form]).dgram for form in ("F32LE", "MP3")]
    sound += [build_msg(AudioAddress.CLOSE.value, ["set"]).dgram]  # type: ignore[arg-type]
    for first, pcm in ((0, bytes(64)), (2**60, bytes(8)), (480, bytes(7))):
        builder = OscMessageBuilder(AudioAddress.IN.value)
        for value, kind in (("set", "s"), (1, "i"), (first, "h"), (pcm, "b")):
            builder.add_arg(value, kind)
        sound.append(builder.build().dgram)
    return sound


def noise_datagram(source: random.Random, sound: Sequence[bytes]) -> bytes:
    """Something near OSC: a message, a bundle, damaged in a few places or cut, or plain noise."""
    kind = source.random()
    if kind < 0.1:
        return source.randbytes(source.randrange(200))
    picked = source.choices(sound, k=source.randrange(1, 6))
    tag = source.choice([1, 0, 2**64 - 1, source.getrandbits(64), tag_of(1_700_000_000.0 + 0.1)])
    whole = bytearray(picked[0] if kind < 0.5 else bundle(*picked, bundle(*picked), time_tag=tag))
    for _ in range(source.randrange(4)):
        place = source.randrange(len(whole))
        if source.random() < 0.5:
            whole[place] = source.randrange(256)
        else:
            size = source.choice([-4, -1, 0, 4, 2**31 - 1, -(2**31)])
            whole[place : place + 4] = struct.pack(">i", size)
    return bytes(whole[: source.randrange(len(whole) + 1)] if source.random() < 0.2 else whole)


@contextlib.contextmanager
def untraced() -> Iterator[None]:
    """Without the tracer of a coverage run, which makes every line four times as slow."""
    tracer = sys.gettrace()
    sys.settrace(None)
    try:
        yield
    finally:
        sys.settrace(tracer)


@untraced()
def longest_turn_s(desk: Desk, datagram: bytes, peer: tuple[str | int, ...] = LOCAL) -> float:
    """The longest turn of a datagram, in processor time."""
    start_s = time.thread_time()
    desk.bridge.receive(datagram, peer)
    longest_s = time.thread_time() - start_s
    is_more = True
    while is_more:
        start_s = time.thread_time()
        is_more = desk.bridge.work()
        longest_s = max(longest_s, time.thread_time() - start_s)
    return longest_s


@dataclass(slots=True)
class Outcome:
    """What became of them."""

    n_sent: int = 0
    n_packets: int = 0
    n_lost_streams: int = 0
    longest_turn_s: float = 0.0
    n_slow_once: int = 0
    slow: list[tuple[bytes, tuple[str | int, ...]]] = field(default_factory=list[tuple[bytes, tuple[str | int, ...]]])
    wrong: list[str] = field(default_factory=list[str])


class Fuzzer:
    """Sends damaged OSC to a desk."""

    def __init__(self, desk: Desk, seed: int) -> None:
        self.desk = desk
        self.outcome = Outcome()
        self._source = random.Random(seed)
        self._sound = sound_messages()
        self._unframer = Unframer()

    def one(self) -> None:
        """The next datagram; what must not happen is noted."""
        outcome, desk = self.outcome, self.desk
        n = outcome.n_sent
        outcome.n_sent += 1
        desk.clock.now_s += 1.0  # allowances are full again
        datagram = noise_datagram(self._source, self._sound)
        if n % 4 == 3:
            self._in_pieces(datagram)
            return
        peer = (LOCAL, AFAR, FOREIGN)[n % 3]
        n_before = len(desk.sent)
        turn_s = longest_turn_s(desk, datagram, peer)
        outcome.longest_turn_s = max(outcome.longest_turn_s, turn_s)
        if turn_s >= LONGEST_TURN_S:
            self._look_again(datagram, peer)
        sent = desk.sent[n_before:]
        if any(address != peer for address, _ in sent) or (peer == FOREIGN and sent):
            outcome.wrong.append(f"somebody else was answered: {datagram!r}")
        if peer == AFAR and sum(len(packet) for _, packet in sent) > len(datagram):
            outcome.wrong.append(f"more came back than went in: {datagram!r}")

    def _look_again(self, datagram: bytes, peer: tuple[str | int, ...]) -> None:
        """A shared machine charges a turn with what others did to its caches: only what is slow every time is."""
        self.outcome.n_slow_once += 1
        again_s = min(longest_turn_s(type(self.desk)(), datagram, peer) for _ in range(TRIES))
        if again_s >= LONGEST_TURN_S:
            self.outcome.slow.append((datagram, peer))

    async def tidy(self) -> None:
        """Lets what waits for a thread be done, and forgets what the fakes have kept."""
        bridge = self.desk.bridge
        running = asyncio.create_task(bridge.run())
        async with asyncio.timeout(PATIENCE_S):
            while bridge._errands._waiting:  # noqa: ASYNC110 (what is polled has no event)
                await asyncio.sleep(0.001)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        self.desk.sent.clear()
        for session in self.desk.sessions:
            session.offered.clear()

    def _in_pieces(self, datagram: bytes) -> None:
        source, unframer, outcome = self._source, self._unframer, self.outcome
        peer = self.desk.bridge.admit(CONNECTED)
        assert peer is not None
        stream = source.choice(list(Framing)).frame(datagram)
        if source.random() < 0.3:
            stream = datagram
        while stream:
            n_piece = source.randrange(1, len(stream) + 1)
            unframer.push(stream[:n_piece])
            stream = stream[n_piece:]
            while True:
                try:
                    packet = unframer.next()
                except MalformedMessage:
                    continue
                if packet is None:
                    break
                outcome.n_packets += 1
                self.desk.bridge.offer(packet, peer)
                while self.desk.bridge.work():
                    pass
        if len(unframer._bytes) > MOST_HELD_BYTES:
            outcome.wrong.append("a connection holds more than it may")
        if unframer.is_lost:
            outcome.n_lost_streams += 1
            self.desk.bridge.forget(peer)
            self._unframer = Unframer()


class Complaints(logging.Handler):
    """Keeps what the bridge logs: it logs only what is its own fault."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(self.format(record))


async def run(n_datagrams: int, seed: int) -> int:
    """The whole run; prints, and returns 1 where anything happened that must not."""
    from tests.osc.test_audio import Studio

    gc.disable()
    complaints = Complaints()
    logging.getLogger("deepmusic").addHandler(complaints)
    fuzzer = Fuzzer(Studio(), seed)
    start_s, start_cpu_s = time.monotonic(), time.process_time()
    while fuzzer.outcome.n_sent < n_datagrams:
        fuzzer.one()
        n = fuzzer.outcome.n_sent
        if n % TIDIED_EVERY == 0:
            await fuzzer.tidy()
            gc.collect()
        if n % 250_000 == 0 or n == n_datagrams:
            outcome, stats = fuzzer.outcome, fuzzer.desk.bridge.stats
            minutes, cpu_s = (time.monotonic() - start_s) / 60.0, time.process_time() - start_cpu_s
            print(
                f"{n} datagrams ({outcome.n_packets} packets of connections) in {minutes:.1f} min, {cpu_s:.0f} s of "
                f"processor time: longest turn {1000 * outcome.longest_turn_s:.2f} ms; of 5 ms and more "
                f"{outcome.n_slow_once} once, {len(outcome.slow)} every time; {len(outcome.wrong)} wrong, "
                f"{len(complaints.records)} complaints; {stats}",
                flush=True,
            )
    for line in (*fuzzer.outcome.wrong[:10], *fuzzer.outcome.slow[:10], *complaints.records[:10]):
        print(line)
    fuzzer.desk.bridge.close()
    return int(bool(fuzzer.outcome.wrong or fuzzer.outcome.slow or complaints.records))


if __name__ == "__main__":
    sys.exit(asyncio.run(run(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 53)))
