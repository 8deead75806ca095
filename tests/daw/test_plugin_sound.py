"""What pedalboard hears from the VST3, against the engine itself."""

from __future__ import annotations

import numpy as np
import pytest

from deepmusic.session.config import Setting
from deepmusic.session.events import Control
from tests.daw.stage import Stage, noise

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(300)]

SAME = 1e-4
"""The plug-in and the engine run the same code on the same machine; a batch of other streams may round otherwise."""

BLOCK_SAMPLES = 512


def check_delayed(played: np.ndarray, expected: np.ndarray, latency_samples: int) -> None:
    """Without a reset pedalboard leaves the plug-in's latency in, as any host does while it plays."""
    assert latency_samples > 1855
    np.testing.assert_array_equal(played[:, :latency_samples], 0.0)
    n_samples = played.shape[1] - latency_samples
    assert n_samples > 40000
    np.testing.assert_allclose(played[:, latency_samples:], expected[:, :n_samples], atol=SAME)


@pytest.mark.parametrize("rate_hz", [44100, 48000, 96000, 176400, 192000])
@pytest.mark.parametrize("n_channels", [1, 2])
def test_a_render_is_the_engine_s_own_sample_for_sample_at_any_block_size(
    stage: Stage, server: str, rate_hz: int, n_channels: int
):
    audio = noise(rate_hz, n_channels)
    expected = stage.engine(audio, rate_hz)
    assert np.abs(expected - audio).max() > 0.01  # the style is heard
    plugin = stage.plugin(server)
    for block_samples in (32, 512, 8192):
        heard = plugin.process(audio, rate_hz, buffer_size=block_samples)
        assert heard.shape == audio.shape
        np.testing.assert_allclose(heard, expected, atol=SAME, err_msg=f"{block_samples} samples")


def test_a_rate_that_the_server_does_not_play_gives_the_input_bit_for_bit(stage: Stage, server: str):
    audio = noise(32000)
    np.testing.assert_array_equal(stage.plugin(server).process(audio, 32000, buffer_size=BLOCK_SAMPLES), audio)


def test_reset_at_start_changes_nothing_in_a_host_without_a_play_head(stage: Stage, server: str):
    audio = noise(48000)
    plugin = stage.plugin(server)
    assert not plugin.reset_at_start
    plugin.reset_at_start = True
    heard = plugin.process(audio, 48000, buffer_size=BLOCK_SAMPLES)
    np.testing.assert_allclose(heard, stage.engine(audio, 48000), atol=SAME)


def test_parameters_do_what_they_say(stage: Stage, server: str):
    audio = noise(48000)
    plugin = stage.plugin(server)
    for name, value in (("mix", 0.5), ("strength", 0.25), ("output_gain_db", -12.0), ("low_hz", 2000.0)):
        before = getattr(plugin, name)
        setattr(plugin, name, value)
        settings = [Setting(name=name, value=float(getattr(plugin, name)))]
        heard = plugin.process(audio, 48000, buffer_size=BLOCK_SAMPLES)
        np.testing.assert_allclose(heard, stage.engine(audio, 48000, settings=settings), atol=2e-4, err_msg=name)
        setattr(plugin, name, before)


def test_strength_0_and_bypass_give_the_input_bit_for_bit(stage: Stage, server: str):
    audio = noise(48000)
    plugin = stage.plugin(server)
    plugin.strength = 0.0
    np.testing.assert_array_equal(plugin.process(audio, 48000), audio)
    plugin.strength = 1.0
    plugin.bypass = True
    np.testing.assert_array_equal(plugin.process(audio, 48000), audio)


def test_a_style_slot_chooses_and_a_morph_mixes(stage: Stage, server: str):
    audio = noise(48000)
    plugin = stage.plugin(server)
    plugin.style_slot = 2
    heard = plugin.process(audio, 48000, buffer_size=BLOCK_SAMPLES)
    np.testing.assert_allclose(heard, stage.engine(audio, 48000, style="strings"), atol=SAME)
    plugin.style_slot, plugin.morph_1 = 1, 1.0
    np.testing.assert_allclose(plugin.process(audio, 48000), stage.engine(audio, 48000), atol=SAME)


def test_automation_lands_on_its_block_s_first_sample(stage: Stage, server: str):
    audio = noise(96000)
    plugin = stage.plugin(server)
    at_sample = 100 * BLOCK_SAMPLES
    first = plugin.process(audio[:, :at_sample], 48000, buffer_size=BLOCK_SAMPLES, reset=False)
    plugin.mix = 0.25
    second = plugin.process(audio[:, at_sample:], 48000, buffer_size=BLOCK_SAMPLES, reset=False)
    control = Control(name="mix", value=0.25, at_sample=at_sample, ramp_samples=BLOCK_SAMPLES)
    expected = stage.engine(audio, 48000, controls=[control])
    played = np.concatenate([first, second], axis=1)
    check_delayed(played, expected, plugin.reported_latency_samples)
    assert np.abs(expected - stage.engine(audio, 48000))[:, at_sample + 4000 :].max() > 0.01


def test_a_project_opens_alike_in_another_plug_in(stage: Stage, server: str):
    audio = noise(48000)
    plugin = stage.plugin(server, styles=["strings"])
    plugin.mix, plugin.low_hz = 0.75, 500.0
    heard = plugin.process(audio, 48000)
    state = plugin.raw_state
    other = stage.plugin("127.0.0.1:1", styles=[])
    assert np.abs(other.process(audio, 48000) - audio).max() == 0.0
    other.raw_state = state
    assert (other.mix, other.low_hz) == (plugin.mix, plugin.low_hz)
    np.testing.assert_allclose(other.process(audio, 48000), heard, atol=SAME)


def test_a_state_that_is_none_changes_nothing(stage: Stage, server: str):
    plugin = stage.plugin(server)
    plugin.mix = 0.5
    before = plugin.raw_state
    damaged = bytearray(before)
    damaged[len(damaged) // 2 :] = b"x" * (len(damaged) - len(damaged) // 2)
    plugin.raw_state = bytes(damaged)
    audio = noise(24000)
    assert np.isfinite(plugin.process(audio, 48000)).all()


def test_a_long_rest_is_silent_and_what_follows_is_styled(stage: Stage, server: str):
    audio = noise(4 * 48000)
    rest = slice(24000, 24000 + 2 * 48000)
    audio[:, rest] = 0.0
    plugin = stage.plugin(server)
    heard = plugin.process(audio, 48000, buffer_size=BLOCK_SAMPLES)
    np.testing.assert_array_equal(heard[:, 24000 + 60000 : rest.stop - 2048], 0.0)  # a second of rest is still sent
    before, after = heard[:, :24000], heard[:, rest.stop + 4096 :]
    np.testing.assert_allclose(before, stage.engine(audio[:, :24000], 48000), atol=SAME)
    assert np.abs(after - audio[:, rest.stop + 4096 :]).max() > 0.01
    loudness = [np.sqrt(np.mean(part**2)) for part in (before, after)]
    assert 0.5 < loudness[1] / loudness[0] < 2.0
