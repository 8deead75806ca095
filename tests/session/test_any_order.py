"""Events in any order: every block is answered once, in order, finite; nothing hangs, nothing raises."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from deepmusic.session.events import (
    AudioIn,
    AudioOut,
    ChangeBundle,
    ChangeStyle,
    Control,
    Finish,
    Flush,
    InEvent,
    Miss,
    OutEvent,
    StepMissed,
    StepRequest,
    StepResult,
    Summary,
)
from deepmusic.session.offline import answer_step
from deepmusic.session.parameters import PARAMETERS
from tests.session import streams
from tests.session.streams import LATENCY, STEP, model, model_facts, session, style
from tests.support import bundles

deeds = st.lists(
    st.one_of(
        st.tuples(st.just("audio"), st.integers(1, 3000)),
        st.tuples(st.just("gap"), st.sampled_from([1, 700, 5000, 100_000])),
        st.tuples(st.just("control"), st.sampled_from([*PARAMETERS, "nothing"])),
        st.tuples(st.just("style"), st.integers(-3000, 9000)),
        st.tuples(st.just("bundle"), st.integers(-3000, 9000)),
        st.tuples(st.just("flush"), st.just(0)),
        st.tuples(st.just("answer"), st.just(0)),
        st.tuples(st.just("late"), st.integers(0, 3)),
        st.tuples(st.just("fail"), st.just(0)),
    ),
    max_size=30,
)


class Driver:
    """Keeps what the model would be doing, and what came out."""

    def __init__(self) -> None:
        self.session = session(model(bundles.noise_bundle))
        self.open: StepRequest | None = None
        self.outs: list[OutEvent] = []
        self.sent: list[tuple[int, int]] = []
        self.position = 0

    def feed(self, event: InEvent) -> None:
        if isinstance(event, StepResult) or (isinstance(event, StepMissed) and event.reason is Miss.FAILED):
            self.open = None
        for out in self.session.receive(event):
            if isinstance(out, StepRequest):
                assert self.open is None, "two steps are open"
                self.open = out
            else:
                self.outs.append(out)

    def do(self, what: str, value: int | str) -> None:
        if what == "audio":
            block = streams.noise(int(value), seed=self.position % 97)
            self.sent.append((self.position, int(value)))
            self.feed(AudioIn(block=block, first_sample=self.position))
            self.position += int(value)
        elif what == "gap":
            self.position += int(value)
        elif what == "control":
            self.feed(Control(name=str(value), value=0.3, at_sample=self.position + 100))
        elif what in ("style", "bundle"):
            of = model(bundles.style_gain_bundle if what == "bundle" else bundles.noise_bundle)
            at = self.position + int(value)
            change = (
                ChangeBundle(model=model_facts(of), vector=style(of), at_sample=at)
                if what == "bundle"
                else ChangeStyle(vector=style(of), at_sample=at)
            )
            self.feed(change)
        elif what == "flush":
            self.feed(Flush())
        elif what == "late":
            self.feed(StepMissed(step=self.session.n_steps_rendered + int(value), reason=Miss.LATE))
        elif self.open is not None:
            failed = StepMissed(step=self.open.step, reason=Miss.FAILED)
            self.feed(failed if what == "fail" else answer_step(self.open))


@given(deeds)
@example([("flush", 0), ("gap", 100_000), ("audio", 1)])
def test_every_block_is_answered_once_whatever_happens(planned: list[tuple[str, int | str]]):
    driver = Driver()
    for what, value in planned:
        driver.do(what, value)
    driver.feed(Finish())
    for _ in range(400):
        if driver.open is None:
            break
        driver.do("answer", 0)
    answers = [out for out in driver.outs if isinstance(out, AudioOut)]
    tails = [out for out in answers if streams.AudioFlag.TAIL in out.flags]
    blocks = [out for out in answers if streams.AudioFlag.TAIL not in out.flags]
    assert [(out.first_sample, out.block.shape[1]) for out in blocks] == driver.sent
    assert {out.block.shape[1] for out in tails} <= {LATENCY}
    assert all(np.isfinite(out.block).all() and np.abs(out.block).max() <= 1.0 for out in answers)
    assert isinstance(driver.outs[-1], Summary)
    assert driver.session.n_steps_complete == driver.session.n_steps_rendered


def test_a_late_step_in_the_middle_of_a_style_change_does_no_harm():
    of = model(bundles.style_gain_bundle)
    content = streams.noise(24 * STEP, peak=streams.QUIET)
    stream = session(of)
    stream.receive(ChangeStyle(vector=style(of, -12.0), at_sample=6 * STEP + 100))
    heard = streams.play_missing(stream, content, {6: Miss.LATE, 7: Miss.LATE, 9: Miss.FAILED}, late_by=1)
    done = slice(LATENCY + 12 * STEP, None)
    expected = streams.delayed(content) * np.float32(10 ** (-12 / 20))
    np.testing.assert_allclose(heard.audio[:, done], expected[:, done], atol=1e-7)
