r"""The stream of the sound card on a server elsewhere, which is found again whenever it has gone.

::

    card --post--> queue --> sender --+
    OSC --offer--^                    |  one call of gRPC, on a loop and a thread of its own
    sound card <-- on_audio -- reader-+

While there is no server the sound card plays the delayed input, as it does whenever an answer is not there.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

import numpy as np

from deepmusic.app.live_stream import OnAudio, StreamWish
from deepmusic.audio import AudioFormat
from deepmusic.errors import DeepmusicError, ServerUnreachable, StreamCancelled, StyleNotFound
from deepmusic.model.style_share import brought_to_one, mix_name
from deepmusic.model.style_vector import StyleVector
from deepmusic.session.arrivals import Arrivals
from deepmusic.session.asked import AskedValues
from deepmusic.session.config import Setting
from deepmusic.session.events import AudioFlag, AudioIn, AudioOut, ChangeStyle, Control, Flush
from deepmusic.session.parameters import numeric_names
from deepmusic.session.stats import SessionStats
from deepmusic.transports.file.style_file import style_recording
from deepmusic.transports.rpc.client import RpcClient, StyledAudio, TransferCall
from deepmusic.transports.rpc.ports import SessionFacts
from deepmusic.transports.wire.listings import StyleListing
from deepmusic.transports.wire.messages import KeepAlive, StreamConfig, StyleControl, StyleShare

MAX_WAITING = 1024
"""Messages that may wait for the network; one more, and the call is given up for a new one."""

RETRY_S = 0.5
"""Between two tries to find the server again."""

KEEP_ALIVE_S = 10.0
"""While the device is away the server hears that its client is not."""

PATIENCE_S = 15.0
"""Longest wait of another thread for the server's answer."""

KEPT_MIXES = 256
"""Mixes of styles that were looked up and may still be asked for; the oldest goes first."""

_log = logging.getLogger(__name__)

_Message = AudioIn | Control | StyleControl | Flush
_T = TypeVar("_T")


class RemoteStream:
    """A stream of another machine's server, for the sound card and for OSC.

    Args:
        wish: What it is to be; a style is the server's, or a recording that is sent there.
        on_audio: [remote] Takes what comes out.
        server: "HOST:PORT".
        root_certificates: PEM of who signed the server's certificate; ``None`` for plain text.

    Raises:
        DeepmusicError: The server or the style is not to be had.
    """

    def __init__(
        self, wish: StreamWish, on_audio: OnAudio, *, server: str, root_certificates: bytes | None = None
    ) -> None:
        self._wish = wish
        self._on_audio = on_audio
        self._server = server
        self.notes: tuple[str, ...] = ()
        self._asked = AskedValues(wish.settings, wish.style)
        self._counts = dict.fromkeys(asdict(SessionStats()), 0)
        self._mixes: OrderedDict[str, tuple[StyleShare, ...]] = OrderedDict()
        self._facts: SessionFacts | None = None
        self._opened_for: tuple[AudioFormat, int] | None = None
        self._arrivals = Arrivals(48000)
        self._arrivals_lock = threading.Lock()
        self._running: asyncio.Task[None] | None = None
        self._has_call = False
        self._offset = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="deepmusic-remote", daemon=True)
        self._thread.start()
        try:
            self._client = self._wait_for(self._connect(root_certificates))
            self._shares = self._wait_for(self._find_style(wish))
        except BaseException:
            self._stop_loop()
            raise

    @property
    def name(self) -> str:
        """[any] Its name."""
        return self._wish.name

    @property
    def styles(self) -> RemoteStream:
        """[any] The server's styles, for OSC."""
        return self

    @property
    def audio_format(self) -> AudioFormat:
        """[any] Rate and channels of the device."""
        assert self._opened_for is not None, "the stream is not open"
        return self._opened_for[0]

    @property
    def facts(self) -> SessionFacts:
        """[any] What the server said of it."""
        assert self._facts is not None, "the stream is not open"
        return self._facts

    @property
    def stats(self) -> SessionStats:
        """[any] What was counted here: blocks and samples, those that were late, and changes of style."""
        return SessionStats(**self._counts)

    @property
    def values(self) -> Mapping[str, float | str]:
        """[loop] What it was last asked for, by parameter."""
        return self._asked.values

    @property
    def shares(self) -> tuple[tuple[str, float], ...]:
        """[loop] Names and weights of the styles that it was last asked for."""
        return self._asked.shares

    def running(self) -> tuple[RemoteStream, ...]:
        """[any] For OSC: this stream, once it is open."""
        return () if self._facts is None else (self,)

    def listings(self) -> Sequence[StyleListing]:
        """[any but loop] The server's styles."""
        return self._wait_for(self._client.styles())

    def open(self, audio_format: AudioFormat, deadline_samples: int) -> int:
        """[card] Begins, or goes on; gives the latency in samples."""
        if self._running is not None and self._opened_for == (audio_format, deadline_samples):
            self._put(Flush())  # what was inside when the device vanished is not played after it is back
            return self.facts.latency_samples
        self._opened_for = (audio_format, deadline_samples)
        self._arrivals = Arrivals(audio_format.sample_rate_hz)
        self._wait_for(self._begin())
        return self.facts.latency_samples

    def post(self, block: AudioIn) -> None:
        """[card] Takes a block; never waits."""
        with self._arrivals_lock:
            self._arrivals.add(block.first_sample + block.block.shape[1], time.monotonic())
        self._put(block)

    def position_at(self, at_s: float) -> int | None:
        """[any] The sample that comes in at a monotonic time."""
        with self._arrivals_lock:
            return self._arrivals.position(at_s, time.monotonic())

    def offer(self, event: Control | ChangeStyle) -> bool:
        """[any] Hands in a control; whether it was taken."""
        if self._queue.qsize() >= MAX_WAITING:
            return False
        if isinstance(event, Control):
            self._put(event)
        else:
            shares = self._mixes.get(event.vector.name)
            if shares is None:
                return False
            self._shares = shares
            self._put(StyleControl(styles=shares, at_sample=event.at_sample, fade_samples=event.fade_samples))
        self._asked.note(event)
        return True

    def style(self, styles: Sequence[StyleShare]) -> StyleVector:
        """[any but loop] Looks styles up at the server. The vector stays there: what is handed out carries its name.

        Raises:
            StyleNotFound: No style of that name.
        """
        for share in styles:
            self._wait_for(self._client.style(share.name))
        name = mix_name((share.name, share.weight) for share in brought_to_one(styles))
        self._mixes[name] = tuple(styles)
        while len(self._mixes) > KEPT_MIXES:
            self._mixes.popitem(last=False)
        return StyleVector(values=np.zeros(1, np.float32), bundle_digest=self.facts.bundle_digest, name=name)

    def close(self) -> None:
        """[any but loop] Ends the call and the connection."""
        self._wait_for(self._end_calls())
        self._wait_for(self._client.close())
        self._stop_loop()

    def _wait_for(self, work: Coroutine[Any, Any, _T]) -> _T:
        """[any but remote] Has something done on the stream's own loop."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(PATIENCE_S)
        except TimeoutError:
            future.cancel()
            raise ServerUnreachable(
                f"expected an answer of {self._server} within {PATIENCE_S:g} s, got none; look at the network"
            ) from None

    def _stop_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _put(self, message: _Message) -> None:
        self._loop.call_soon_threadsafe(self._take, message)

    def _take(self, message: _Message) -> None:
        if isinstance(message, AudioIn) and not self._has_call:
            return  # its time will have passed before there is a call again
        with contextlib.suppress(asyncio.QueueFull):  # the sender finds the gap, and begins anew
            self._queue.put_nowait(message)

    async def _connect(self, root_certificates: bytes | None) -> RpcClient:
        self._queue: asyncio.Queue[_Message] = asyncio.Queue(MAX_WAITING)
        client = RpcClient(self._server, root_certificates=root_certificates)
        await client.bundle(self._wish.bundle)
        return client

    async def _find_style(self, wish: StreamWish) -> tuple[StyleShare, ...]:
        recording = await asyncio.to_thread(style_recording, wish.style)
        if recording is None:
            await self._client.style(wish.style)
            return (StyleShare(name=wish.style),)
        listing = await self._client.create_style("", *recording, bundle=wish.bundle, temporary=True)
        return (StyleShare(name=listing.name),)

    async def _begin(self) -> None:
        """Opens a call, and keeps one open from now on."""
        await self._end_calls()
        call = await self._open_call()
        self._running = self._loop.create_task(self._keep(call))

    async def _end_calls(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def _open_call(self) -> TransferCall:
        assert self._opened_for is not None
        audio_format, deadline_samples = self._opened_for
        values = self._asked.values
        config = StreamConfig(
            audio_format=audio_format,
            styles=self._shares,
            bundle=self._wish.bundle,
            session_id=self._wish.name,
            settings=tuple(Setting(name=name, value=float(values[name])) for name in numeric_names()),
            deadline_samples=deadline_samples,
        )
        call = await self._client.transfer(config).__aenter__()
        ready = call.ready
        self._facts = SessionFacts(
            bundle=ready.bundle,
            bundle_digest=ready.bundle_digest,
            latency_samples=ready.latency_samples,
            step_samples=ready.step_samples,
            provider=ready.provider,
            precision=ready.precision,
            requested_device=ready.requested_device,
        )
        return call

    async def _keep(self, call: TransferCall) -> None:
        while True:
            try:
                await self._run(call)
            except DeepmusicError:
                pass
            except Exception:
                _log.exception("a stream to a server broke off; another one begins")
            call = await self._find_again()

    async def _find_again(self) -> TransferCall:
        while True:
            await asyncio.sleep(RETRY_S)
            latency = self.facts.latency_samples
            try:
                call = await self._open_call()
            except StyleNotFound:  # a server that was started anew has forgotten the recording that it was sent
                with contextlib.suppress(DeepmusicError):
                    self._shares = await self._find_style(self._wish)
                continue
            except DeepmusicError:
                continue
            if call.ready.latency_samples == latency:
                return call
            await call.__aexit__(None, None, None)  # another bundle, whose sound would come at another time

    async def _run(self, call: TransferCall) -> None:
        try:
            first, controls = await self._first_messages()
            self._offset = first.first_sample
            reading = asyncio.create_task(self._read(call, first))
            sending = asyncio.create_task(self._send(call, [first, *controls]))
            try:
                done, _ = await asyncio.wait((reading, sending), return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                for task in (reading, sending):
                    task.cancel()
                await asyncio.gather(reading, sending, return_exceptions=True)
        finally:
            self._has_call = False
            await call.__aexit__(None, None, None)

    async def _first_messages(self) -> tuple[AudioIn, list[_Message]]:
        """The block with which a call begins, and the controls that waited; what was sent before has had its time."""
        controls: list[_Message] = []
        while not self._queue.empty():
            message = self._queue.get_nowait()
            if isinstance(message, Control | StyleControl):
                controls.append(message)
        self._has_call = True
        while not isinstance(message := await self._queue.get(), AudioIn):
            controls.append(message)
        return message, controls

    async def _send(self, call: TransferCall, first: Sequence[_Message]) -> None:
        waiting: deque[_Message] = deque(first)
        message: _Message | KeepAlive = waiting.popleft()
        expected = self._offset
        while True:
            match message:
                case AudioIn():
                    if message.first_sample != expected:
                        raise StreamCancelled("blocks were lost on their way to the network; the stream begins anew")
                    expected += message.block.shape[1]
                    self._counts["blocks_in"] += 1
                    self._counts["samples_in"] += message.block.shape[1]
                    await call.send(message.block)
                case Control() as control:
                    at = self._place(control.at_sample)
                    await call.control(control.name, control.value, at_sample=at, ramp_samples=control.ramp_samples)
                case StyleControl() as control:
                    self._counts["style_changes"] += 1
                    at = self._place(control.at_sample)
                    await call.change_style(control.styles, at_sample=at, fade_samples=control.fade_samples)
                case Flush():
                    await call.flush()
                case KeepAlive():
                    await call.keep_alive()
            if waiting:
                message = waiting.popleft()
                continue
            try:
                message = await asyncio.wait_for(self._queue.get(), KEEP_ALIVE_S)
            except TimeoutError:
                message = KeepAlive()

    async def _read(self, call: TransferCall, first: AudioIn) -> None:
        async for answer in call:
            if not isinstance(answer, StyledAudio):
                continue
            self._count(answer)
            self._on_audio(
                AudioOut(
                    block=answer.block,
                    first_sample=answer.first_sample + first.first_sample,
                    sequence=answer.sequence + first.sequence,
                    flags=answer.flags,
                    timing=answer.timing,
                )
            )
        raise StreamCancelled("the server has ended the stream; another one begins")

    def _count(self, answer: StyledAudio) -> None:
        counted: dict[AudioFlag, str] = {
            AudioFlag.LATE: "late_blocks",
            AudioFlag.DRY: "dry_blocks",
            AudioFlag.CEILING: "ceiling_blocks",
        }
        for flag, counter in counted.items():
            self._counts[counter] += flag in answer.flags
        self._counts["blocks_out"] += 1
        self._counts["samples_out"] += answer.block.shape[1]

    def _place(self, at_sample: int | None) -> int | None:
        """A position of the set as one of the call's; what lies before its beginning is at once."""
        return None if at_sample is None or at_sample < self._offset else at_sample - self._offset
