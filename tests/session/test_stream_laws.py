"""A session under the laws of every processor, and a stream against the same samples offline."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from deepmusic.session.events import AudioIn, AudioOut, ChangeStyle, Control, Finish
from deepmusic.session.offline import render
from tests.session import streams
from tests.session.streams import SessionProcessor, model, play_through, session, style
from tests.support import bundles, laws

STREAM_TOLERANCE = 0.0
"""Blocks of any size make the same steps: not a bit may differ."""

GAIN_TOLERANCE = 3e-5
"""The laws' music peaks at 1.4, over the ceiling, and an impulse is a frame of 2048 float32 sums."""


@pytest.mark.parametrize("case", laws.cases())
def test_a_session_keeps_every_law_of_a_processor(case: laws.Case):
    def make() -> SessionProcessor:
        return SessionProcessor(
            lambda: session(n_channels=case.n_channels, rate_hz=case.sample_rate_hz), case.n_channels
        )

    laws.hold_all(make, case, tolerance=STREAM_TOLERANCE, impulse_tolerance=GAIN_TOLERANCE)


@pytest.mark.parametrize("make", [bundles.noise_bundle, bundles.segment_noise_bundle])
@pytest.mark.parametrize("case", laws.cases())
def test_a_stream_equals_the_offline_render_for_any_block_size(case: laws.Case, make: Callable[[Path], Path]):
    of = model(make)
    content = laws.music(case.n_channels, case.sample_rate_hz // 2, case.sample_rate_hz) * np.float32(0.6)
    controls = [
        Control(name="strength", value=0.4, at_sample=4000, ramp_samples=5000),
        Control(name="mix", value=0.7, at_sample=9000),
        Control(name="low_hz", value=300.0, at_sample=6000),
        ChangeStyle(vector=style(of, name="other"), at_sample=7001),
    ]
    setup = streams.config(case.n_channels, case.sample_rate_hz)
    offline = render(setup, of, style(of), content, controls)
    stream = session(of, n_channels=case.n_channels, rate_hz=case.sample_rate_hz)
    heard = play_through(stream, content, *controls, block_samples=case.block_samples)
    np.testing.assert_array_equal(heard.audio[:, stream.latency_samples :], offline)


@pytest.mark.parametrize("rate_hz", [44100, 48000, 88200, 96000, 176400, 192000])
@pytest.mark.parametrize("at", [0, 700, 1023, 1024])
def test_an_impulse_comes_back_after_exactly_the_declared_latency(rate_hz: int, at: int):
    stream = session(rate_hz=rate_hz)
    content = np.zeros((1, rate_hz // 8), np.float32)
    content[0, at] = 0.5
    output = play_through(stream, content, block_samples=300).audio
    assert int(np.abs(output[0]).argmax()) == at + stream.latency_samples
    assert output.shape[1] == content.shape[1] + stream.latency_samples
    assert abs(output[0, at + stream.latency_samples] - 0.5) < streams.RECONSTRUCTION


@pytest.mark.parametrize("rate_hz", [44100, 48000, 88200, 96000, 176400, 192000])
def test_the_latency_is_at_most_45_ms(rate_hz: int):
    assert session(rate_hz=rate_hz).latency_samples / rate_hz <= 0.045


def test_every_block_is_answered_with_as_many_samples_at_its_own_position():
    content = streams.noise(20000)
    stream = session()
    sent = list(streams.audio_events(content, laws.RANDOM))
    heard = streams.play(stream, sent).of(AudioOut)
    assert [(out.first_sample, out.sequence, out.block.shape) for out in heard] == [
        (event.first_sample, event.sequence, event.block.shape) for event in sent
    ]


def test_a_pass_through_gives_the_content_back():
    content = streams.noise(30000, n_channels=2)
    output = play_through(session(n_channels=2), content).audio
    np.testing.assert_allclose(output, streams.delayed(content), atol=streams.RECONSTRUCTION)


def test_equal_seeds_give_equal_output_and_others_do_not():
    of = model(bundles.noise_bundle)
    content = streams.noise(8000)
    first, second, other = (play_through(session(of, noise_seed=seed), content).audio for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


def test_a_stream_begun_anew_by_a_flush_sounds_as_a_new_one():
    of = model(bundles.noise_bundle)
    content = streams.noise(10000)
    processor = SessionProcessor(lambda: session(of), 1)
    first = np.concatenate([processor.process(content), processor.flush()], axis=1)
    second = np.concatenate([processor.process(content), processor.flush()], axis=1)
    np.testing.assert_array_equal(first, second)


def test_an_empty_recording_renders_to_an_empty_one():
    of = model(bundles.passthrough_bundle)
    assert render(streams.config(2), of, style(of), np.zeros((2, 0), np.float32)).shape == (2, 0)


def test_a_recording_of_one_sample_renders_to_one_sample():
    of = model(bundles.passthrough_bundle)
    content = np.full((1, 1), 0.25, np.float32)
    np.testing.assert_allclose(render(streams.config(), of, style(of), content), content, atol=streams.RECONSTRUCTION)


def test_rendering_says_how_far_it_is():
    of = model(bundles.passthrough_bundle)
    seen: list[int] = []
    render(streams.config(), of, style(of), streams.noise(40000), on_progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 40000


def test_the_summary_counts_what_went_in_and_out():
    heard = play_through(session(), streams.noise(5000), block_samples=500)
    (summary,) = heard.of(streams.Summary)
    assert summary.stats.samples_in == 5000
    assert summary.stats.samples_out == 5000 + streams.LATENCY
    assert (summary.stats.blocks_in, summary.stats.blocks_out) == (10, 11)
    assert summary.latency_samples == streams.LATENCY
    assert summary.bundle == "passthrough"


def test_a_finish_without_audio_gives_a_silent_tail_and_the_summary():
    heard = streams.play(session(), [Finish()])
    assert not heard.audio.any()
    assert heard.audio.shape == (1, streams.LATENCY)
    assert heard.of(streams.Summary)


def test_an_argument_is_not_kept_by_the_session():
    stream = session()
    block = streams.noise(512)
    first = stream.receive(AudioIn(block=block, first_sample=0))
    block.fill(9.0)
    rest = streams.play(stream, [*streams.audio_events(streams.noise(4096), 512, 512)])
    outs = [out for out in first if isinstance(out, AudioOut)] + rest.of(AudioOut)
    assert max(float(np.abs(out.block).max()) for out in outs) <= 1.0
