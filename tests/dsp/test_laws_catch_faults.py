"""A law that nothing can break proves nothing: each fault here is caught by the law that is there for it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from deepmusic.audio import Audio
from deepmusic.dsp.delay import DelayLine
from tests.support import laws


class Faulty(DelayLine):
    """A delay of 100 samples, for subclasses to spoil."""

    def __init__(self) -> None:
        super().__init__(2, 100)


class DependsOnBlocks(Faulty):
    def process(self, block: Audio) -> Audio:
        return super().process(block * np.float32(1.0 if block.shape[1] > 100 else 0.999))


class LooksAhead(Faulty):
    def process(self, block: Audio) -> Audio:
        return super().process(block) + block[:, ::-1] * np.float32(1e-6)


class KeepsState(Faulty):
    def reset(self) -> None:
        self._at = 0


class FlushesTooMuch(Faulty):
    def flush(self) -> Audio:
        return self.process(np.zeros((2, 101), np.float32))


class MumblesBeforeItIsPrimed(Faulty):
    def process(self, block: Audio) -> Audio:
        return super().process(block) + np.float32(1e-9)


class DeclaresAnotherLatency(Faulty):
    @property
    def latency_samples(self) -> int:
        return 99


class ChangesItsArgument(Faulty):
    def process(self, block: Audio) -> Audio:
        block *= np.float32(0.5)
        return super().process(block)


class HandsItsOwnBufferOut(Faulty):
    def __init__(self) -> None:
        super().__init__()
        self._out = np.empty((2, 6000), np.float32)

    def process(self, block: Audio) -> Audio:
        self._out[:, : block.shape[1]] = super().process(block)
        return self._out[:, : block.shape[1]]


class Overflows(Faulty):
    def process(self, block: Audio) -> Audio:
        with np.errstate(over="ignore"):
            return super().process(block) ** np.float32(2.0)


class CountsEmptyBlocks(Faulty):
    n_calls = 0

    def process(self, block: Audio) -> Audio:
        self.n_calls += 1
        return super().process(block) * np.float32(self.n_calls)


SHORT = laws.music(2, 3000)

FAULTS: list[tuple[type[Faulty], Callable[[laws.Make], None]]] = [
    (DependsOnBlocks, lambda make: laws.streaming_equals_offline(make, SHORT, 64)),
    (LooksAhead, lambda make: laws.causal(make, SHORT)),
    (KeepsState, lambda make: laws.reset_equals_new(make, SHORT)),
    (FlushesTooMuch, lambda make: laws.flush_gives_the_tail(make, SHORT)),
    (MumblesBeforeItIsPrimed, lambda make: laws.silent_until_primed(make, 2)),
    (DeclaresAnotherLatency, lambda make: laws.latency_as_declared(make, 2)),
    (HandsItsOwnBufferOut, lambda make: laws.arguments_unchanged(make, SHORT)),
    (Overflows, lambda make: laws.finite_for_extremes(make, 2)),
    (CountsEmptyBlocks, lambda make: laws.an_empty_block_changes_nothing(make, SHORT)),
]


@pytest.mark.parametrize(("fault", "law"), FAULTS, ids=[fault.__name__ for fault, _ in FAULTS])
def test_a_fault_is_caught_by_its_law(fault: type[Faulty], law: Callable[[laws.Make], None]) -> None:
    law(Faulty)
    with pytest.raises(AssertionError):
        law(fault)


def test_a_changed_argument_is_caught_by_its_law() -> None:
    with pytest.raises(ValueError, match="read-only"):
        laws.arguments_unchanged(ChangesItsArgument, SHORT)
