"""Changes of style and bundle: on their sample, without a click, without a change of latency."""

from __future__ import annotations

import numpy as np
import pytest

from deepmusic.audio import Audio
from deepmusic.dsp.gains import BandLayout
from deepmusic.errors import BadConfig
from deepmusic.session.config import ModelFacts, model_facts
from deepmusic.session.events import ChangeBundle, ChangeStyle, NoticeKind
from deepmusic.session.session import Session
from tests.session import streams
from tests.session.streams import LATENCY, config, model, play_through, session, style
from tests.support import bundles

FADE = 2400
"""50 ms at 48 kHz."""


SEAM_LIMIT = 1.15
"""Largest second difference within 4 samples of a join, over the same half a period away; untouched audio has 1.11."""


def tone(n_samples: int, hz: float = 220.0) -> Audio:
    return (streams.QUIET * np.sin(2 * np.pi * hz * np.arange(n_samples) / streams.RATE_HZ))[np.newaxis].astype(
        np.float32
    )


@pytest.mark.parametrize("at", [0, 5000, 5119, 5120, 5121, 6143])
@pytest.mark.parametrize("block_samples", [65, 1024])
def test_a_scheduled_style_lands_on_its_sample(at: int, block_samples: int):
    of = model(bundles.style_gain_bundle)
    content = streams.noise(16000, peak=streams.QUIET)
    before = play_through(session(of), content).audio
    # The shortest fade: the eased beginning of a long one is finer than float32.
    change = ChangeStyle(vector=style(of, -12.0), at_sample=at, fade_samples=240)
    after = play_through(session(of), content, change, block_samples=block_samples).audio
    assert after.shape == before.shape
    first = at + LATENCY
    np.testing.assert_array_equal(after[:, :first], before[:, :first])
    assert after[0, first] != before[0, first]
    done = slice(first + 240, None)
    expected = streams.delayed(content) * np.float32(10 ** (-12 / 20))
    np.testing.assert_allclose(after[:, done], expected[:, done], atol=1e-7)


def test_a_change_without_a_sample_begins_with_the_next_block():
    of = model(bundles.style_gain_bundle)
    content = streams.noise(12000, peak=streams.QUIET)
    plain = play_through(session(of), content).audio
    blocks = list(streams.audio_events(content, 500))
    events = [*blocks[:6], ChangeStyle(vector=style(of, -12.0), fade_samples=240), *blocks[6:]]
    changed = streams.play(session(of), [*events, streams.Finish()]).audio
    assert int(np.flatnonzero(changed[0] != plain[0])[0]) == 3000 + LATENCY


@pytest.mark.parametrize("hz", [55.0, 220.0, 1000.0])
@pytest.mark.parametrize("gain_db", [-18.0, 6.0])
def test_a_style_change_is_free_of_clicks(hz: float, gain_db: float):
    of = model(bundles.style_gain_bundle)
    half_period = round(streams.RATE_HZ / hz / 2)
    ratios: list[float] = []
    for at in range(20000, 20000 + 12 * 37, 37):
        change = ChangeStyle(vector=style(of, gain_db), at_sample=at)
        audio = play_through(session(of), tone(26000, hz), change, block_samples=8192).audio[0]
        bend = np.abs(np.diff(audio, 2))

        def largest(middle: int, bend: Audio = bend) -> float:
            return float(bend[middle - 5 : middle + 4].max())

        begin, end = at + LATENCY, at + FADE + LATENCY
        ratios += [largest(begin) / largest(begin - half_period), largest(end) / largest(end + half_period)]
    assert np.mean(ratios) <= SEAM_LIMIT


def test_fades_between_styles_that_sound_alike_do_not_swell():
    of = model(bundles.style_gain_bundle)
    content = streams.noise(30000, peak=streams.QUIET)
    moves = [ChangeStyle(vector=style(of, -6.0, str(at)), at_sample=at) for at in range(4000, 24000, 2400)]
    morph = play_through(session(of, gain_db=-6.0), content, *moves).audio
    np.testing.assert_allclose(morph, play_through(session(of, gain_db=-6.0), content).audio, atol=1e-7)


def test_the_newest_change_waits_for_the_crossfade_and_wins():
    of = model(bundles.style_gain_bundle)
    content = streams.noise(30000, peak=streams.QUIET)
    changes = [
        ChangeStyle(vector=style(of, gain_db, name), at_sample=at)
        for gain_db, name, at in ((-6.0, "first", 4000), (-12.0, "skipped", 4500), (-20.0, "last", 5000))
    ]
    heard = play_through(session(of), content, *changes)
    begun = [n.name for n in heard.of(streams.Notice) if n.kind is NoticeKind.STYLE_CHANGED]
    assert begun == ["first", "last"]
    settled = slice(LATENCY + 14000, None)
    np.testing.assert_allclose(heard.audio[:, settled], streams.delayed(content)[:, settled] * 0.1, atol=1e-7)


def test_changes_far_apart_all_happen():
    of = model(bundles.style_gain_bundle)
    changes = [ChangeStyle(vector=style(of, -float(i)), at_sample=6000 * i) for i in (3, 1, 2)]
    heard = play_through(session(of), streams.noise(24000, peak=streams.QUIET), *changes)
    assert heard.of(streams.Summary)[0].stats.style_changes == 3
    assert [n.at_sample for n in heard.of(streams.Notice)] == [6000, 12000, 18000]


def test_a_new_lane_goes_on_from_the_state_of_the_one_before():
    of = model(bundles.counting_bundle)
    content = streams.noise(40000, peak=streams.QUIET)
    plain = play_through(session(of), content).audio
    changed = play_through(session(of), content, ChangeStyle(vector=style(of, name="x"), at_sample=10240)).audio
    after = slice(10240 + FADE + LATENCY, None)
    np.testing.assert_allclose(changed[:, after], plain[:, after], atol=1e-8)


def test_a_bundle_swap_is_a_crossfade_with_the_same_latency():
    first, second = model(bundles.passthrough_bundle), model(bundles.style_gain_bundle)
    content = streams.noise(20000, peak=streams.QUIET)
    change = ChangeBundle(model=model_facts(second), vector=style(second, -12.0), at_sample=7000)
    heard = play_through(session(first), content, change)
    np.testing.assert_allclose(
        heard.audio[:, : 7000 + LATENCY], streams.delayed(content)[:, : 7000 + LATENCY], atol=1e-7
    )
    done = slice(7000 + FADE + LATENCY, None)
    expected = streams.delayed(content) * np.float32(10 ** (-12 / 20))
    np.testing.assert_allclose(heard.audio[:, done], expected[:, done], atol=1e-7)
    assert NoticeKind.BUNDLE_CHANGED in heard.notices
    assert heard.of(streams.Summary)[0].bundle == "style-gain"


def test_a_bundle_with_other_bands_takes_over_too():
    of = model(bundles.passthrough_bundle)
    facts = model_facts(of)
    other = ModelFacts(
        name="wide",
        digest="other",
        handle=_WideModel(),
        layout=BandLayout(n_bands=40),
        n_style=2,
        initial_state=np.zeros(3, np.float32),
    )
    vector = streams.StyleVector(values=np.zeros(2, np.float32), bundle_digest="other", name="w")
    stream = Session(config(), facts, style(of))
    content = streams.noise(12000, peak=0.3)
    heard = play_through(stream, content, ChangeBundle(model=other, vector=vector, at_sample=3000))
    np.testing.assert_allclose(heard.audio[:, 9000:], streams.delayed(content)[:, 9000:], atol=1e-5)


class _WideModel:
    """A pass-through with 40 bands."""

    def step(self, bands, style, freeze, state):
        gain_db = np.full((1, 4, 4, 40), -120.0, np.float32)
        gain_db[:, :, 0] = 0.0
        return gain_db, state


def test_a_style_of_another_bundle_is_refused_with_a_notice():
    first, second = model(bundles.passthrough_bundle), model(bundles.style_gain_bundle)
    content = streams.noise(6000)
    heard = play_through(session(first), content, ChangeStyle(vector=style(second, -12.0)))
    assert heard.notices == [NoticeKind.STYLE_REFUSED]
    np.testing.assert_array_equal(heard.audio, play_through(session(first), content).audio)


def test_a_session_does_not_begin_with_a_style_of_another_bundle():
    first, second = model(bundles.passthrough_bundle), model(bundles.style_gain_bundle)
    with pytest.raises(BadConfig, match="learn it again") as caught:
        Session(config(), model_facts(first), style(second))
    assert caught.value.field == "style"


def test_a_bundle_with_other_steps_is_refused():
    with pytest.raises(BadConfig, match="4 frames"):
        ModelFacts(
            name="tight",
            digest="d",
            handle=None,
            layout=BandLayout(),
            n_style=1,
            initial_state=np.zeros(1, np.float32),
            step_frames=1,
        )


def test_a_morph_that_moves_while_no_audio_comes_fills_nothing_up_and_only_its_last_position_is_heard():
    of = model(bundles.style_gain_bundle)
    stream, content = session(of), streams.noise(6000, peak=streams.QUIET)
    moves = [ChangeStyle(vector=style(of, -float(n), str(n))) for n in range(1, 1001)]
    last = ChangeStyle(vector=style(of, -20.0, "last"))
    heard = streams.play(stream, [*moves, last, *streams.audio_events(content), streams.Finish()])
    assert [(n.kind, n.name) for n in heard.of(streams.Notice)] == [(NoticeKind.STYLE_CHANGED, "last")]
    np.testing.assert_array_equal(heard.audio, play_through(session(of), content, last).audio)


def test_too_many_scheduled_changes_are_refused_with_a_notice():
    of = model(bundles.style_gain_bundle)
    stream = session(of)
    changes = [ChangeStyle(vector=style(of), at_sample=10**6 + i) for i in range(257)]
    assert streams.play(stream, changes).notices == [NoticeKind.STYLE_REFUSED]


def test_a_late_change_begins_at_the_next_sample_and_is_counted():
    of = model(bundles.style_gain_bundle)
    stream = session(of)
    content = streams.noise(12000, peak=streams.QUIET)
    plain = play_through(session(of), content).audio
    blocks = list(streams.audio_events(content, 500))
    late = ChangeStyle(vector=style(of, -12.0), at_sample=10, fade_samples=240)
    heard = streams.play(stream, [*blocks[:6], late, *blocks[6:], streams.Finish()])
    assert NoticeKind.CONTROL_LATE in heard.notices
    assert heard.of(streams.Summary)[0].stats.late_controls == 1
    assert int(np.flatnonzero(heard.audio[0] != plain[0])[0]) == 3000 + LATENCY
