"""A stream's statistics over gRPC: handed out by a frozen stream, begun with by the next."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from deepmusic.errors import BadConfig
from deepmusic.session.config import Setting
from deepmusic.session.statistics import Statistics
from deepmusic.transports.rpc.client import RpcClient
from deepmusic.transports.wire.requests import read_config, write_config
from deepmusic.v1 import transfer_service_pb2
from tests.rpc.serving import config, noise, through

FROZEN = (Setting(name="freeze", value=1.0),)


async def test_a_frozen_stream_hands_out_what_the_next_one_begins_with(client: RpcClient):
    call, _ = await through(client, config(), noise(24000))
    assert call.statistics is None
    call, _ = await through(client, config(settings=FROZEN), noise(24000))
    fresh = call.statistics
    assert fresh is not None
    assert fresh.bundle_digest == call.ready.bundle_digest
    known = replace(fresh, values=fresh.values + np.float32(7.0), content_power=0.1 / 3.0, wet_power=0.25)
    call, _ = await through(client, replace(config(settings=FROZEN), statistics=known), noise(24000))
    told = call.statistics
    assert told is not None
    np.testing.assert_array_equal(told.values, known.values)
    assert (told.content_power, told.wet_power) == (known.content_power, known.wet_power)


async def test_statistics_of_another_bundle_are_an_invalid_argument(client: RpcClient):
    wrong = Statistics(bundle_digest="0" * 64, values=np.ones(14, np.float32))
    with pytest.raises(BadConfig) as refused:
        async with client.transfer(replace(config(), statistics=wrong)):
            pass
    assert refused.value.field == "config.statistics"


@pytest.mark.parametrize("values", [b"", bytes(5), bytes(65540), np.float32([np.inf]).tobytes()])
def test_damaged_statistics_are_refused_as_such(values: bytes):
    message = write_config(config())
    message.statistics.CopyFrom(transfer_service_pb2.StreamStatistics(bundle_digest="0" * 64, values=values))
    with pytest.raises(BadConfig) as refused:
        read_config(message)
    assert (refused.value.field or "").startswith("config.statistics")
