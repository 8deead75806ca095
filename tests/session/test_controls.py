"""Parameters: the registry, ramps that are exact to the sample, and controls that cannot be done as asked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepmusic.errors import BadParameter
from deepmusic.session.automation import MAX_MOVES, Automation
from deepmusic.session.config import Setting
from deepmusic.session.controls import Controls
from deepmusic.session.events import AudioFlag, AudioOut, Control, Finish, Flush, NoticeKind
from deepmusic.session.parameters import PARAMETERS, ParameterKind, numeric_names
from tests.session import streams
from tests.session.streams import LATENCY, model, play, play_through, session
from tests.support import bundles


def test_the_registry_has_every_parameter_with_a_sound_description():
    assert list(PARAMETERS) == [
        "strength", "style", "style_weights", "mix", "input_gain_db", "output_gain_db",
        "low_hz", "high_hz", "freeze", "bypass", "panic",
    ]  # fmt: skip
    for name, parameter in PARAMETERS.items():
        assert parameter.name == name
        assert parameter.minimum <= parameter.default <= parameter.maximum
        assert parameter.doc.endswith(".")
    assert [p.unit for p in PARAMETERS.values() if p.name.endswith("_db")] == ["dB", "dB"]


moves = st.lists(
    st.tuples(st.floats(-10, 10, allow_subnormal=False), st.integers(0, 300), st.integers(0, 80)), max_size=8
)


@given(moves, st.integers(-20, 200), st.integers(1, 150), st.integers(0, 100))
def test_values_over_a_range_are_the_values_at_its_samples(planned, first, count, split):
    track = Automation(1.5)
    for target, start, length in planned:
        assert track.move(target, start, length)
    each = np.array([track.at(p) for p in range(first, first + count)], np.float32)
    np.testing.assert_array_equal(track.over(first, count), each)
    steady = track.steady_value(first, count)
    if steady is not None:
        np.testing.assert_array_equal(each, np.float32(steady))
    track.forget(first)
    np.testing.assert_array_equal(track.over(first, count), each)
    later = min(split, count - 1)
    track.forget(first + later)
    np.testing.assert_array_equal(track.over(first + later, count - later), each[later:])


def test_a_ramp_has_its_old_value_before_its_start_and_its_target_at_its_end():
    track = Automation(0.0)
    track.move(1.0, 100, 10)
    values = track.over(98, 14)
    np.testing.assert_allclose(values, [0, 0, *np.arange(1, 11) / 10, 1, 1], atol=1e-7)
    assert values[11] == 1.0


def test_a_ramp_that_cuts_another_off_goes_on_from_its_value():
    track = Automation(0.0)
    track.move(1.0, 0, 100)
    track.move(0.0, 50, 50)
    values = track.over(0, 200)
    assert np.abs(np.diff(values)).max() <= 0.0101
    assert values[49] == pytest.approx(0.5)
    assert values[99] == 0.0


def test_a_fader_that_moves_while_no_audio_comes_fills_nothing_up_and_its_last_value_counts():
    track = Automation(0.0)
    assert all(track.move(n / 10_000, 500, 100) for n in range(10_001))
    np.testing.assert_allclose(track.over(499, 102), [0, *np.arange(1, 101) / 100, 1], atol=1e-7)


def test_a_track_takes_only_so_many_moves():
    track = Automation(0.0)
    assert all(track.move(1.0, start, 1) for start in range(MAX_MOVES))
    assert not track.move(0.5, MAX_MOVES, 1)
    assert track.last_target == 1.0
    assert track.move(0.25, MAX_MOVES - 1, 1)  # replaces
    assert track.last_target == 0.25
    controls = Controls((), 48000)
    kinds = {
        notice.kind
        for i in range(MAX_MOVES + 1)
        for notice in controls.receive(Control(name="mix", value=0.5, at_sample=i), 0)
    }
    assert kinds == {NoticeKind.CONTROL_DROPPED}


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("loudness", 1.0, NoticeKind.UNKNOWN_PARAMETER),
        ("x" * 5000, 1.0, NoticeKind.UNKNOWN_PARAMETER),
        ("mix", 1.5, NoticeKind.VALUE_CLAMPED),
        ("input_gain_db", -90.0, NoticeKind.VALUE_CLAMPED),
        ("strength", float("nan"), NoticeKind.VALUE_IGNORED),
        ("strength", float("inf"), NoticeKind.VALUE_IGNORED),
        ("style", 1.0, NoticeKind.VALUE_IGNORED),
        ("style_weights", 1.0, NoticeKind.VALUE_IGNORED),
    ],
)
def test_a_control_that_cannot_be_done_gets_a_notice_and_the_stream_goes_on(name: str, value: float, kind: NoticeKind):
    stream = session()
    heard = play(
        stream, [Control(name=name, value=value), *streams.audio_events(streams.noise(3000)), streams.Finish()]
    )
    assert heard.notices == [kind]
    assert heard.of(streams.Summary)
    assert all(len(notice.message) < 300 for notice in heard.of(streams.Notice))


def test_a_clamped_value_is_used_at_its_limit():
    controls = Controls((), 48000)
    controls.receive(Control(name="output_gain_db", value=100.0), 0)
    assert controls.target("output_gain_db") == 24.0
    controls.receive(Control(name="bypass", value=0.7), 0)
    assert controls.target("bypass") == 1.0


def test_a_control_whose_sample_has_passed_begins_now_and_is_counted():
    content = streams.noise(8000)
    blocks = list(streams.audio_events(content, 500))
    heard = play(session(), [*blocks[:4], Control(name="mix", value=0.0, at_sample=3), *blocks[4:], streams.Finish()])
    assert heard.notices == [NoticeKind.CONTROL_LATE]
    assert heard.of(streams.Summary)[0].stats.late_controls == 1


@pytest.mark.parametrize("at", [3000, 4096])
@pytest.mark.parametrize("name", ["mix", "output_gain_db", "input_gain_db"])
def test_a_control_begins_on_its_sample(name: str, at: int):
    of = model(bundles.style_gain_bundle)
    content = streams.noise(8000, peak=streams.QUIET)
    plain = play_through(session(of, gain_db=-6.0), content).audio
    value = 0.0 if name == "mix" else 12.0
    moved = play_through(session(of, gain_db=-6.0), content, Control(name=name, value=value, at_sample=at)).audio
    first = int(np.flatnonzero(moved[0] != plain[0])[0])
    # The input gain comes before the STFT, whose frames reach ahead of the sample by their rounding.
    assert first == at + LATENCY if name != "input_gain_db" else at + LATENCY - 1024 <= first <= at + LATENCY


@pytest.mark.parametrize("name", numeric_names())
def test_a_first_value_out_of_range_is_refused(name: str):
    value = PARAMETERS[name].maximum + 1.0
    with pytest.raises(BadParameter, match=name) as caught:
        session(**{name: value})
    assert caught.value.field == f"parameters.{name}"


def test_a_first_value_of_an_unknown_parameter_is_refused_and_the_valid_ones_named():
    with pytest.raises(BadParameter, match="strength, mix"):
        Controls((Setting(name="volume", value=1.0),), 48000)
    with pytest.raises(BadParameter):
        Controls((Setting(name="style", value=1.0),), 48000)
    assert all(PARAMETERS[name].kind in (ParameterKind.NUMBER, ParameterKind.SWITCH) for name in numeric_names())


def test_freeze_reaches_the_model_and_holds_the_loudness_match():
    of = model(bundles.passthrough_bundle)
    stream = session(of)
    content = streams.noise(10 * streams.STEP)
    requests: list[streams.StepRequest] = []
    pending = [
        Control(name="freeze", value=1.0, at_sample=4 * streams.STEP),
        *streams.audio_events(content, streams.STEP),
    ]
    while pending:
        for out in stream.receive(pending.pop(0)):
            if isinstance(out, streams.StepRequest):
                requests.append(out)
                pending.insert(0, streams.answer_step(out))
    assert [request.lanes[0].freeze for request in requests] == [0.0] * 4 + [1.0] * 6
    # The bundle counts steps in state 0 and those that were not frozen in state 1.
    assert requests[-1].lanes[0].state[:2].tolist() == [9.0, 4.0]


@pytest.mark.parametrize("due", [0, 300, 700])
def test_what_is_due_just_behind_a_flush_acts_on_its_sample(due: int):
    n_before = 11 * streams.STEP - LATENCY % streams.STEP  # the tail ends with a step: it reaches as far as it can
    content = streams.noise(4 * streams.STEP)
    panic = Control(name="panic", value=1.0, at_sample=n_before + due)
    before, behind = streams.audio_events(streams.noise(n_before)), streams.audio_events(content, 480, n_before)
    heard = play(session(output_gain_db=-20.0), [*before, panic, Flush(), *behind, Finish()])
    outs = heard.of(AudioOut)
    tail = next(n for n, out in enumerate(outs) if AudioFlag.TAIL in out.flags)
    audio = np.concatenate([out.block for out in outs[tail + 1 :]], axis=1)
    anew = play_through(session(output_gain_db=-20.0), content, Control(name="panic", value=1.0, at_sample=due)).audio
    np.testing.assert_allclose(audio, anew, atol=2e-6)
