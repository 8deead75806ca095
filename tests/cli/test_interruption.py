"""A wish to stop ends work at once, or at the next question where Python had to forget it."""

from __future__ import annotations

import signal

import pytest

from deepmusic.cli.interruption import SIGNALS, Interruption


class Forgetful:
    """Python prints and forgets what its destructor raises."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGTERM)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_interrupts_at_once(number: signal.Signals) -> None:
    with Interruption() as interruption:
        interruption.check()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_that_came_in_a_destructor_is_not_lost() -> None:
    with Interruption() as interruption:
        thing = Forgetful()
        del thing
        with pytest.raises(KeyboardInterrupt):
            interruption.check()


def test_the_signals_are_given_back() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with Interruption():
        assert [signal.getsignal(number) for number in SIGNALS] != before
    assert [signal.getsignal(number) for number in SIGNALS] == before
