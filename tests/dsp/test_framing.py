"""Blocks of any size in, steps of one size out, and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepmusic.dsp.framing import OutputFifo, StepFramer

sizes = st.lists(st.integers(0, 50), min_size=1, max_size=20)


def counting(n_channels: int, n_samples: int) -> np.ndarray:
    return (np.arange(n_samples) + 1000.0 * np.arange(n_channels)[:, np.newaxis]).astype(np.float32)


@given(sizes=sizes, step_samples=st.integers(1, 40))
def test_steps_are_the_input_in_whole_pieces(sizes: list[int], step_samples: int) -> None:
    audio = counting(2, sum(sizes))
    framer = StepFramer(2, step_samples)
    steps = [step for block in np.split(audio, np.cumsum(sizes)[:-1], axis=1) for step in framer.push(block)]
    assert all(step.shape == (2, step_samples) for step in steps)
    assert framer.n_pending == audio.shape[1] % step_samples
    whole = audio.shape[1] - framer.n_pending
    np.testing.assert_array_equal(np.concatenate([np.zeros((2, 0)), *steps], axis=1), audio[:, :whole])


def test_a_step_is_memory_of_its_own() -> None:
    framer = StepFramer(1, 4)
    (first,) = framer.push(np.ones((1, 4), np.float32))
    list(framer.push(np.zeros((1, 4), np.float32)))
    assert (first == 1.0).all()


def test_padding_fills_the_last_step_with_silence() -> None:
    framer = StepFramer(1, 4)
    list(framer.push(counting(1, 4) + 1))
    assert framer.pad() is None
    list(framer.push(counting(1, 3) + 1))
    np.testing.assert_array_equal(framer.pad(), [[1, 2, 3, 0]])
    assert framer.n_pending == 0


def test_reset_forgets_what_is_pending() -> None:
    framer = StepFramer(1, 4)
    list(framer.push(np.ones((1, 3), np.float32)))
    framer.reset()
    assert framer.n_pending == 0
    assert not list(framer.push(np.ones((1, 3), np.float32)))


@given(pushes=sizes, pops=sizes, silence=st.integers(0, 30))
def test_samples_come_out_in_order_in_pieces_of_any_size(pushes: list[int], pops: list[int], silence: int) -> None:
    audio = counting(2, sum(pushes)) + 1
    fifo = OutputFifo(2, max_samples=10_000, silence_samples=silence)
    out = [np.zeros((2, 0))]
    pieces = iter(np.split(audio, np.cumsum(pushes)[:-1], axis=1))
    for wanted in pops:
        fifo.push(next(pieces, np.zeros((2, 0), np.float32)))
        out.append(fifo.pop(min(wanted, fifo.n_available)))
    got = np.concatenate(out, axis=1)
    expected = np.concatenate([np.zeros((2, silence)), audio], axis=1)
    np.testing.assert_array_equal(got, expected[:, : got.shape[1]])


def test_framer_and_fifo_together_answer_every_block_in_full() -> None:
    rng = np.random.default_rng(0)
    framer, fifo = StepFramer(1, 64), OutputFifo(1, max_samples=1000, silence_samples=63)
    audio = counting(1, 4000) + 1
    out, at = [], 0
    while at < audio.shape[1]:
        block = audio[:, at : at + int(rng.integers(0, 200))]
        at += block.shape[1]
        for step in framer.push(block):
            fifo.push(step)
        out.append(fifo.pop(block.shape[1]))
    np.testing.assert_array_equal(np.concatenate(out, axis=1)[:, 63:], audio[:, :-63])


def test_the_fifo_is_bounded_and_never_invents_samples() -> None:
    fifo = OutputFifo(1, max_samples=8, silence_samples=3)
    fifo.push(np.ones((1, 5), np.float32))
    with pytest.raises(OverflowError, match="at most 8"):
        fifo.push(np.ones((1, 1), np.float32))
    with pytest.raises(IndexError, match="at most 8"):
        fifo.pop(9)
    assert fifo.n_available == 8


def test_reset_leaves_the_silence_of_the_start() -> None:
    fifo = OutputFifo(1, max_samples=8, silence_samples=3)
    fifo.push(np.ones((1, 5), np.float32))
    fifo.pop(6)
    fifo.reset()
    assert fifo.n_available == 3
    assert not fifo.pop(3).any()


def test_sizes_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="expected"):
        StepFramer(1, 0)
    with pytest.raises(ValueError, match="expected"):
        OutputFifo(1, max_samples=8, silence_samples=9)
