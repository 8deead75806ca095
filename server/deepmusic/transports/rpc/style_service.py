"""StyleService: styles are learned from uploads, listed, removed, given out and put back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import grpc.aio

from deepmusic.audio import MAX_CHANNELS, Audio
from deepmusic.errors import AudioTooLong, AudioTooShort, BadConfig, MalformedMessage, NoCapacity, StreamCancelled
from deepmusic.model.style_share import check_name
from deepmusic.transports.rpc.ports import StyleShelf
from deepmusic.transports.wire.listings import StyleListing, write_style_listing
from deepmusic.transports.wire.pcm import PcmCodec
from deepmusic.transports.wire.requests import read_format
from deepmusic.transports.wire.style_vectors import read_style_vector, write_style_vector
from deepmusic.v1 import style_service_pb2, style_service_pb2_grpc

_Context = grpc.aio.ServicerContext[Any, Any]

MAX_UPLOAD_VALUES = 20_000_000
"""Samples of an upload over all channels, 80 MB as float32: 3.5 minutes of stereo at 48 kHz. The learner looks at 96 s
of a recording at most, spread over its length, so that clients send excerpts of longer ones."""

MAX_UPLOADS = 2
"""Uploads at a time: they are held in memory, and learning takes a core for a second."""

LOWEST_RATE_HZ, HIGHEST_RATE_HZ = 8000, 192000
"""Rates of a recording; those that no stream has are resampled."""

LARGEST_PART_SAMPLES = 1 << 20
"""Samples of a part, of all channels together one; a message has its own limit, ``options.MESSAGE_BYTES``."""

_IDLE_S = 30.0
MAX_UPLOAD_S = 300.0
"""An upload in all, learning not counted; the longest takes so long at 2 Mbit/s. Parts that trickle in would hold a
place for good."""


@dataclass(slots=True, kw_only=True)
class _Upload:
    """A recording as it comes in."""

    codec: PcmCodec
    name: str
    bundle: str
    sample_rate_hz: int
    is_temporary: bool
    pcm: bytearray = field(default_factory=bytearray)
    """As it came: parts of a single frame would take a hundred times their size as arrays."""
    n_samples: int = 0

    def add(self, pcm: bytes) -> None:
        self.n_samples += self.codec.n_samples(pcm, max_samples=LARGEST_PART_SAMPLES, field="pcm")
        if self.n_samples * self.codec.n_channels > MAX_UPLOAD_VALUES:
            limit_s = MAX_UPLOAD_VALUES / self.codec.n_channels / self.sample_rate_hz
            raise AudioTooLong(
                f"expected a recording of at most {limit_s:.0f} s in this format, got more; send excerpts of it",
                field="pcm",
            )
        self.pcm += pcm

    def audio(self) -> Audio:
        """[worker] The whole of it, which may take a tenth of a second."""
        if not self.pcm:
            raise AudioTooShort("expected a recording, got no samples; send pcm after the header", field="pcm")
        return self.codec.decode(self.pcm, max_samples=MAX_UPLOAD_VALUES, field="pcm")


class StyleService(style_service_pb2_grpc.StyleServiceServicer):
    """Serves the library of styles.

    Args:
        styles: Where the styles are.
    """

    def __init__(self, styles: StyleShelf) -> None:
        self._styles = styles
        self._n_uploads = 0

    async def CreateStyle(  # noqa: N802 (gRPC's name)
        self, request_iterator: AsyncIterator[style_service_pb2.CreateStyleRequest], context: _Context
    ) -> style_service_pb2.CreateStyleResponse:
        """[loop] Learns a style from an upload."""
        if self._n_uploads >= MAX_UPLOADS:
            raise NoCapacity(f"{MAX_UPLOADS} styles are being learned already; try again shortly", retry_after_s=2.0)
        self._n_uploads += 1
        learning: asyncio.Future[StyleListing] | None = None
        try:
            upload = await _receive(request_iterator)
            learning = asyncio.ensure_future(asyncio.to_thread(self._learn, upload))
            # A thread cannot be stopped: where the client goes meanwhile, its place stays taken until that is done.
            learning.add_done_callback(self._learned)
            listing = await asyncio.shield(learning)
        finally:
            if learning is None:
                self._n_uploads -= 1
        return style_service_pb2.CreateStyleResponse(style=write_style_listing(listing))

    async def ListStyles(  # noqa: N802 (gRPC's name)
        self, request: style_service_pb2.ListStylesRequest, context: _Context
    ) -> style_service_pb2.ListStylesResponse:
        """[loop] Every style."""
        listings = await asyncio.to_thread(self._styles.listings)
        return style_service_pb2.ListStylesResponse(styles=map(write_style_listing, listings))

    async def GetStyle(  # noqa: N802 (gRPC's name)
        self, request: style_service_pb2.GetStyleRequest, context: _Context
    ) -> style_service_pb2.GetStyleResponse:
        """[loop] One style."""
        listing = await asyncio.to_thread(self._styles.listing, check_name(request.name, field="name"))
        return style_service_pb2.GetStyleResponse(style=write_style_listing(listing))

    async def DeleteStyle(  # noqa: N802 (gRPC's name)
        self, request: style_service_pb2.DeleteStyleRequest, context: _Context
    ) -> style_service_pb2.DeleteStyleResponse:
        """[loop] Removes a style."""
        await asyncio.to_thread(self._styles.delete, check_name(request.name, field="name"))
        return style_service_pb2.DeleteStyleResponse()

    async def ExportStyle(  # noqa: N802 (gRPC's name)
        self, request: style_service_pb2.ExportStyleRequest, context: _Context
    ) -> style_service_pb2.ExportStyleResponse:
        """[loop] Gives a style's vector out."""
        name, bundle = check_name(request.name, field="name"), _checked_bundle(request.bundle, field="bundle")
        vector = await asyncio.to_thread(self._styles.exported, name, bundle=bundle)
        return style_service_pb2.ExportStyleResponse(vector=write_style_vector(vector))

    async def ImportStyle(  # noqa: N802 (gRPC's name)
        self, request: style_service_pb2.ImportStyleRequest, context: _Context
    ) -> style_service_pb2.ImportStyleResponse:
        """[loop] Puts a style back."""
        vector, bundle = read_style_vector(request.vector), _checked_bundle(request.bundle, field="bundle")
        listing = await asyncio.to_thread(
            self._styles.import_vector, vector, bundle=bundle, temporary=request.temporary
        )
        return style_service_pb2.ImportStyleResponse(style=write_style_listing(listing))

    def _learn(self, upload: _Upload) -> StyleListing:
        """[worker] The style of an upload that is complete."""
        return self._styles.create(
            upload.name, upload.audio(), upload.sample_rate_hz, bundle=upload.bundle, temporary=upload.is_temporary
        )

    def _learned(self, learning: asyncio.Future[StyleListing]) -> None:
        self._n_uploads -= 1
        if not learning.cancelled():
            learning.exception()  # asked for here, since nobody else does where the client has gone


async def _receive(parts: AsyncIterator[style_service_pb2.CreateStyleRequest]) -> _Upload:
    upload: _Upload | None = None
    ends_s = asyncio.get_running_loop().time() + MAX_UPLOAD_S
    try:
        while True:
            async with asyncio.timeout_at(min(ends_s, asyncio.get_running_loop().time() + _IDLE_S)):
                part = await anext(parts)
            match part.WhichOneof("part"), upload:
                case "header", None:
                    upload = _begin(part.header)
                case "pcm", _Upload():
                    upload.add(part.pcm)
                case "header", _:
                    raise MalformedMessage("expected samples after the header, got a second header", field="header")
                case _:
                    raise MalformedMessage("expected a header first and samples after it, got neither", field="part")
    except StopAsyncIteration:
        pass
    except TimeoutError:
        raise StreamCancelled(
            f"expected the next part within {_IDLE_S:g} s and all of them within {MAX_UPLOAD_S:g} s, got too little; "
            "upload it again, or an excerpt of it"
        ) from None
    if upload is None:
        raise MalformedMessage("expected a header, got an empty upload", field="header")
    return upload


def _begin(header: style_service_pb2.StyleUpload) -> _Upload:
    rate_hz, n_channels, sample_format = read_format(header.format, field="header.format")
    if not LOWEST_RATE_HZ <= rate_hz <= HIGHEST_RATE_HZ:
        raise BadConfig(
            f"expected a sample rate of {LOWEST_RATE_HZ} to {HIGHEST_RATE_HZ} Hz, got {rate_hz}",
            field="header.format.sample_rate_hz",
        )
    if not 1 <= n_channels <= MAX_CHANNELS:
        raise BadConfig(f"expected 1 to {MAX_CHANNELS} channels, got {n_channels}", field="header.format.n_channels")
    if header.name or not header.temporary:
        check_name(header.name, field="header.name")
    return _Upload(
        codec=PcmCodec(n_channels, sample_format),
        name=header.name,
        bundle=_checked_bundle(header.bundle, field="header.bundle"),
        sample_rate_hz=rate_hz,
        is_temporary=header.temporary,
    )


def _checked_bundle(name: str, *, field: str) -> str:
    return check_name(name, field=field) if name else ""
