"""A server that is away, dies, comes back, is slow or has no room: what the session hears."""

from __future__ import annotations

import socket
import time

import numpy as np
import pedalboard
import pytest

from tests.daw.stage import Stage, noise

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(300)]

RATE_HZ = 48000
BLOCK_SAMPLES = 512
LONGEST_BLOCK_S = 0.005


def free_address() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


def beat(plugin: pedalboard.VST3Plugin, block: np.ndarray) -> tuple[np.ndarray, float]:
    """One block, and what it took."""
    began = time.perf_counter()
    heard = plugin.process(block, RATE_HZ, buffer_size=BLOCK_SAMPLES, reset=False)
    return heard, time.perf_counter() - began


def test_without_a_server_the_input_comes_back_bit_for_bit_and_no_block_takes_long(stage: Stage):
    audio = noise(2 * RATE_HZ)
    longest = []
    for _ in range(5):  # the machine has other work: the best of a few tells what the plug-in takes
        plugin = stage.plugin(free_address())
        np.testing.assert_array_equal(plugin.process(audio, RATE_HZ, buffer_size=BLOCK_SAMPLES), audio)
        taken = [beat(plugin, audio[:, first : first + BLOCK_SAMPLES])[1] for first in range(0, RATE_HZ, BLOCK_SAMPLES)]
        longest.append(max(taken))
    assert min(longest) < LONGEST_BLOCK_S


def test_a_server_that_dies_and_returns_costs_dry_sound_and_nothing_else(stage: Stage):
    address = free_address()
    audio = noise(40 * BLOCK_SAMPLES)
    blocks = [audio[:, first : first + BLOCK_SAMPLES] for first in range(0, audio.shape[1], BLOCK_SAMPLES)]
    with stage.serving(address=address) as (_, process):
        plugin = stage.plugin(address)
        wet = plugin.process(audio, RATE_HZ, buffer_size=BLOCK_SAMPLES)
        assert np.abs(wet - audio).max() > 0.01
        process.kill()
        process.wait()
    dry = plugin.process(audio, RATE_HZ, buffer_size=BLOCK_SAMPLES)
    np.testing.assert_array_equal(dry, audio)
    with stage.serving(address=address):
        began = time.perf_counter()
        while np.abs(plugin.process(audio, RATE_HZ, buffer_size=BLOCK_SAMPLES) - wet).max() > 1e-4:
            assert time.perf_counter() - began < 10.0
        assert len(blocks) == 40


def test_a_server_at_half_of_real_time_renders_everything_wet(stage: Stage):
    audio = noise(RATE_HZ // 2)
    with stage.serving(bundle="slow") as (address, _):
        plugin = stage.plugin(address)
        plugin.output_gain_db = -20.0  # the slow bundle passes sound through: so wet and dry can be told apart
        heard = plugin.process(audio, RATE_HZ, buffer_size=BLOCK_SAMPLES)
    np.testing.assert_allclose(heard, 0.1 * audio, atol=1e-4)


def test_thirty_two_instances_load_and_all_render_wet_through_eight_slots(stage: Stage):
    audio = noise(RATE_HZ // 4)
    expected = stage.engine(audio, RATE_HZ)
    with stage.serving(max_streams=8) as (address, _):
        plugins = [stage.plugin(address) for _ in range(32)]
        for plugin in plugins:
            np.testing.assert_allclose(plugin.process(audio, RATE_HZ), expected, atol=1e-4)
