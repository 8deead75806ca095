"""gRPC's own knobs, in one place, each with its reason. Measured facts are in docs/protocol.md."""

from __future__ import annotations

LIVE_MESSAGE_BYTES = 256 * 1024
"""Largest message from a streaming client."""

MESSAGE_BYTES = 4 * 1024 * 1024
"""Largest message of any call."""

METADATA_BYTES = 16 * 1024
"""Most metadata of a call."""

_FLOW_CONTROL: tuple[tuple[str, int], ...] = (
    # By default gRPC grows its windows until 4 MB (22 s of 48 kHz mono) lie between a sender and a reader that is
    # behind. A fixed small window keeps that under 0.1 s.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 16384),
)

_KEEPALIVE: tuple[tuple[str, int], ...] = (
    # A peer that has gone without a word (a cable, a frozen process) is dropped after 3 s + 2 s. `keepalive_timeout_ms`
    # alone has no effect here; the ping timeout is what counts.
    ("grpc.keepalive_time_ms", 3000),
    ("grpc.keepalive_timeout_ms", 2000),
    ("grpc.http2.ping_timeout_ms", 2000),
    ("grpc.http2.max_pings_without_data", 0),
)

SERVER_OPTIONS: tuple[tuple[str, int], ...] = (
    *_FLOW_CONTROL,
    *_KEEPALIVE,
    ("grpc.keepalive_permit_without_calls", 1),
    # With port sharing (gRPC's default) a second server at the same address starts in silence and takes half the calls.
    ("grpc.so_reuseport", 0),
    # Clients may ping as often as our own do, and half as much again.
    ("grpc.http2.min_ping_interval_without_data_ms", 2000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 2000),
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
    ("grpc.max_send_message_length", MESSAGE_BYTES),
    ("grpc.max_metadata_size", METADATA_BYTES),
    ("grpc.absolute_max_metadata_size", METADATA_BYTES),
)
"""Arguments of a server."""

CHANNEL_OPTIONS: tuple[tuple[str, int], ...] = (
    *_FLOW_CONTROL,
    *_KEEPALIVE,
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
    ("grpc.max_send_message_length", MESSAGE_BYTES),
    # Each client object has a connection of its own; gRPC would share one between objects in a process.
    ("grpc.use_local_subchannel_pool", 1),
    # A set that has lost its server looks for it every second; by default gRPC waits ever longer, up to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 250),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 1000),
)
"""Arguments of a client's channel."""
