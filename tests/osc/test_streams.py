"""Real streams over gRPC whose sound a real rig changes over OSC, on loopback."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import numpy as np
import pytest
from pythonosc.osc_message_builder import build_msg

from deepmusic.audio import Audio, AudioFormat
from deepmusic.errors import PortInUse
from deepmusic.session.config import SessionConfig
from deepmusic.session.events import ChangeStyle, Control
from deepmusic.session.offline import render
from deepmusic.transports.osc.endpoint import MAX_DATAGRAMS_A_TURN, OscServer
from deepmusic.transports.osc.time_tag import tag_of
from deepmusic.transports.rpc.client import RpcClient
from deepmusic.transports.wire.messages import EventKind, StreamConfig
from tests.osc.conftest import Stage
from tests.osc.rig import PATIENCE_S, Rig
from tests.osc.test_datagram import bundle
from tests.rpc.canary import DEADLINE_SAMPLES
from tests.rpc.serving import config, listen, noise, play

RATE_HZ = 48000
AUDIO = noise(24000)
BLOCK_SAMPLES = 480
TIME_TAG_TOLERANCE_S = 0.1
"""Blocks come when a loaded machine lets them; on an idle one the error is below a millisecond."""


def named(name: str, stream: StreamConfig | None = None) -> StreamConfig:
    return replace(stream or config(), session_id=name)


def rendered(stage: Stage, audio: Audio, *controls: Control | ChangeStyle) -> Audio:
    loaded = stage.serving.catalog.get("style-gain")
    sound = SessionConfig(audio_format=AudioFormat(sample_rate_hz=RATE_HZ, n_channels=2))
    return render(sound, loaded.transfer, stage.serving.styles.vector("plain", loaded), audio, controls)


def style(stage: Stage, name: str, at_sample: int) -> ChangeStyle:
    return ChangeStyle(
        vector=stage.serving.styles.vector(name, stage.serving.catalog.get("style-gain")), at_sample=at_sample
    )


async def test_a_control_for_a_sample_lands_on_it(stage: Stage, client: RpcClient, rig: Rig):
    async with client.transfer(named("guitar")) as call, asyncio.TaskGroup() as tasks:
        rig.say("/deepmusic/session/guitar/at", 9001, "output_gain_db", -6.0)
        rig.say("/deepmusic/session/guitar/at", 15001, "style", "faint")
        assert await rig.hear("/done", "/fail") == ("/done", "/deepmusic/session/guitar/at", 1)
        await rig.sync()
        hearing = tasks.create_task(listen(call))
        tasks.create_task(play(call, AUDIO))
    heard = hearing.result()
    sound = heard.audio[:, call.ready.latency_samples :]
    change = Control(name="output_gain_db", value=-6.0, at_sample=9001)
    np.testing.assert_array_equal(sound, rendered(stage, AUDIO, change, style(stage, "faint", 15001)))
    differs = np.flatnonzero((sound != rendered(stage, AUDIO)).any(axis=0))
    assert abs(differs[0] - 9001) <= 1  # at -6 dB the first step of the ramp may round to nothing
    events = [(event.kind, event.name) for event in heard.events]
    assert events == [(EventKind.STYLE_CHANGED, "faint")]  # the stream's own client is told


async def test_a_control_at_once_changes_the_sound_of_every_stream(stage: Stage, client: RpcClient, rig: Rig):
    async with client.transfer(named("one")) as one, client.transfer(named("two")) as two:
        rig.say("/deepmusic/style", "quiet")
        assert await rig.hear("/done") == ("/done", "/deepmusic/style", 2)
        rig.say("/deepmusic/sessions")
        listed = [await rig.hear("/deepmusic/sessions.reply") for _ in range(2)]
        assert [entry[1:7] for entry in listed] == [
            (name, "style-gain", "quiet", RATE_HZ, 2, one.ready.latency_samples) for name in ("one", "two")
        ]
        for call in (one, two):
            async with asyncio.TaskGroup() as tasks:
                hearing = tasks.create_task(listen(call))
                tasks.create_task(play(call, AUDIO))
            sound = hearing.result().audio[:, call.ready.latency_samples :]
            np.testing.assert_array_equal(sound, rendered(stage, AUDIO, style(stage, "quiet", 0)))


async def test_a_rig_hears_what_the_streams_own_client_does_and_when_it_goes(stage: Stage, client: RpcClient, rig: Rig):
    rig.say("/notify", 1)
    await rig.hear("/done")
    async with client.transfer(named("guitar")) as call:
        assert await rig.hear("/deepmusic/opened") == ("/deepmusic/opened", "guitar")
        await call.control("mix", 0.25)
        while (await rig.hear("/deepmusic/changed"))[2:] != ("mix", 0.25):
            pass
        await call.finish()
        async for _ in call:
            pass
    assert await rig.hear("/deepmusic/closed") == ("/deepmusic/closed", "guitar")


async def test_a_time_tag_lands_where_a_live_stream_is_then(stage: Stage, client: RpcClient, rig: Rig):
    n_blocks, said_at, ahead_s = 120, 40, 0.4
    audio = noise(n_blocks * BLOCK_SAMPLES)
    due_s = 0.0
    live = named("guitar", config(deadline_samples=DEADLINE_SAMPLES))
    async with client.transfer(live) as call, asyncio.TaskGroup() as tasks:
        hearing = tasks.create_task(listen(call))
        start_s = time.time()
        for n in range(n_blocks):
            await asyncio.sleep(start_s + (n + 1) * BLOCK_SAMPLES / RATE_HZ - time.time())
            await call.send(audio[:, n * BLOCK_SAMPLES : (n + 1) * BLOCK_SAMPLES])
            if n == said_at:
                due_s = time.time() + ahead_s
                bypass = build_msg("/deepmusic/output_gain_db", -20.0).dgram  # type: ignore[arg-type]
                rig.throw(bundle(bypass, time_tag=tag_of(due_s)))
        await call.finish()
    sound = hearing.result().audio[:, call.ready.latency_samples :]
    landed = np.flatnonzero((sound != rendered(stage, audio)).any(axis=0))[0]
    error_s = landed / RATE_HZ - (due_s - start_s)
    print(f"a time tag landed {1000 * error_s:+.2f} ms from where it was due")
    assert abs(error_s) < TIME_TAG_TOLERANCE_S


async def test_a_burst_that_is_longer_than_a_turn_is_carried_out_after_a_rest(stage: Stage, rig: Rig):
    for n in range(4 * MAX_DATAGRAMS_A_TURN):
        rig.say("/sync", n)
    assert [(await rig.hear("/synced"))[1] for _ in range(4 * MAX_DATAGRAMS_A_TURN)] == [
        *range(4 * MAX_DATAGRAMS_A_TURN)
    ]


async def test_a_loop_that_cannot_watch_a_socket_looks_now_and_then(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    loop = asyncio.get_running_loop()

    def refuse(*_: object) -> bool:
        raise NotImplementedError

    osc = OscServer(stage.serving.sessions, stage.serving.styles)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "add_reader", refuse)
        patch.setattr(loop, "remove_reader", refuse)
        port = await osc.start("127.0.0.1", 0)
        with Rig(f"127.0.0.1:{port}") as rig:
            for n in range(2 * MAX_DATAGRAMS_A_TURN):
                rig.say("/sync", n)
            await asyncio.wait_for(asyncio.to_thread(rig.wait_for_anything), PATIENCE_S)
        await osc.stop()
    assert osc.stats.messages > 0


async def test_an_address_in_use_is_said(stage: Stage):
    host, _, port = stage.osc_address.rpartition(":")
    with pytest.raises(PortInUse, match="--osc HOST:PORT"):
        await OscServer(stage.serving.sessions, stage.serving.styles).start(host, int(port))


@pytest.mark.parametrize("host", ["stage..local", 64 * "x", "nowhere.invalid"])
async def test_an_address_that_is_none_is_said(stage: Stage, host: str):
    with pytest.raises(PortInUse, match="--osc HOST:PORT"):
        await OscServer(stage.serving.sessions, stage.serving.styles).start(host, 9000)


async def test_a_server_that_has_not_started_stops(stage: Stage):
    await OscServer(stage.serving.sessions, stage.serving.styles).stop()
