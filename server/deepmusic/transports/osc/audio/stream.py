"""One stream of audio over OSC: datagrams in, a session on its own thread, datagrams out.

::

    datagram -> budget -> jitter buffer -> session (its thread) -> flags -> datagrams of 1400 bytes
                               |  ^
                               timer: what is missing is given up
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from deepmusic.errors import AudioTooFast, BadBlockSize
from deepmusic.session.events import AudioFlag, AudioIn, AudioOut, Failure, Finish, Held, Notice, Summary
from deepmusic.session.stats import SessionStats
from deepmusic.transports.osc.audio.jitter import JitterBuffer, Run
from deepmusic.transports.osc.audio.messages import AudioPacket, OpenRequest, closed, frames_of_a_packet, out
from deepmusic.transports.osc.counters import Count, Counters
from deepmusic.transports.osc.datagram import MAX_DATAGRAM_BYTES
from deepmusic.transports.osc.gate import Allowance, Peer
from deepmusic.transports.osc.namespace import stream_part
from deepmusic.transports.osc.ports import Emitted, OwnSession
from deepmusic.transports.wire.pcm import PcmCodec

CREDIT_S, REFILL = 2.0, 1.05
"""Audio that a sender may be ahead, and how much faster than real time it comes back: two clocks are never the same."""

_MAX_GAPS_REMEMBERED = 1024


class AudioStream:
    """A stream from its opening to its end. All methods are [loop], but ``emit``.

    Args:
        request: What it is to be.
        peer: Who opened it, and nobody else, sends to it and hears it.
        send: Sends bytes to a peer; False where it cannot now.
        counters: Counts what is dropped.
        ended: Called once, at the end.
        clock: Monotonic seconds, the same that the loop's timers have.
    """

    def __init__(
        self,
        request: OpenRequest,
        peer: Peer,
        send: Callable[[bytes, Peer], bool],
        counters: Counters,
        ended: Callable[[AudioStream], None],
        clock: Callable[[], float],
    ) -> None:
        sound = request.config.audio_format
        self.peer = peer
        self.part = stream_part(request.config.session_id)
        """Its name as it stands in addresses."""
        self._send = send
        self._counters = counters
        self._ended = ended
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._codec = PcmCodec(sound.n_channels, request.config.sample_format)
        self.max_block_samples = MAX_DATAGRAM_BYTES // self._codec.frame_bytes
        """Samples of the largest datagram that is taken."""
        self._out_samples = frames_of_a_packet(self.part, self._codec.frame_bytes)
        self.jitter = JitterBuffer(sound, request.wait_samples)
        now_s = clock()
        self.heard_s = now_s
        """When audio came last."""
        self._samples = Allowance(REFILL * sound.sample_rate_hz, CREDIT_S * sound.sample_rate_hz, now_s)
        self._gaps: deque[tuple[int, int]] = deque(maxlen=_MAX_GAPS_REMEMBERED)  # concealed: first sample, end
        self._session: OwnSession | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._reason = "closed"
        self._stats = SessionStats()
        self._is_finishing = False
        self._is_over = False

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self._is_over

    def run(self, session: OwnSession) -> None:
        """Begins."""
        self._session = session
        if self._is_over:
            session.close()

    def receive(self, packet: AudioPacket) -> None:
        """Takes a datagram, or drops it and counts why: it is then concealed like one that was lost."""
        if self._session is None or self._is_finishing:
            return
        now_s = self.heard_s = self._clock()
        try:
            block = self._codec.decode(packet.pcm, max_samples=self.max_block_samples)
        except BadBlockSize:
            self._counters.add(Count.MALFORMED)
            return
        if not self._samples.take(block.shape[1], now_s):
            self._counters.add(Count.FLOODED)
            return
        self.jitter.push(block, packet.first_sample, packet.sequence, now_s)
        self._go_on()

    def finish(self, reason: str = "closed") -> None:
        """Gives the tail out, then says that it has ended."""
        if self._session is None or self._is_finishing:
            return
        self._is_finishing, self._reason = True, reason
        if self._timer is not None:
            self._timer.cancel()
        self._hand_over(self.jitter.flush())
        if not self._post(Finish()):  # nothing would ever end it
            self.stop(reason)

    def stop(self, reason: str) -> None:
        """Ends at once."""
        if self._is_over:
            return
        self._is_over = True
        if self._timer is not None:
            self._timer.cancel()
        if self._session is not None:
            self._session.close()
        jitter, stats = self.jitter.stats, self._stats
        counts = (jitter.late, jitter.duplicates, jitter.strays, jitter.gaps, jitter.concealed_samples)
        answer = closed(self.part, reason, stats.samples_in, stats.samples_out, *counts, stats.late_blocks)
        if not self._send(answer, self.peer):
            self._counters.add(Count.WITHHELD)
        self._ended(self)

    def emit(self, emitted: Emitted) -> None:
        """[worker] Takes what the session hands out; encodes audio here, off the loop."""
        if self._is_over:
            return
        if isinstance(emitted, AudioOut):
            pcm = self._codec.encode(emitted.block)
            self._loop.call_soon_threadsafe(self._take_audio, emitted, pcm)
        else:
            self._loop.call_soon_threadsafe(self._take, emitted)

    def _go_on(self) -> None:
        """Hands over what can go on, and looks again when more can though nothing comes."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now_s = self._clock()
        self._hand_over(self.jitter.pop(now_s))
        due_s = self.jitter.due_s(now_s)
        if due_s is not None and not self._is_over:
            self._timer = self._loop.call_at(due_s, self._go_on)

    def _hand_over(self, runs: list[Run]) -> None:
        for run in runs:
            if run.is_concealed:
                self._gaps.append((run.first_sample, run.first_sample + run.block.shape[1]))
            for first in range(0, run.block.shape[1], self.max_block_samples):
                block = run.block[:, first : first + self.max_block_samples]
                self._post(AudioIn(block=block, first_sample=run.first_sample + first, sequence=run.sequence))

    def _post(self, event: AudioIn | Finish) -> bool:
        """Whether the session takes it."""
        if self._session is None or self._is_over:
            return False
        try:
            self._session.post(event)
        except AudioTooFast:
            self._counters.add(Count.BUSY)
            return False
        return True

    def _take_audio(self, audio: AudioOut, pcm: bytes) -> None:
        frame = self._codec.frame_bytes
        for first in range(0, audio.block.shape[1], self._out_samples):
            position = audio.first_sample + first
            n_samples = min(self._out_samples, audio.block.shape[1] - first)
            flags = audio.flags | (AudioFlag.CONCEALED if self._is_guess(position, n_samples) else AudioFlag.NONE)
            part = pcm[first * frame : (first + n_samples) * frame]
            if not self._send(out(self.part, audio.sequence, position, int(flags), part), self.peer):
                self._counters.add(Count.WITHHELD)

    def _is_guess(self, position: int, n_samples: int) -> bool:
        """Whether output was made of content that was concealed: content sounds one latency later."""
        if self._session is None:
            return False
        first = position - self._session.facts.latency_samples
        while self._gaps and self._gaps[0][1] <= first:
            self._gaps.popleft()
        return any(begin < first + n_samples for begin, _ in self._gaps)

    def _take(self, emitted: Notice | Held | Summary | Failure) -> None:
        match emitted:
            case Notice() | Held():
                pass
            case Summary():
                self._stats = emitted.stats
                self.stop(self._reason)
            case Failure():
                self.stop(emitted.error.message)
