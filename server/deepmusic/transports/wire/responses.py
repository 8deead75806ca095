"""What the server answers: our types to ``StreamTransferResponse`` and back."""

from __future__ import annotations

from deepmusic.session.events import AudioFlag, Notice, Timing
from deepmusic.session.statistics import Statistics
from deepmusic.session.stats import SessionStats
from deepmusic.transports.wire.messages import (
    EventKind,
    StreamEvent,
    StreamReady,
    StreamResponse,
    StreamSummary,
    StyledMessage,
    UnknownMessage,
)
from deepmusic.transports.wire.requests import read_config, write_config
from deepmusic.transports.wire.statistics import read_statistics, write_statistics
from deepmusic.v1 import audio_pb2, transfer_service_pb2

_MICROSECONDS = 1e6
_LONGEST_US = 2**32 - 1
_N_SEQUENCES = 2**64
"""Numbers of blocks begin anew behind the largest: a tail's number is one more than that of the client's last block."""
_KIND_PREFIX = "STREAM_EVENT_KIND_"


def event_from_notice(notice: Notice) -> StreamEvent:
    """A session's notice as the event that travels."""
    return StreamEvent(
        kind=EventKind[notice.kind.name], message=notice.message, at_sample=notice.at_sample, name=notice.name or ""
    )


def write_response(response: StreamResponse) -> transfer_service_pb2.StreamTransferResponse:
    """One of our messages as the server sends it."""
    match response:
        case StyledMessage():
            return transfer_service_pb2.StreamTransferResponse(audio=_write_block(response))
        case StreamEvent():
            return transfer_service_pb2.StreamTransferResponse(event=_write_event(response))
        case StreamReady():
            return transfer_service_pb2.StreamTransferResponse(ready=_write_ready(response))
        case Statistics():
            return transfer_service_pb2.StreamTransferResponse(statistics=write_statistics(response))
        case StreamSummary():
            return transfer_service_pb2.StreamTransferResponse(summary=_write_summary(response))
        case UnknownMessage():
            return transfer_service_pb2.StreamTransferResponse()


def read_response(message: transfer_service_pb2.StreamTransferResponse) -> StreamResponse:
    """A message of the server as one of ours."""
    match message.WhichOneof("message"):
        case "audio":
            return _read_block(message.audio)
        case "event":
            return _read_event(message.event)
        case "ready":
            return _read_ready(message.ready)
        case "statistics":
            return read_statistics(message.statistics, field="statistics")
        case "summary":
            return _read_summary(message.summary)
        case _:
            return UnknownMessage()


def _write_block(block: StyledMessage) -> audio_pb2.StyledBlock:
    return audio_pb2.StyledBlock(
        sequence=block.sequence % _N_SEQUENCES,
        first_sample=block.first_sample,
        pcm=block.pcm,
        flags=int(block.flags),
        timing=audio_pb2.BlockTiming(
            queue_us=_microseconds(block.timing.queue_s), inference_us=_microseconds(block.timing.inference_s)
        ),
    )


def _read_block(block: audio_pb2.StyledBlock) -> StyledMessage:
    return StyledMessage(
        pcm=block.pcm,
        first_sample=block.first_sample,
        sequence=block.sequence,
        flags=AudioFlag(block.flags),
        timing=Timing(
            queue_s=block.timing.queue_us / _MICROSECONDS, inference_s=block.timing.inference_us / _MICROSECONDS
        ),
    )


def _write_event(event: StreamEvent) -> transfer_service_pb2.StreamEvent:
    return transfer_service_pb2.StreamEvent(
        kind=_KIND_PREFIX + event.kind.name,
        message=event.message,
        at_sample=event.at_sample,
        name=event.name,
    )


def _read_event(event: transfer_service_pb2.StreamEvent) -> StreamEvent | UnknownMessage:
    """An event; one of a kind that this side does not know is an unknown message."""
    numbers = transfer_service_pb2.StreamEventKind
    name = numbers.Name(event.kind).removeprefix(_KIND_PREFIX) if event.kind in numbers.values() else ""
    if name not in EventKind.__members__:
        return UnknownMessage()
    return StreamEvent(
        kind=EventKind[name],
        message=event.message,
        at_sample=event.at_sample if event.HasField("at_sample") else None,
        name=event.name,
    )


def _write_ready(ready: StreamReady) -> transfer_service_pb2.StreamReady:
    return transfer_service_pb2.StreamReady(
        session_id=ready.session_id,
        config=write_config(ready.config),
        bundle=ready.bundle,
        bundle_digest=ready.bundle_digest,
        latency_samples=ready.latency_samples,
        step_samples=ready.step_samples,
        max_block_samples=ready.max_block_samples,
        credit_samples=ready.credit_samples,
        idle_limit_s=ready.idle_limit_s,
        duration_limit_s=ready.duration_limit_s,
        provider=ready.provider,
        precision=ready.precision,
        requested_device=ready.requested_device,
    )


def _read_ready(ready: transfer_service_pb2.StreamReady) -> StreamReady:
    return StreamReady(
        session_id=ready.session_id,
        config=read_config(ready.config),
        bundle=ready.bundle,
        bundle_digest=ready.bundle_digest,
        latency_samples=ready.latency_samples,
        step_samples=ready.step_samples,
        max_block_samples=ready.max_block_samples,
        credit_samples=ready.credit_samples,
        idle_limit_s=ready.idle_limit_s,
        duration_limit_s=ready.duration_limit_s,
        provider=ready.provider,
        precision=ready.precision,
        requested_device=ready.requested_device,
    )


def _write_summary(summary: StreamSummary) -> transfer_service_pb2.StreamSummary:
    stats = summary.stats
    return transfer_service_pb2.StreamSummary(
        samples_in=stats.samples_in,
        samples_out=stats.samples_out,
        late_blocks=stats.late_blocks,
        dry_blocks=stats.dry_blocks,
        concealed_samples=stats.concealed_samples,
        replaced_samples=stats.replaced_samples,
        dropped_blocks=stats.dropped_blocks,
        unread_blocks=summary.unread_blocks,
        steps=stats.steps,
        late_steps=stats.late_steps,
        failed_steps=stats.failed_steps,
        latency_samples=summary.latency_samples,
        bundle=summary.bundle,
    )


def _read_summary(summary: transfer_service_pb2.StreamSummary) -> StreamSummary:
    return StreamSummary(
        stats=SessionStats(
            samples_in=summary.samples_in,
            samples_out=summary.samples_out,
            late_blocks=summary.late_blocks,
            dry_blocks=summary.dry_blocks,
            concealed_samples=summary.concealed_samples,
            replaced_samples=summary.replaced_samples,
            dropped_blocks=summary.dropped_blocks,
            steps=summary.steps,
            late_steps=summary.late_steps,
            failed_steps=summary.failed_steps,
        ),
        unread_blocks=summary.unread_blocks,
        latency_samples=summary.latency_samples,
        bundle=summary.bundle,
    )


def _microseconds(seconds: float) -> int:
    return min(max(round(seconds * _MICROSECONDS), 0), _LONGEST_US)
