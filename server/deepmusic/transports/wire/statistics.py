"""A stream's statistics as they travel."""

from __future__ import annotations

from deepmusic.errors import BadConfig
from deepmusic.model.arrays import float_bytes, floats_from_bytes
from deepmusic.session.statistics import MAX_STATISTICS, Statistics
from deepmusic.v1 import transfer_service_pb2


def write_statistics(statistics: Statistics) -> transfer_service_pb2.StreamStatistics:
    """Statistics as a message."""
    return transfer_service_pb2.StreamStatistics(
        bundle_digest=statistics.bundle_digest,
        values=float_bytes(statistics.values),
        content_power=statistics.content_power,
        wet_power=statistics.wet_power,
    )


def read_statistics(message: transfer_service_pb2.StreamStatistics, *, field: str) -> Statistics:
    """Statistics as ours; whether the bundle is theirs, and has so many, is still to be judged.

    Raises:
        BadConfig: They are none.
    """
    data = message.values
    if not 4 <= len(data) <= 4 * MAX_STATISTICS or len(data) % 4:
        raise BadConfig(
            f"expected 4 to {4 * MAX_STATISTICS} bytes of float32, got {len(data)}; take them from a frozen stream",
            field=f"{field}.values",
        )
    try:
        return Statistics(
            bundle_digest=message.bundle_digest,
            values=floats_from_bytes(data),
            content_power=message.content_power,
            wet_power=message.wet_power,
        )
    except BadConfig as error:
        error.field = field
        raise
