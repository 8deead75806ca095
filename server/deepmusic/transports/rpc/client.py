"""A client for programs on asyncio: ``deepmusic stream``, tests, examples.

::

    async with RpcClient("127.0.0.1:50051") as client:
        async with client.transfer(config) as call:
            await call.send(block)              # as often as there is audio
            await call.finish()
            async for answer in call: ...       # at the same time, in another task
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, cast

import grpc
import grpc.aio

from deepmusic.audio import Audio
from deepmusic.errors import InternalError
from deepmusic.model.style_share import StyleShare
from deepmusic.model.style_vector import StyleVector
from deepmusic.session.events import AudioFlag, Control, Finish, Flush, Timing
from deepmusic.session.statistics import Statistics
from deepmusic.transports.rpc.ending import CallEnding
from deepmusic.transports.rpc.options import CHANNEL_OPTIONS
from deepmusic.transports.rpc.status import error_of
from deepmusic.transports.wire.listings import BundleListing, StyleListing, read_bundle_listing, read_style_listing
from deepmusic.transports.wire.messages import (
    AudioMessage,
    KeepAlive,
    StreamConfig,
    StreamEvent,
    StreamReady,
    StreamRequest,
    StreamResponse,
    StreamSummary,
    StyleControl,
    StyledMessage,
    UnknownMessage,
)
from deepmusic.transports.wire.pcm import PcmCodec, SampleFormat
from deepmusic.transports.wire.requests import write_format, write_request
from deepmusic.transports.wire.responses import read_response
from deepmusic.transports.wire.style_vectors import read_style_vector, write_style_vector
from deepmusic.v1 import (
    model_service_pb2,
    model_service_pb2_grpc,
    style_service_pb2,
    style_service_pb2_grpc,
    transfer_service_pb2_grpc,
)

UPLOAD_SAMPLES = 16384
"""Samples of one part of an upload."""

CALL_TIMEOUT_S = 10.0
"""Longest wait for a call that answers at once."""

LEARN_TIMEOUT_S = 120.0
"""Longest wait for a style to be learned."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StyledAudio:
    """A block from the server."""

    block: Audio
    """float32 ``(channels, samples)``."""
    first_sample: int
    """Position of the first sample; what sounds is the input of ``latency_samples`` earlier."""
    sequence: int
    """Number of the block that it answers."""
    flags: AudioFlag
    """What is special about it."""
    timing: Timing
    """Where the time of its last model step went."""


Answer = StyledAudio | StreamEvent | StreamSummary


class RpcClient:
    """A connection to a server. All methods are [loop] and raise ``DeepmusicError`` where a call fails.

    Args:
        address: "HOST:PORT".
        root_certificates: PEM of who signed the server's certificate, for a server with TLS; ``None`` for plain text.
    """

    def __init__(self, address: str, *, root_certificates: bytes | None = None) -> None:
        self.address = address
        if root_certificates is None:
            self._channel = grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)
        else:
            credentials = grpc.ssl_channel_credentials(root_certificates)
            self._channel = grpc.aio.secure_channel(address, credentials, options=CHANNEL_OPTIONS)
        # Generated stubs come without types.
        self._transfers: Any = cast("Any", transfer_service_pb2_grpc).TransferServiceStub(self._channel)
        self._styles: Any = cast("Any", style_service_pb2_grpc).StyleServiceStub(self._channel)
        self._models: Any = cast("Any", model_service_pb2_grpc).ModelServiceStub(self._channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the connection and every call on it."""
        await self._channel.close()

    async def bundles(self) -> tuple[BundleListing, ...]:
        """Every bundle of the server."""
        request = model_service_pb2.ListBundlesRequest()
        answer = await self._answer(self._models.ListBundles(request, timeout=CALL_TIMEOUT_S))
        return tuple(read_bundle_listing(bundle) for bundle in answer.bundles)

    async def bundle(self, name: str = "") -> BundleListing:
        """One bundle; without a name the default one."""
        request = model_service_pb2.GetBundleRequest(name=name)
        answer = await self._answer(self._models.GetBundle(request, timeout=CALL_TIMEOUT_S))
        return read_bundle_listing(answer.bundle)

    async def parameter_names(self) -> tuple[str, ...]:
        """Names of the parameters, in the registry's order."""
        request = model_service_pb2.ListParametersRequest()
        answer = await self._answer(self._models.ListParameters(request, timeout=CALL_TIMEOUT_S))
        return tuple(parameter.name for parameter in answer.parameters)

    async def styles(self) -> tuple[StyleListing, ...]:
        """Every style of the server."""
        request = style_service_pb2.ListStylesRequest()
        answer = await self._answer(self._styles.ListStyles(request, timeout=CALL_TIMEOUT_S))
        return tuple(read_style_listing(style) for style in answer.styles)

    async def style(self, name: str) -> StyleListing:
        """One style."""
        request = style_service_pb2.GetStyleRequest(name=name)
        answer = await self._answer(self._styles.GetStyle(request, timeout=CALL_TIMEOUT_S))
        return read_style_listing(answer.style)

    async def create_style(
        self, name: str, audio: Audio, sample_rate_hz: int, *, bundle: str = "", temporary: bool = False
    ) -> StyleListing:
        """Has the server learn a style.

        Args:
            name: Its name; empty for a temporary one, which gets one.
            audio: float32 ``(channels, samples)``, at most 20 million samples over all channels.
            sample_rate_hz: Rate of the recording.
            bundle: Whose encoder learns it; empty for the default one.
            temporary: Whether the server keeps it in memory only.
        """
        codec = PcmCodec(audio.shape[0], SampleFormat.F32LE)
        header = style_service_pb2.StyleUpload(
            name=name,
            format=write_format(sample_rate_hz, audio.shape[0], codec.sample_format),
            bundle=bundle,
            temporary=temporary,
        )

        call = self._styles.CreateStyle(timeout=LEARN_TIMEOUT_S)
        ending = CallEnding(call, self.address)
        try:
            await call.write(style_service_pb2.CreateStyleRequest(header=header))
            for start in range(0, audio.shape[1], UPLOAD_SAMPLES):
                pcm = codec.encode(audio[:, start : start + UPLOAD_SAMPLES])
                await call.write(style_service_pb2.CreateStyleRequest(pcm=pcm))
            await call.done_writing()
            answer = await call
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            raise await ending.error() from None
        return read_style_listing(answer.style)

    async def delete_style(self, name: str) -> None:
        """Removes a style."""
        request = style_service_pb2.DeleteStyleRequest(name=name)
        await self._answer(self._styles.DeleteStyle(request, timeout=CALL_TIMEOUT_S))

    async def export_style(self, name: str, *, bundle: str = "") -> StyleVector:
        """A style's vector, to be kept in a project.

        Args:
            name: The style.
            bundle: Whose vector it is to be; empty for the default one.
        """
        request = style_service_pb2.ExportStyleRequest(name=name, bundle=bundle)
        answer = await self._answer(self._styles.ExportStyle(request, timeout=LEARN_TIMEOUT_S))
        return read_style_vector(answer.vector)

    async def import_style(self, vector: StyleVector, *, bundle: str = "", temporary: bool = False) -> StyleListing:
        """Puts a style back; its name may be another one there.

        Args:
            vector: What ``export_style`` gave.
            bundle: The bundle that has the vector's digest; empty for the default one.
            temporary: Whether the server keeps it in memory only.
        """
        request = style_service_pb2.ImportStyleRequest(
            vector=write_style_vector(vector), bundle=bundle, temporary=temporary
        )
        answer = await self._answer(self._styles.ImportStyle(request, timeout=LEARN_TIMEOUT_S))
        return read_style_listing(answer.style)

    def transfer(self, config: StreamConfig, *, timeout_s: float | None = None) -> TransferCall:
        """A stream; enter it as a context to open it.

        Args:
            config: What it is to be.
            timeout_s: Deadline of the whole stream in seconds.
        """
        return TransferCall(self._transfers.StreamTransfer(timeout=timeout_s), config, self.address)

    async def _answer(self, call: Awaitable[Any]) -> Any:
        try:
            return await call
        except grpc.aio.AioRpcError as error:
            raise error_of(error.code(), error.details(), error.trailing_metadata(), address=self.address) from None


class TransferCall:
    """One stream. Send and read at the same time, each in one task. All methods are [loop].

    Args:
        call: grpc's call, not yet written to.
        config: What the stream is to be.
        address: The server's, for messages.
    """

    ready: StreamReady
    """What the server decided; there once the stream is open."""
    statistics: Statistics | None = None
    """What the content's statistics were last held at; ``None`` before ``freeze``. Comes while answers are read."""

    def __init__(self, call: Any, config: StreamConfig, address: str) -> None:
        self._call = call
        self._config = config
        self._address = address
        self._ending = CallEnding(call, address)
        self._codec = PcmCodec(config.audio_format.n_channels, config.sample_format)
        self._sequence = 0
        self._position = 0
        self._unanswered_samples = 0
        self._has_room = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self.send_request(self._config)
        first = await self._read()
        if not isinstance(first, StreamReady):
            self._call.cancel()
            raise InternalError(f"expected the server at {self._address} to answer ready, got something else")
        self.ready = first
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call.cancel()

    async def send(self, block: Audio) -> None:
        """Sends the next block; waits while more than the credit is unanswered.

        Args:
            block: float32 ``(channels, samples)``, 1 to ``ready.max_block_samples`` samples.
        """
        n_samples = block.shape[1]
        while self._unanswered_samples and self._unanswered_samples + n_samples > self.ready.credit_samples:
            self._has_room.clear()
            await self._has_room.wait()
            if self._call.done():
                break
        self._unanswered_samples += n_samples
        message = AudioMessage(pcm=self._codec.encode(block), first_sample=self._position, sequence=self._sequence)
        self._sequence += 1
        self._position += n_samples
        await self.send_request(message)

    async def control(
        self, name: str, value: float, *, at_sample: int | None = None, ramp_samples: int | None = None
    ) -> None:
        """Turns a parameter."""
        await self.send_request(Control(name=name, value=value, at_sample=at_sample, ramp_samples=ramp_samples))

    async def change_style(
        self, styles: Sequence[StyleShare] | str, *, at_sample: int | None = None, fade_samples: int | None = None
    ) -> None:
        """Changes to another style or mix."""
        shares = (StyleShare(name=styles),) if isinstance(styles, str) else tuple(styles)
        await self.send_request(StyleControl(styles=shares, at_sample=at_sample, fade_samples=fade_samples))

    async def flush(self) -> None:
        """Asks for the sound that is still inside."""
        await self.send_request(Flush())

    async def keep_alive(self) -> None:
        """Says that this client is still there."""
        await self.send_request(KeepAlive())

    async def finish(self) -> None:
        """Ends the stream in good order; the tail and the summary are still to be read."""
        await self.send_request(Finish())
        await self._call.done_writing()

    async def abandon(self) -> None:
        """Half-closes without ``finish``, as a client that vanished seems to do."""
        await self._call.done_writing()

    async def send_request(self, request: StreamRequest) -> None:
        """Sends any message as it is; for tests and for what has no method here."""
        try:
            await self._call.write(write_request(request))
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            raise await self._ending.error() from None

    def __aiter__(self) -> AsyncIterator[Answer]:
        return self._answers()

    async def _answers(self) -> AsyncIterator[Answer]:
        try:
            while True:
                match await self._read():
                    case StyledMessage() as message:
                        yield self._styled(message)
                    case StreamEvent() | StreamSummary() as answer:
                        yield answer
                    case Statistics() as statistics:
                        self.statistics = statistics
                    case StreamReady() | UnknownMessage():
                        pass
                    case None:
                        return
        finally:
            self._has_room.set()

    def _styled(self, message: StyledMessage) -> StyledAudio:
        block = self._codec.decode(message.pcm, max_samples=len(message.pcm))
        if AudioFlag.TAIL not in message.flags:
            # Whatever was sent before this block is answered too, or its answer was dropped and will not come.
            behind = self._position - message.first_sample
            self._unanswered_samples = min(self._unanswered_samples, behind) - block.shape[1]
            self._has_room.set()
        return StyledAudio(
            block=block,
            first_sample=message.first_sample,
            sequence=message.sequence,
            flags=message.flags,
            timing=message.timing,
        )

    async def _read(self) -> StreamResponse | None:
        """The next message; ``None`` once the server has ended the stream in good order."""
        try:
            message = await self._call.read()
        except grpc.aio.AioRpcError:
            raise await self._ending.error() from None
        return None if message is grpc.aio.EOF else read_response(message)
