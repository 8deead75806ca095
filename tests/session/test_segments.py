"""Bundles that hear what follows: a stream of them is later, and keeps every law, change and rescue of the others."""

from __future__ import annotations

import numpy as np
import pytest

from deepmusic.audio import Audio
from deepmusic.dsp.gains import BandLayout
from deepmusic.dsp.windows import StftGeometry
from deepmusic.errors import BadConfig
from deepmusic.session.config import ModelFacts, model_facts
from deepmusic.session.events import (
    AudioFlag,
    AudioOut,
    ChangeBundle,
    ChangeStyle,
    Control,
    Finish,
    InEvent,
    Miss,
    NoticeKind,
    StepMissed,
    StepRequest,
    StepResult,
)
from deepmusic.session.offline import answer_step
from deepmusic.session.session import Session
from tests.session import streams
from tests.session.streams import QUIET, SessionProcessor, model, play_missing, play_through, session, style
from tests.support import bundles, laws

LATE_FRAMES = bundles.SEGMENT_FRAMES - bundles.STEP_FRAMES + bundles.LOOK_AHEAD_FRAMES
LATENCY = streams.LATENCY + 256 * LATE_FRAMES
"""At 44.1 and 48 kHz."""

SEGMENT = 256 * bundles.SEGMENT_FRAMES
LOOK_AHEAD = 256 * bundles.LOOK_AHEAD_FRAMES

FADE = 2400
"""A change of style by default, 50 ms."""

RESCUE = 240
"""5 ms of fade into the delayed input, and as much out of it."""

RENDERED = 768 + 64
"""How far a step's sound lies behind its frames: synthesis and the ceiling's look-ahead."""

SAME_GAINS = 1e-6
"""float32: the same gains on the same frames, whether a model gave them for four frames or for sixteen."""

GAIN_TOLERANCE = 3e-5
"""As for streams: the laws' music peaks over the ceiling."""


def delayed(audio: Audio) -> Audio:
    return streams.delayed(audio, LATENCY)


def gusts(n_samples: int, n_channels: int = 1, loud: float = 0.02) -> Audio:
    """Noise that is loud and nearly silent in turns of 3000 samples."""
    level = np.arange(n_samples) // 3000 % 2 * loud + 1e-5
    return streams.noise(n_samples, n_channels=n_channels) * level.astype(np.float32)


@pytest.mark.parametrize("case", laws.cases())
def test_a_session_of_segments_keeps_every_law_of_a_processor(case: laws.Case):
    of = model(bundles.segment_bundle)

    def make() -> SessionProcessor:
        return SessionProcessor(
            lambda: session(of, n_channels=case.n_channels, rate_hz=case.sample_rate_hz), case.n_channels
        )

    laws.hold_all(make, case, tolerance=0.0, impulse_tolerance=GAIN_TOLERANCE)


@pytest.mark.parametrize("rate_hz", [44100, 48000, 88200, 96000, 176400, 192000])
def test_the_latency_is_that_of_a_stream_and_the_frames_that_gains_are_late(rate_hz: int):
    late = session(model(bundles.segment_bundle), rate_hz=rate_hz).latency_samples
    assert late == session(rate_hz=rate_hz).latency_samples + LATE_FRAMES * StftGeometry.for_rate(rate_hz).hop


@pytest.mark.parametrize("block_samples", [65, 8192])
def test_the_same_gains_sound_the_same_as_from_a_stream_only_later(block_samples: int):
    of, stream = model(bundles.ducking_bundle), model(bundles.ducking_stream_bundle)
    content = gusts(40000, n_channels=2)
    settings = [
        Control(name="strength", value=0.6, at_sample=9000, ramp_samples=3000),
        Control(name="input_gain_db", value=-3.0, at_sample=15000),
        Control(name="output_gain_db", value=3.0, at_sample=21000),
        Control(name="bypass", value=1.0, at_sample=30000),
    ]
    late, expected = (
        play_through(session(which, n_channels=2), content, *settings, block_samples=block_samples).audio
        for which in (of, stream)
    )
    assert np.abs(expected).max() > 0.005
    np.testing.assert_allclose(late[:, LATENCY:], expected[:, streams.LATENCY :], atol=SAME_GAINS)


def test_dry_is_the_delayed_input_bit_for_bit():
    content = streams.noise(30000, peak=1.5, n_channels=2)
    for settings in ({"strength": 0.0}, {"mix": 0.0}, {"bypass": 1.0}):
        out = play_through(session(model(bundles.segment_noise_bundle), n_channels=2, **settings), content).audio
        np.testing.assert_array_equal(out, delayed(content))


@pytest.mark.parametrize("at", [0, 1, 5000, SEGMENT - 1, SEGMENT, 9001, 3 * SEGMENT + LOOK_AHEAD])
@pytest.mark.parametrize("block_samples", [65, 1024, 20000])
def test_a_scheduled_style_lands_on_its_sample(at: int, block_samples: int):
    of = model(bundles.segment_style_bundle)
    content = streams.noise(24000, peak=QUIET)
    before = play_through(session(of), content).audio
    change = ChangeStyle(vector=style(of, -12.0), at_sample=at, fade_samples=240)
    after = play_through(session(of), content, change, block_samples=block_samples).audio
    assert after.shape == before.shape
    first = at + LATENCY
    np.testing.assert_array_equal(after[:, :first], before[:, :first])
    assert int(np.flatnonzero(after[0] != before[0])[0]) <= first + 8
    settled = slice(first + 240, None)
    quieter = delayed(content) * np.float32(10 ** (-12 / 20))
    np.testing.assert_allclose(after[:, settled], quieter[:, settled], atol=1e-7)


@pytest.mark.parametrize("at", [3 * SEGMENT, 3 * SEGMENT + 2000])
def test_a_new_lane_goes_on_from_the_state_of_the_one_before(at: int):
    of = model(bundles.counting_segment_bundle)
    content = streams.noise(60000, peak=QUIET)
    plain = play_through(session(of), content).audio
    changed = play_through(session(of), content, ChangeStyle(vector=style(of, name="x"), at_sample=at)).audio
    after = slice(at + FADE + LATENCY, None)
    np.testing.assert_allclose(changed[:, after], plain[:, after], atol=1e-8)


def test_changes_one_after_another_all_happen():
    of = model(bundles.segment_style_bundle)
    changes = [ChangeStyle(vector=style(of, -float(i)), at_sample=6000 * i) for i in (3, 1, 2)]
    heard = play_through(session(of), streams.noise(24000, peak=QUIET), *changes)
    assert heard.of(streams.Summary)[0].stats.style_changes == 3
    assert [n.at_sample for n in heard.of(streams.Notice)] == [6000, 12000, 18000]


@pytest.mark.parametrize("at", [0, 7000, 2 * SEGMENT])
def test_a_live_bundle_takes_over_from_a_segment_bundle_padded_to_its_latency(at: int):
    first, second = model(bundles.segment_bundle), model(bundles.style_gain_bundle)
    content = streams.noise(26000, peak=QUIET)
    change = ChangeBundle(model=model_facts(second), vector=style(second, -12.0), at_sample=at)
    heard = play_through(session(first), content, change)
    assert heard.notices == [NoticeKind.BUNDLE_CHANGED]
    begin, done = at + LATENCY, at + FADE + LATENCY
    np.testing.assert_allclose(heard.audio[:, :begin], delayed(content)[:, :begin], atol=1e-7)
    expected = delayed(content) * np.float32(10 ** (-12 / 20))
    np.testing.assert_allclose(heard.audio[:, done:], expected[:, done:], atol=1e-7)


@pytest.mark.parametrize("at", [0, 1024, 5000, 3 * SEGMENT])
def test_a_segment_bundle_that_takes_over_has_gains_from_its_first_sample_on(at: int):
    first, second, ducking = (
        model(which) for which in (bundles.segment_bundle, bundles.ducking_bundle, bundles.ducking_stream_bundle)
    )
    content = gusts(40000, loud=0.002)
    change = ChangeBundle(model=model_facts(second), vector=style(second), at_sample=at, fade_samples=240)
    changed = play_through(session(first), content, change).audio
    expected = play_through(session(ducking), content).audio
    done = at + 240 + LATENCY
    np.testing.assert_allclose(changed[:, done:], expected[:, done - LATENCY + streams.LATENCY :], atol=SAME_GAINS)


def test_a_bundle_that_is_later_than_the_stream_is_refused_with_a_notice():
    first, second = model(bundles.passthrough_bundle), model(bundles.segment_bundle)
    content = streams.noise(9000)
    heard = play_through(session(first), content, ChangeBundle(model=model_facts(second), vector=style(second)))
    (notice,) = heard.of(streams.Notice)
    assert notice.kind is NoticeKind.BUNDLE_REFUSED
    assert "open a new stream" in notice.message
    np.testing.assert_array_equal(heard.audio, play_through(session(first), content).audio)


def test_a_look_ahead_that_steps_of_four_frames_do_not_divide_is_refused():
    with pytest.raises(BadConfig, match="multiples of 4 frames"):
        ModelFacts(
            name="odd",
            digest="d",
            handle=None,
            layout=BandLayout(),
            n_style=1,
            initial_state=np.zeros(1, np.float32),
            step_frames=16,
            look_ahead_frames=6,
        )


class Driven:
    """A session whose requests are seen, and answered, held back or missed one by one."""

    def __init__(self, stream: Session) -> None:
        self.stream = stream
        self.heard = streams.Heard()
        self.requests = list[StepRequest]()
        self.missed: dict[int, Miss] = {}
        self.held: set[int] = set()
        self.answers = list[StepResult]()

    def feed(self, *events: InEvent) -> None:
        pending = list(events)
        while pending:
            for out in self.stream.receive(pending.pop(0)):
                if not isinstance(out, StepRequest):
                    self.heard.events.append(out)
                    continue
                self.requests.append(out)
                if out.step in self.missed:
                    pending.append(StepMissed(step=out.step, reason=self.missed[out.step]))
                elif out.step in self.held:
                    self.answers.append(answer_step(out))
                else:
                    pending.append(answer_step(out))


def dry_samples(audio: Audio, content: Audio) -> np.ndarray:
    """Positions of the content that sound as the content itself, of a bundle that turns it down by 12 dB."""
    played = audio[0, LATENCY : LATENCY + content.shape[1]]
    return np.flatnonzero(np.abs(played) > 0.9 * np.abs(content[0]) + 1e-9)


def first_sample_of(step: int) -> int:
    """The first sample of the content that sounds in a step."""
    return step * 1024 - 256 * LATE_FRAMES - RENDERED


def test_the_model_is_asked_once_a_segment():
    driven = Driven(session(model(bundles.segment_bundle)))
    driven.feed(*streams.audio_events(streams.noise(40000), 512))
    assert [request.step for request in driven.requests] == list(range(3, 39, 4))


def test_a_late_segment_is_dry_until_its_answer_comes_and_no_longer():
    of, content = model(bundles.segment_style_bundle), streams.noise(40000, peak=QUIET)
    heard = play_missing(session(of, gain_db=-12.0), content, {15: Miss.LATE}, late_by=2)
    dry = dry_samples(heard.audio, content)
    first = first_sample_of(15)
    assert first <= dry.min() <= first + RESCUE
    assert dry.max() <= first + 1024 + RESCUE
    assert AudioFlag.LATE in heard.flags
    assert heard.of(streams.Summary)[0].stats.late_steps == 1


def test_an_answer_that_comes_after_its_segment_costs_what_the_model_has_not_heard():
    of, content = model(bundles.segment_style_bundle), streams.noise(80000, peak=QUIET)
    driven = Driven(session(of, gain_db=-12.0))
    driven.held = {15}
    for step, event in enumerate(streams.audio_events(content, 1024)):
        driven.feed(event)
        if 15 <= step < 25:
            driven.feed(StepMissed(step=step, reason=Miss.LATE))
        if step == 25:
            driven.feed(*driven.answers)
    driven.feed(Finish())
    dry = dry_samples(driven.heard.audio, content)
    # Steps 15 to 24 were missed. The segment from step 23 on could be asked at step 25; before it the model had not
    # heard a segment, and of what follows it gives gains for nothing that lies in its look-ahead.
    assert first_sample_of(15) <= dry.min() <= first_sample_of(15) + RESCUE
    assert dry.max() <= first_sample_of(27) + RESCUE
    assert AudioFlag.LATE in driven.heard.flags
    assert driven.heard.audio.shape[1] == content.shape[1] + LATENCY


def test_a_failed_segment_is_dry_with_what_the_new_state_has_not_heard():
    of, content = model(bundles.segment_style_bundle), streams.noise(60000, peak=QUIET)
    heard = play_missing(session(of, gain_db=-12.0), content, {15: Miss.FAILED})
    dry = dry_samples(heard.audio, content)
    first, length = first_sample_of(15), SEGMENT + LOOK_AHEAD
    assert first <= dry.min() <= first + RESCUE
    assert first + length - RESCUE <= dry.max() <= first + length + RESCUE
    assert AudioFlag.FAILED in heard.flags
    assert NoticeKind.STEP_FAILED in heard.notices
    assert heard.of(streams.Summary)[0].stats.failed_steps == length // 1024


def test_a_model_that_always_fails_leaves_the_delayed_input_and_is_asked_once_a_segment():
    content = streams.noise(30000)
    driven = Driven(session(model(bundles.segment_bundle)))
    driven.missed = dict.fromkeys(range(200), Miss.FAILED)
    driven.feed(*streams.audio_events(content, 700), Finish())
    begun = LATENCY + RESCUE
    np.testing.assert_array_equal(driven.heard.audio[:, begun:], delayed(content)[:, begun:])
    assert [request.step for request in driven.requests] == list(range(3, driven.requests[-1].step + 1, 4))


def test_a_style_that_changes_while_a_segment_is_late_is_asked_for_that_segment_again():
    of, content = model(bundles.segment_style_bundle), streams.noise(60000, peak=QUIET)
    driven = Driven(session(of))
    driven.held = {15}
    at = first_sample_of(16) + RENDERED
    driven.feed(ChangeStyle(vector=style(of, -12.0), at_sample=at, fade_samples=240))
    for step, event in enumerate(streams.audio_events(content, 1024)):
        driven.feed(event)
        if step in (15, 16):
            driven.feed(StepMissed(step=step, reason=Miss.LATE))
        if step == 16:
            driven.feed(*driven.answers)
    driven.feed(Finish())
    settled = at + LATENCY + 1024 + RESCUE
    quieter = delayed(content) * np.float32(10 ** (-12 / 20))
    np.testing.assert_allclose(driven.heard.audio[:, settled:], quieter[:, settled:], atol=1e-7)


def test_freeze_reaches_the_model_with_the_segment_that_it_is_heard_in():
    driven = Driven(session(model(bundles.segment_bundle)))
    driven.feed(Control(name="freeze", value=1.0, at_sample=2 * SEGMENT), *streams.audio_events(streams.noise(30000)))
    # The third answer is for frames 24 to 39, from before the switch at frame 32 on; the fourth is all behind it.
    frozen = [request.lanes[0].freeze for request in driven.requests]
    assert frozen == [0.0, 0.0, 0.0, *[1.0] * (len(frozen) - 3)]
    assert len(frozen) > 4


def test_blocks_are_answered_at_once_though_segments_are_gathered():
    stream = session(model(bundles.segment_bundle))
    sent = list(streams.audio_events(streams.noise(20000), laws.RANDOM))
    heard = streams.play(stream, sent).of(AudioOut)
    assert [(out.first_sample, out.block.shape) for out in heard] == [(e.first_sample, e.block.shape) for e in sent]
