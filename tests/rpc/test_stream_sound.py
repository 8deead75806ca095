"""What a stream sounds like: the very samples of an offline render; bad samples and positions (15 to 18)."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import pytest

from deepmusic.audio import Audio, AudioFormat
from deepmusic.session.config import SessionConfig, Setting
from deepmusic.session.events import AudioFlag
from deepmusic.session.offline import render
from deepmusic.transports.rpc.client import RpcClient, TransferCall
from deepmusic.transports.wire.messages import AudioMessage, EventKind, StreamConfig, StyleShare
from deepmusic.transports.wire.pcm import PcmCodec, SampleFormat
from tests.rpc.canary import canary
from tests.rpc.serving import Heard, Serving, config, listen, noise, play, rendered, through
from tests.support.laws import DENORMAL_TIME_RATIO

DENORMAL_TURNS = 30
"""Renders of each kind that are timed at most."""


@pytest.mark.parametrize("block_samples", [32, 300, 512, 1024, 8193])
async def test_a_stream_gives_the_samples_of_an_offline_render(server: Serving, client: RpcClient, block_samples: int):
    stream_config = config(bundle="style-gain", style="quiet")
    audio = noise(24000)
    call, heard = await through(client, stream_config, audio, block_samples)
    np.testing.assert_array_equal(heard.audio[:, call.ready.latency_samples :], rendered(server, stream_config, audio))


async def test_blocks_of_one_sample_are_answered_one_by_one(client: RpcClient):
    audio = noise(3000)
    call, heard = await through(client, config(), audio, 1)
    assert [answer.block.shape[1] for answer in heard.blocks[:3000]] == [1] * 3000
    np.testing.assert_allclose(heard.audio[:, call.ready.latency_samples :], audio, atol=1e-5)


async def test_every_answer_has_the_size_and_the_number_of_its_block(client: RpcClient):
    sizes = [1, 7, 480, 1023, 64, 3000]
    async with client.transfer(config()) as call:
        for size in sizes:
            await call.send(noise(size))
        await call.finish()
        heard = await listen(call)
    answered = [answer for answer in heard.blocks if AudioFlag.TAIL not in answer.flags]
    assert [answer.block.shape[1] for answer in answered] == sizes
    assert [answer.sequence for answer in answered] == list(range(len(sizes)))
    assert [answer.first_sample for answer in answered] == [sum(sizes[:i]) for i in range(len(sizes))]


async def test_strength_zero_gives_the_delayed_input_bit_for_bit_above_full_scale_too(client: RpcClient):
    audio = 40.0 * noise(20000)
    stream_config = config(bundle="style-gain", style="faint", settings=(Setting(name="strength", value=0.0),))
    call, heard = await through(client, stream_config, audio)
    np.testing.assert_array_equal(heard.audio[:, call.ready.latency_samples :], audio)


async def test_sixteen_bit_streams_come_back_in_sixteen_bits(client: RpcClient):
    stream_config = StreamConfig(
        audio_format=AudioFormat(sample_rate_hz=44100, n_channels=1),
        styles=(StyleShare(name="plain"),),
        sample_format=SampleFormat.S16LE,
        deadline_samples=None,
    )
    audio = np.round(noise(8000, 1) * 32768.0) / np.float32(32768.0)
    call, heard = await through(client, stream_config, audio)
    assert call.ready.config.sample_format is SampleFormat.S16LE
    np.testing.assert_allclose(heard.audio[:, call.ready.latency_samples :], audio, atol=1.0 / 32768.0)


async def test_ready_echoes_what_the_server_decided(server: Serving, client: RpcClient):
    async with client.transfer(config(deadline_samples=0)) as call:
        ready = call.ready
    assert ready.bundle == ready.config.bundle == "passthrough"
    assert ready.bundle_digest == ready.config.bundle_digest == server.catalog.get("passthrough").bundle.digest
    assert ready.config.deadline_samples == ready.step_samples == 1024
    assert ready.latency_samples == 1791 + 64
    assert ready.provider == "CPUExecutionProvider"
    assert (ready.precision, ready.requested_device) == ("float32", "cpu")
    assert ready.session_id
    assert (ready.idle_limit_s, ready.duration_limit_s) == (60.0, 0.0)


async def test_a_style_change_starts_at_its_sample(server: Serving, client: RpcClient):
    audio = noise(24000, 1)
    server.styles.gains_db["strong"] = 6.0  # too loud: turned down at once, wherever it begins
    async with client.transfer(config(bundle="style-gain", n_channels=1)) as call:
        await call.change_style("strong", at_sample=12000, fade_samples=480)
        await play(call, audio)
        heard = await listen(call)
    sound = heard.audio[:, call.ready.latency_samples :]
    settings = SessionConfig(audio_format=AudioFormat(sample_rate_hz=48000, n_channels=1))
    loaded = server.catalog.get("style-gain")
    plain = render(settings, loaded.transfer, server.styles.vector("plain", loaded), audio)
    strong = render(settings, loaded.transfer, server.styles.vector("strong", loaded), audio)
    np.testing.assert_array_equal(sound[:, :12000], plain[:, :12000])
    np.testing.assert_allclose(sound[:, 13000:], strong[:, 13000:], atol=2e-3)
    assert [event.kind for event in heard.events] == [EventKind.STYLE_CHANGED]


async def test_a_style_that_is_not_there_leaves_the_stream_playing(client: RpcClient):
    audio = noise(9600)
    async with client.transfer(config()) as call:
        await call.change_style("nobody")
        await play(call, audio)
        heard = await listen(call)
    assert [event.kind for event in heard.events] == [EventKind.STYLE_REFUSED]
    np.testing.assert_allclose(heard.audio[:, call.ready.latency_samples :], audio, atol=1e-5)


async def test_a_mix_of_styles_lies_between_them(server: Serving, client: RpcClient):
    audio = noise(9600)
    mix = [StyleShare(name="plain"), StyleShare(name="faint")]
    async with client.transfer(config(bundle="style-gain")) as call:
        await call.change_style(mix, at_sample=0, fade_samples=240)
        await play(call, audio)
        heard = await listen(call)
    sound = heard.audio[:, call.ready.latency_samples :]
    quiet = rendered(server, config(bundle="style-gain", style="quiet"), audio)
    np.testing.assert_allclose(sound[:, 2400:], quiet[:, 2400:], atol=2e-3)


async def test_a_parameter_out_of_range_is_clamped_and_an_unknown_one_ignored_with_events(client: RpcClient):
    async with client.transfer(config()) as call:
        await call.control("strength", 7.0)
        await call.control("volume", 11.0)
        await play(call, noise(4800))
        heard = await listen(call)
    assert {event.kind for event in heard.events} == {EventKind.VALUE_CLAMPED, EventKind.UNKNOWN_PARAMETER}
    assert {event.name for event in heard.events} == {"strength", "volume"}
    assert heard.summary is not None


async def test_flush_gives_what_is_inside_and_the_stream_goes_on(client: RpcClient):
    audio = noise(4800)
    async with client.transfer(config()) as call, asyncio.TaskGroup() as tasks:
        hearing = tasks.create_task(listen(call))
        await call.send(audio)
        await call.flush()
        await play(call, audio)
    heard = hearing.result()
    latency = call.ready.latency_samples
    assert heard.audio.shape[1] == 2 * (4800 + latency)
    np.testing.assert_allclose(heard.audio[:, latency : latency + 4800], audio, atol=1e-5)
    np.testing.assert_allclose(heard.audio[:, -4800:], audio, atol=1e-5)


async def test_nan_and_infinity_are_taken_as_zero_with_one_event(server: Serving, client: RpcClient):
    audio = noise(24000)
    damaged = audio.copy()
    damaged[0, 1000::100] = np.nan
    damaged[1, 5000] = np.inf
    damaged[1, 5001] = -np.inf
    cleaned = np.where(np.isfinite(damaged), damaged, np.float32(0.0))
    stream_config = config(bundle="style-gain", style="quiet")
    async with canary(server):
        call, heard = await through(client, stream_config, damaged)
    sound = heard.audio[:, call.ready.latency_samples :]
    np.testing.assert_array_equal(sound, rendered(server, stream_config, cleaned))
    assert [event.kind for event in heard.events] == [EventKind.NON_FINITE_REPLACED]
    assert heard.summary is not None
    assert heard.summary.stats.replaced_samples == 232


@pytest.mark.parametrize("peak", [1.0, 1e30], ids=["full scale", "1e30"])
async def test_samples_far_above_full_scale_are_held_by_the_ceiling(server: Serving, client: RpcClient, peak: float):
    audio = np.full((2, 12000), peak, np.float32) * np.sign(noise(12000))
    async with canary(server):
        call, heard = await through(client, config(), audio.astype(np.float32))
    sound = heard.audio[:, call.ready.latency_samples :]
    assert np.isfinite(sound).all()
    assert np.abs(sound).max() <= 1.0
    assert any(AudioFlag.CEILING in answer.flags for answer in heard.blocks)


async def send_at(call: TransferCall, audio: Audio, first_sample: int, sequence: int) -> None:
    codec = PcmCodec(audio.shape[0], SampleFormat.F32LE)
    await call.send_request(AudioMessage(pcm=codec.encode(audio), first_sample=first_sample, sequence=sequence))


async def heard_of(client: RpcClient, blocks: list[tuple[int, int]], audio: Audio) -> tuple[TransferCall, Heard]:
    """Sends stretches of a recording, each at its own place."""
    async with client.transfer(config()) as call:
        for sequence, (start, end) in enumerate(blocks):
            await send_at(call, audio[:, start:end], start, sequence)
        await call.finish()
        heard = await listen(call)
    return call, heard


async def test_a_gap_is_filled_with_silence_and_flagged_and_positions_stay_true(server: Serving, client: RpcClient):
    audio = noise(9600)
    async with canary(server):
        call, heard = await heard_of(client, [(0, 4800), (6000, 9600)], audio)
    after = heard.blocks[1]
    assert after.first_sample == 6000
    assert after.flags & (AudioFlag.DISCONTINUITY | AudioFlag.CONCEALED)
    expected = audio.copy()
    expected[:, 4800:6000] = 0.0
    latency = call.ready.latency_samples
    sound = np.zeros((2, 9600 + latency), np.float32)
    for answer in heard.blocks:
        sound[:, answer.first_sample : answer.first_sample + answer.block.shape[1]] = answer.block
    np.testing.assert_allclose(sound[:, 6000 + latency :], expected[:, 6000:], atol=1e-5)
    assert EventKind.GAP_FILLED in [event.kind for event in heard.events]


@pytest.mark.parametrize(
    "blocks",
    [[(0, 4800), (0, 4800), (4800, 9600)], [(0, 4800), (4800, 9600), (2400, 4800)]],
    ids=["a duplicate", "an older one"],
)
async def test_a_block_that_comes_again_or_too_late_is_dropped_with_an_event(
    server: Serving, client: RpcClient, blocks: list[tuple[int, int]]
):
    audio = noise(9600)
    async with canary(server):
        call, heard = await heard_of(client, blocks, audio)
    assert [event.kind for event in heard.events] == [EventKind.BLOCK_DROPPED]
    np.testing.assert_allclose(heard.audio[:, call.ready.latency_samples :], audio, atol=1e-5)


async def test_a_position_beyond_all_time_is_dropped_with_an_event(client: RpcClient):
    async with client.transfer(config()) as call:
        await send_at(call, noise(480), 2**64 - 1, 0)
        await call.finish()
        heard = await listen(call)
    assert [event.kind for event in heard.events] == [EventKind.BLOCK_DROPPED]
    assert heard.summary is not None


async def test_a_block_may_have_the_largest_number_that_there_is(client: RpcClient):
    async with client.transfer(config()) as call:
        await send_at(call, noise(480), 0, 2**64 - 1)
        await call.finish()
        heard = await listen(call)
    assert [answer.sequence for answer in heard.blocks] == [2**64 - 1, 0]
    assert heard.summary is not None


async def test_many_duplicates_use_up_no_room(client: RpcClient):
    audio = noise(480)
    async with client.transfer(config()) as call, asyncio.TaskGroup() as tasks:
        hearing = tasks.create_task(listen(call))
        for sequence in range(1500):
            await send_at(call, audio, 0, sequence)
        await call.finish()
    assert hearing.result().summary is not None
    assert hearing.result().summary.stats.dropped_blocks == 1499


async def test_a_denormal_tail_costs_no_more_than_sound(server: Serving):
    sound = noise(2 * 48000)
    tail = (sound * np.float32(1e-39)).astype(np.float32)
    assert np.count_nonzero(tail)

    def cost_s(audio: Audio) -> float:
        start_s = time.thread_time()
        rendered(server, config(bundle="passthrough"), audio)
        return time.thread_time() - start_s

    def ratio() -> float:
        """The best of each, taken in turns: the cores are shared, and only what is slow every time is slow."""
        best_tail_s = best_sound_s = float("inf")
        for _ in range(DENORMAL_TURNS):
            best_tail_s, best_sound_s = min(best_tail_s, cost_s(tail)), min(best_sound_s, cost_s(sound))
            if best_tail_s <= DENORMAL_TIME_RATIO * best_sound_s:
                break
        return best_tail_s / best_sound_s

    async with canary(server):
        assert await asyncio.to_thread(ratio) <= DENORMAL_TIME_RATIO
