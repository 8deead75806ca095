"""Bad input: what each fault gets, and that the stream goes on."""

from __future__ import annotations

import numpy as np
import pytest

from deepmusic.errors import AudioTooFast, BadBlockSize, BadConfig, RequestError
from deepmusic.session.config import SessionConfig, model_facts
from deepmusic.session.events import (
    AudioFlag,
    AudioIn,
    AudioOut,
    Control,
    Finish,
    Flush,
    NoticeKind,
    StepRequest,
    Summary,
)
from deepmusic.session.offline import answer_step
from deepmusic.session.session import Session
from tests.session import streams
from tests.session.streams import LATENCY, STEP, model, play, play_through, session, style
from tests.support import bundles


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite_count_as_0_with_one_notice_a_second(bad: float):
    content = streams.noise(3 * 48000, n_channels=2)
    clean = content.copy()
    content[0, 100::480] = bad
    clean[0, 100::480] = 0.0
    heard = play_through(session(n_channels=2), content)
    np.testing.assert_array_equal(heard.audio, play_through(session(n_channels=2), clean).audio)
    assert heard.notices == [NoticeKind.NON_FINITE_REPLACED] * 3
    assert heard.of(Summary)[0].stats.replaced_samples == 300


def test_a_gap_is_filled_with_silence_and_positions_stay_true():
    content = streams.noise(20000)
    with_hole = content.copy()
    with_hole[:, 5000:7000] = 0.0
    blocks = [block for block in streams.audio_events(content, 500) if not 5000 <= block.first_sample < 7000]
    heard = play(session(), [*blocks, Finish()])
    whole = play_through(session(), with_hole, block_samples=500).audio
    by_position = {out.first_sample: out for out in heard.of(AudioOut)}
    assert sorted(by_position) == [block.first_sample for block in blocks] + [20000]
    for first, out in by_position.items():
        np.testing.assert_array_equal(out.block, whole[:, first : first + out.block.shape[1]])
    assert by_position[7000].flags == AudioFlag.CONCEALED | AudioFlag.DISCONTINUITY
    assert AudioFlag.CONCEALED not in by_position[7500].flags
    assert heard.notices == [NoticeKind.GAP_FILLED]
    assert heard.of(Summary)[0].stats.concealed_samples == 2000


def test_duplicates_and_older_blocks_are_dropped_with_a_notice():
    content = streams.noise(6000)
    blocks = list(streams.audio_events(content, 500))
    heard = play(session(), [*blocks[:6], blocks[2], blocks[5], *blocks[6:], Finish()])
    np.testing.assert_array_equal(heard.audio, play_through(session(), content, block_samples=500).audio)
    assert heard.notices == [NoticeKind.BLOCK_DROPPED] * 2
    assert heard.of(Summary)[0].stats.dropped_blocks == 2


@pytest.mark.parametrize("jump", [48001, 10**12])
def test_a_jump_of_more_than_a_second_begins_the_stream_anew(jump: int):
    of = model(bundles.noise_bundle)
    content = streams.noise(6000)
    before = list(streams.audio_events(streams.noise(5000, seed=1), 500))
    after = list(streams.audio_events(content, 500, first_sample=5000 + jump))
    heard = play(session(of), [*before, *after, Finish()])
    outs = [out for out in heard.of(AudioOut) if out.first_sample >= 5000 + jump]
    assert [out.first_sample for out in outs] == [block.first_sample for block in after] + [5000 + jump + 6000]
    anew = np.concatenate([out.block for out in outs], axis=1)
    np.testing.assert_array_equal(anew, play_through(session(of), content, block_samples=500).audio)
    assert outs[0].flags == AudioFlag.DISCONTINUITY
    assert heard.notices == [NoticeKind.STREAM_RESTARTED]


def test_audio_that_comes_while_the_tail_is_rendered_waits_its_turn():
    content = streams.noise(4 * STEP)
    stream = session()
    events = [*streams.audio_events(content, STEP), Flush(), *streams.audio_events(content, STEP, 4 * STEP), Finish()]
    outs = [out for event in events for out in stream.receive(event)]
    while requests := [out for out in outs if isinstance(out, StepRequest)][-1:]:
        more = stream.receive(answer_step(requests[0]))
        outs = [out for out in outs if not isinstance(out, StepRequest)] + more
    blocks = [out for out in outs if isinstance(out, AudioOut)]
    audio = np.concatenate([out.block for out in blocks], axis=1)
    once = play_through(session(), content, block_samples=STEP).audio
    np.testing.assert_array_equal(audio, np.concatenate([once, once], axis=1))
    assert [out.first_sample // STEP for out in blocks] == [0, 1, 2, 3, 4, 4, 5, 6, 7, 8]
    assert [AudioFlag.TAIL in out.flags for out in blocks].count(True) == 2


def test_huge_samples_stay_under_the_ceiling_and_leave_the_state_finite():
    content = streams.noise(20000)
    content[:, 3000:4000] = 1e30
    content[:, 5000:5010] = -3.4e38
    of = model(bundles.noise_bundle)
    heard = play_through(session(of), content)
    assert np.isfinite(heard.audio).all()
    assert float(np.abs(heard.audio).max()) <= 10 ** (-1 / 20) + 1e-6
    gained = play_through(session(of, input_gain_db=24.0, output_gain_db=24.0), content)
    assert np.isfinite(gained.audio).all()


@pytest.mark.parametrize("shape", [(1, 0), (2, 100), (1, 70000), (100,)])
def test_a_block_of_the_wrong_shape_is_refused(shape: tuple[int, ...]):
    with pytest.raises(BadBlockSize):
        session().receive(AudioIn(block=np.zeros(shape, np.float32), first_sample=0))


def test_nothing_is_taken_after_finish():
    stream = session()
    play(stream, [Finish()])
    for event in (AudioIn(block=streams.noise(10), first_sample=0), Control(name="mix", value=0.0), Finish(), Flush()):
        with pytest.raises(RequestError, match="finish"):
            stream.receive(event)


def test_more_input_than_may_wait_is_too_fast():
    of = model(bundles.passthrough_bundle)
    config = SessionConfig(
        audio_format=streams.AudioFormat(sample_rate_hz=48000, n_channels=1), max_block_samples=1024, backlog_s=2.0
    )
    stream = Session(config, model_facts(of), style(of))
    with pytest.raises(AudioTooFast):
        streams.receive_all(stream, streams.audio_events(streams.noise(200 * STEP), STEP))
    assert 2.0 * 48000 <= stream.stats.samples_in <= 2.2 * 48000


@pytest.mark.parametrize(
    ("field", "value"), [("max_block_samples", 0), ("noise_seed", -1), ("backlog_s", 0.0), ("backlog_s", float("nan"))]
)
def test_a_config_out_of_range_is_refused(field: str, value: float):
    with pytest.raises(BadConfig) as caught:
        SessionConfig(audio_format=streams.AudioFormat(sample_rate_hz=48000, n_channels=1), **{field: value})
    assert caught.value.field == field


def test_output_begins_with_silence():
    heard = play_through(session(model(bundles.noise_bundle)), streams.noise(5000))
    assert not heard.audio[:, :LATENCY].any()
    assert heard.audio[:, LATENCY:].any()
