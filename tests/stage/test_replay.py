"""A receipt and the dry samples give the same session again, bit for bit, whatever happened when."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deepmusic.audio import Audio
from deepmusic.session.config import model_facts
from deepmusic.session.events import (
    AudioIn,
    AudioOut,
    ChangeStyle,
    Control,
    Finish,
    Flush,
    InEvent,
    Miss,
    StepMissed,
    StepRequest,
)
from deepmusic.session.offline import answer_step
from deepmusic.session.session import Session
from deepmusic.session.state import SessionState
from deepmusic.stage.receipt import Answered, Ended, Entry, Missed
from deepmusic.stage.receipt_json import read_entry, write_entry
from deepmusic.stage.replay import Misses, Replay
from deepmusic.stage.tape import ReceiptTape
from tests.session.streams import LATENCY, QUIET, RATE_HZ, STEP, config, model, noise, style
from tests.support import bundles

MODEL = model(bundles.remembering_bundle)
DRY = noise(400_000, QUIET, n_channels=2)

deeds = st.lists(
    st.one_of(
        st.tuples(st.just("audio"), st.integers(1, 4000)),
        st.tuples(st.just("audio"), st.integers(500, 1500)),
        st.tuples(st.just("answer"), st.just(0)),
        st.tuples(st.just("answer"), st.just(0)),
        st.tuples(st.just("late"), st.just(0)),
        st.tuples(st.just("fail"), st.just(0)),
        st.tuples(st.just("control"), st.integers(-3000, 9000)),
        st.tuples(st.just("style"), st.integers(-3000, 9000)),
        st.tuples(st.just("gap"), st.sampled_from([1, 700, 5000, 100_000])),
        st.tuples(st.just("old"), st.just(0)),
        st.tuples(st.just("flush"), st.just(0)),
    ),
    max_size=60,
)


def new_session() -> Session:
    return Session(config(2, strength=0.9), model_facts(MODEL), style(MODEL, -3.0))


@dataclass
class Tape:
    """Keeps what a receipt would have, in memory and through its lines of text."""

    entries: list[Entry] = field(default_factory=list[Entry])
    blocks: list[Audio] = field(default_factory=list[Audio])

    def put(self, entry: Entry) -> None:
        self.entries.append(read_entry(write_entry(entry)))

    def put_audio(self, block: Audio) -> None:
        self.blocks.append(block)

    def close(self) -> None:
        pass

    @property
    def n_samples(self) -> int:
        return sum(block.shape[1] for block in self.blocks)

    def read(self, first: int, count: int) -> Audio:
        return np.ascontiguousarray(np.concatenate(self.blocks, axis=1)[:, first : first + count])


class Evening:
    """A session to which things happen, as a worker's moods have it."""

    def __init__(self) -> None:
        self.session = new_session()
        self.tape = Tape()
        self.recording = ReceiptTape(self.tape, sample_rate_hz=RATE_HZ, step_samples=STEP, latency_samples=LATENCY)
        self.open: StepRequest | None = None
        self.position = 0
        self.heard: dict[int, Audio] = {}
        self.taken: list[range] = []
        self.n_styles = 0

    def feed(self, event: InEvent) -> None:
        outs = self.session.receive(event)
        self.recording.note(event, outs, self.session.n_steps_rendered)
        for out in outs:
            if isinstance(out, StepRequest):
                self.open = out
            elif isinstance(out, AudioOut):
                for place in range(out.block.shape[1]):
                    self.heard.setdefault(out.first_sample - LATENCY + place, out.block[:, place])

    def do(self, deed: str, number: int) -> None:
        match deed:
            case "audio":
                n_before = self.tape.n_samples
                block = DRY[:, n_before : n_before + number].copy()
                self.feed(AudioIn(block=block, first_sample=self.position))
                self.taken.append(range(self.position, self.position + number))
                self.position += number
            case "answer" if self.open is not None:
                answer, self.open = answer_step(self.open), None
                self.feed(answer)
            case "fail" if self.open is not None:
                step, self.open = self.open.step, None
                self.feed(StepMissed(step=step, reason=Miss.FAILED))
            case "late" if self.session.n_steps_complete > self.session.n_steps_rendered:
                self.feed(StepMissed(step=self.session.n_steps_rendered, reason=Miss.LATE))
            case "control":
                at_sample = max(0, self.position + number) if number % 3 else None
                self.feed(Control(name="output_gain_db", value=-(number % 7) - 1.0, at_sample=at_sample))
                self.feed(Control(name="nothing", value=float("nan")))
            case "style":
                self.n_styles += 1
                vector = style(MODEL, -(number % 13) - 1.0, f"style-{self.n_styles}")
                at_sample = max(0, self.position + number) if number % 3 else None
                self.feed(ChangeStyle(vector=vector, at_sample=at_sample, fade_samples=number % 5 * 1000 or None))
            case "gap":
                self.position += number
            case "old" if self.taken:
                self.feed(AudioIn(block=DRY[:, :1].copy(), first_sample=self.taken[-1].start))
            case "flush":
                self.feed(Flush())
            case _:
                pass

    def finish(self) -> None:
        self.feed(Finish())
        while self.session.state is not SessionState.FINISHED:
            self.do("answer" if self.open is not None else "late", 0)
        self.recording.close()

    def content(self) -> Audio:
        """What was heard of every sample that was sent, in order."""
        silence = np.zeros(2, np.float32)
        places = [self.heard.get(place, silence) for taken in self.taken for place in taken]
        return np.stack(places, axis=1) if places else np.zeros((2, 0), np.float32)


def replayed(tape: Tape, misses: Misses | None = None) -> Audio:
    replay = Replay(new_session(), misses or Misses(tape.entries), answer_step, lambda vector: vector)
    return np.concatenate([np.zeros((2, 0), np.float32), *replay.play(tape.entries, tape)], axis=1)


@settings(deadline=None, max_examples=60)
@given(deeds)
@example([("audio", 3000), ("late", 0), ("late", 0), ("audio", 3000), ("answer", 0), ("audio", 3000), ("answer", 0)])
@example([("audio", 3000), ("late", 0), ("style", 3), ("audio", 3000), ("late", 0), ("fail", 0), ("audio", 4000)])
@example(
    [("audio", 3000), ("late", 0), ("flush", 0), ("late", 0), ("late", 0), ("late", 0), ("audio", 3000), ("answer", 0)]
)
@example(
    [("audio", 3000), ("late", 0), ("gap", 100_000), ("audio", 3000), ("control", 3), ("answer", 0), ("audio", 9000)]
)
def test_a_replay_is_what_was_heard_bit_for_bit(evening: list[tuple[str, int]]):
    live = Evening()
    for deed, number in evening:
        live.do(deed, number)
    live.finish()
    np.testing.assert_array_equal(replayed(live.tape), live.content())


def evening_of(*evening: tuple[str, int]) -> Evening:
    live = Evening()
    for deed, number in evening:
        live.do(deed, number)
    return live


def test_misses_stand_in_the_receipt_with_their_positions():
    live = evening_of(("audio", 1000), ("audio", 2100), ("answer", 0), ("late", 0), ("late", 0), ("answer", 0))
    live.do("audio", 1000)
    live.do("fail", 0)
    live.finish()
    missed = [entry for entry in live.tape.entries if isinstance(entry, Missed | Answered)]
    assert missed == [
        Missed(step=1, position=1024, reason="late", is_asked=True),
        Missed(step=2, position=2048, reason="late", is_asked=False),
        Answered(step=1, before_step=3, has_failed=False),
        Missed(step=3, position=3072, reason="failed", is_asked=True),
    ]
    assert live.tape.entries[-1] == Ended(how="finished", n_samples=4100)


def test_positions_of_misses_are_true_behind_a_flush_and_a_gap():
    live = evening_of(("audio", 3000), *[("answer", 0)] * 2, ("flush", 0), *[("answer", 0)] * 4)
    live.do("audio", 1024)
    live.do("fail", 0)
    live.do("gap", 100_000)
    for deed in [("audio", 1024), ("answer", 0), ("fail", 0)]:
        live.do(*deed)
    missed = [entry.position for entry in live.tape.entries if isinstance(entry, Missed)]
    assert missed[0] == 3000
    assert missed[-1] == 3000 + 1024 + 100_000


def test_a_replay_without_misses_is_what_would_have_been_heard():
    live = evening_of(("audio", 3000), ("late", 0), ("answer", 0), ("audio", 3000))
    live.finish()
    clean = evening_of(("audio", 3000), ("answer", 0), ("audio", 3000))
    while clean.open is not None:
        clean.do("answer", 0)
    clean.feed(Finish())
    while clean.open is not None:
        clean.do("answer", 0)
    np.testing.assert_array_equal(replayed(live.tape, Misses()), clean.content())
    assert not np.array_equal(live.content(), clean.content())


def test_a_stream_that_was_abandoned_is_played_to_its_last_sample():
    live = evening_of(("audio", 3000), ("answer", 0), ("audio", 3000), ("late", 0))
    live.recording.close()
    assert live.tape.entries[-1] == Ended(how="abandoned", n_samples=6000)
    sound = replayed(live.tape)
    heard = np.array([live.heard[place] for place in range(max(live.heard) + 1)]).T
    assert sound.shape == (2, 6000)
    assert heard.shape[1] > 0
    np.testing.assert_array_equal(sound[:, : heard.shape[1]], heard)


def test_a_recording_without_sound_is_played_as_nothing():
    assert replayed(Tape()).shape == (2, 0)
