"""What server and client agree on when a stream opens."""

from __future__ import annotations

from dataclasses import dataclass, replace

from deepmusic.transports.rpc.options import LIVE_MESSAGE_BYTES
from deepmusic.transports.rpc.ports import SessionFacts
from deepmusic.transports.wire.messages import StreamConfig, StreamReady
from deepmusic.transports.wire.pcm import PcmCodec

LARGEST_BLOCK_SAMPLES = 16384
"""Largest block, if its message keeps within ``LIVE_MESSAGE_BYTES``; DAWs stop at 8192, file players at twice that."""

_ENVELOPE_BYTES = 64
"""Room for everything in an audio message but its samples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamLimits:
    """What ends a stream that misbehaves, or bounds what it may take."""

    idle_s: float = 60.0
    """Seconds without a message of any kind."""
    slow_consumer_s: float = 5.0
    """Seconds that one answer of a live stream may wait to be read."""
    credit_s: float = 2.0
    """Audio that a client may be ahead: a network that stalls for so long and then delivers all ends no stream."""
    unread_audio_s: float = 0.5
    """Audio that waits for a live client, beyond the stream's latency, before the oldest is dropped, in seconds."""


class StreamTerms:
    """A config with everything that follows from it.

    Args:
        config: As the client sent it.
        session_id: The stream's name.
        limits: The server's.
    """

    def __init__(self, config: StreamConfig, session_id: str, limits: StreamLimits) -> None:
        self.config = replace(config, session_id=session_id)
        self.sample_rate_hz = config.audio_format.sample_rate_hz
        self.is_live = config.deadline_samples is not None
        self.codec = PcmCodec(config.audio_format.n_channels, config.sample_format)
        self.max_block_samples = min(
            LARGEST_BLOCK_SAMPLES, (LIVE_MESSAGE_BYTES - _ENVELOPE_BYTES) // self.codec.frame_bytes
        )
        self.credit_samples = max(round(limits.credit_s * self.sample_rate_hz), 2 * self.max_block_samples)
        self.max_unread_samples = round(limits.unread_audio_s * self.sample_rate_hz) if self.is_live else None
        self.unread_limit_s = limits.slow_consumer_s if self.is_live else limits.idle_s
        self._idle_s = limits.idle_s

    def ready(self, facts: SessionFacts) -> StreamReady:
        """The answer to the config: all that was decided."""
        deadline = self.config.deadline_samples
        return StreamReady(
            session_id=self.config.session_id,
            config=replace(
                self.config,
                bundle=facts.bundle,
                bundle_digest=facts.bundle_digest,
                deadline_samples=facts.step_samples if deadline == 0 else deadline,
            ),
            bundle=facts.bundle,
            bundle_digest=facts.bundle_digest,
            latency_samples=facts.latency_samples,
            step_samples=facts.step_samples,
            max_block_samples=self.max_block_samples,
            credit_samples=self.credit_samples,
            idle_limit_s=self._idle_s,
            duration_limit_s=0.0,
            provider=facts.provider,
            precision=facts.precision,
            requested_device=facts.requested_device,
        )
