"""Late and failed steps: the delayed input through short fades, a flag, a counter, and back."""

from __future__ import annotations

import numpy as np
import pytest

from deepmusic.dsp.levels import lookahead_samples
from deepmusic.session.events import (
    AudioFlag,
    AudioIn,
    AudioOut,
    Finish,
    LaneResult,
    Miss,
    NoticeKind,
    StepMissed,
    StepRequest,
    StepResult,
    Summary,
)
from deepmusic.session.offline import answer_step
from tests.session import streams
from tests.session.streams import LATENCY, STEP, model, play_missing, play_through, session
from tests.support import bundles

FADE = 240
"""5 ms at 48 kHz."""

STEP_LAG = LATENCY - (STEP - 1)
"""A step's sound begins this much before the step's own first sample."""

MISSES = pytest.mark.parametrize(
    ("miss", "flag"), [(Miss.LATE, AudioFlag.LATE), (Miss.FAILED, AudioFlag.FAILED)], ids=["late", "failed"]
)


def heard_of_step(step: int) -> int:
    """First output sample of a step."""
    return step * STEP + STEP - 1


def test_the_step_lag_is_synthesis_and_look_ahead():
    assert 768 + lookahead_samples(48000) == STEP_LAG


@MISSES
@pytest.mark.parametrize("late_by", [0, 1])
def test_a_missed_step_is_the_delayed_input_between_two_fades(miss: Miss, flag: AudioFlag, late_by: int):
    of = model(bundles.style_gain_bundle)
    content = streams.noise(16000, peak=streams.QUIET)
    dry = streams.delayed(content)
    wet = play_through(session(of, gain_db=-40.0), content).audio
    heard = play_missing(session(of, gain_db=-40.0), content, {5: miss}, late_by=late_by)
    audio = heard.audio
    begin, end = heard_of_step(5), heard_of_step(6)
    np.testing.assert_array_equal(audio[:, :begin], wet[:, :begin])
    np.testing.assert_array_equal(audio[:, begin + FADE : end], dry[:, begin + FADE : end])
    np.testing.assert_allclose(audio[:, end + FADE :], wet[:, end + FADE :], atol=1e-8)
    angle = np.arcsin(np.clip((audio - wet)[0, begin : begin + FADE] / dry[0, begin : begin + FADE], -1, 1))
    assert (np.diff(angle) > -0.05).all()
    assert flag in heard.flags
    assert AudioFlag.DRY in heard.flags


@MISSES
def test_flags_and_counters_name_the_blocks_that_are_dry(miss: Miss, flag: AudioFlag):
    content = streams.noise(16384)
    heard = play_missing(session(), content, {5: miss}, block_samples=512)
    flagged = [out.first_sample for out in heard.of(AudioOut) if flag in out.flags]
    # Step 5 is heard in output samples 6143 to 7166, and the fade back in 7167 to 7406.
    assert flagged == [5632, 6144, 6656, 7168]
    assert all(AudioFlag.DRY in out.flags for out in heard.of(AudioOut) if flag in out.flags)
    stats = heard.of(Summary)[0].stats
    assert stats.dry_blocks == 4
    assert stats.late_blocks == (4 if miss is Miss.LATE else 0)
    assert (stats.late_steps, stats.failed_steps) == ((1, 0) if miss is Miss.LATE else (0, 1))
    assert heard.notices == [NoticeKind.STEP_LATE if miss is Miss.LATE else NoticeKind.STEP_FAILED]


def test_a_late_answer_keeps_the_state_going():
    of = model(bundles.counting_bundle)
    content = streams.noise(20000, peak=streams.QUIET)
    wet = play_through(session(of), content).audio
    heard = play_missing(session(of), content, {5: Miss.LATE})
    after = slice(heard_of_step(7), None)
    np.testing.assert_allclose(heard.audio[:, after], wet[:, after], atol=1e-8)


def test_a_failed_step_starts_the_state_again():
    of = model(bundles.counting_bundle)
    content = streams.noise(20 * STEP, peak=streams.QUIET)
    requests: list[StepRequest] = []
    stream = session(of)
    pending = [*streams.audio_events(content, STEP)]
    while pending:
        for out in stream.receive(pending.pop(0)):
            if isinstance(out, StepRequest):
                requests.append(out)
                failed = StepMissed(step=out.step, reason=Miss.FAILED)
                pending.insert(0, failed if out.step == 5 else answer_step(out))
    counts = [float(request.lanes[0].state[0]) for request in requests]
    assert counts[:10] == [0, 1, 2, 3, 4, 5, 0, 1, 2, 3]


def test_a_step_that_was_never_asked_for_is_skipped():
    of = model(bundles.counting_bundle)
    content = streams.noise(8 * STEP, peak=streams.QUIET)
    stream = session(of)
    blocks = list(streams.audio_events(content, STEP))
    (request,) = [out for out in stream.receive(blocks[0]) if isinstance(out, StepRequest)]
    late = [out for block in blocks[1:4] for out in stream.receive(block)]
    assert not [out for out in late if isinstance(out, StepRequest | AudioOut)]
    outs = stream.receive(StepMissed(step=2, reason=Miss.LATE))
    # Block 0 was answered with the silence of the start and the first sample of step 0.
    assert [out.first_sample for out in outs if isinstance(out, AudioOut)] == [0, STEP, 2 * STEP]
    outs = stream.receive(answer_step(request))
    (following,) = [out for out in outs if isinstance(out, StepRequest)]
    assert following.step == 3
    assert following.lanes[0].state[0] == 1
    assert stream.stats.late_steps == 3


def test_blocks_that_need_no_new_step_do_not_wait_for_one():
    stream = session()
    outs = [out for event in streams.audio_events(streams.noise(1023), 341) for out in stream.receive(event)]
    assert [type(out) for out in outs] == [AudioOut] * 3


def test_one_step_is_open_at_a_time():
    stream = session()
    outs = stream.receive(AudioIn(block=streams.noise(9 * STEP), first_sample=0))
    steps = [out.step for out in outs if isinstance(out, StepRequest)]
    assert steps == [0]


def test_answers_to_questions_that_nobody_asked_are_ignored():
    stream = session()
    (request,) = [
        out
        for out in stream.receive(AudioIn(block=streams.noise(STEP), first_sample=0))
        if isinstance(out, StepRequest)
    ]
    result = answer_step(request)
    assert stream.receive(StepResult(step=7, lanes=result.lanes)) == []
    assert stream.receive(StepMissed(step=7, reason=Miss.LATE)) != []
    assert stream.receive(StepMissed(step=7, reason=Miss.FAILED)) == []
    stream.receive(result)
    assert stream.receive(result) == []


@pytest.mark.parametrize("what", ["gain_db", "state"])
def test_an_answer_that_is_not_finite_counts_as_failed(what: str):
    stream = session()
    (request,) = [
        out
        for out in stream.receive(AudioIn(block=streams.noise(STEP), first_sample=0))
        if isinstance(out, StepRequest)
    ]
    good = answer_step(request).lanes[0]
    arrays = {"gain_db": good.gain_db.copy(), "state": good.state.copy()}
    arrays[what].reshape(-1)[3] = np.nan
    outs = stream.receive(StepResult(step=0, lanes=(LaneResult(lane=good.lane, **arrays),)))
    assert stream.stats.failed_steps == 1
    assert all(np.isfinite(out.block).all() for out in outs if isinstance(out, AudioOut))


def test_every_step_missed_is_the_delayed_input_after_the_first_fade():
    content = streams.noise(20000, peak=0.9, n_channels=2)
    stream = session(model(bundles.noise_bundle), n_channels=2)
    heard = play_missing(stream, content, dict.fromkeys(range(40), Miss.FAILED))
    np.testing.assert_array_equal(heard.audio, streams.delayed(content))
    assert heard.of(Summary)


def test_a_stream_whose_last_steps_are_late_still_finishes():
    stream = session()
    for event in streams.audio_events(streams.noise(3 * STEP), STEP):
        stream.receive(event)
    outs = stream.receive(Finish())
    assert not [out for out in outs if isinstance(out, Summary)]
    outs = stream.receive(StepMissed(step=stream.n_steps_complete - 1, reason=Miss.LATE))
    assert isinstance(outs[-1], Summary)


def test_misses_are_told_at_most_once_a_second():
    heard = play_missing(session(), streams.noise(3 * 48000), dict.fromkeys(range(200), Miss.LATE))
    assert heard.of(Summary)[0].stats.late_steps >= 140
    assert 3 <= len(heard.notices) <= 4
