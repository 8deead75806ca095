"""The table of states."""

from __future__ import annotations

import pytest

from deepmusic.errors import RequestError
from deepmusic.session.events import Finish, Flush
from deepmusic.session.state import TRANSITIONS, SessionState, Signal, next_state
from tests.session import streams


def test_every_legal_transition_leads_where_the_table_says():
    for (state, signal), following in TRANSITIONS.items():
        assert next_state(state, signal) is following


@pytest.mark.parametrize("state", list(SessionState))
@pytest.mark.parametrize("signal", list(Signal))
def test_every_other_transition_is_refused(state: SessionState, signal: Signal):
    if (state, signal) not in TRANSITIONS:
        with pytest.raises(RequestError, match="open a new stream"):
            next_state(state, signal)


def test_finished_is_the_end():
    assert not [key for key in TRANSITIONS if key[0] is SessionState.FINISHED]


def test_a_session_goes_through_the_states_of_its_events():
    stream = streams.session()
    assert stream.state is SessionState.STREAMING
    stream.receive(Flush())
    assert stream.state is SessionState.FLUSHING
    streams.play(stream, [streams.StepMissed(step=1, reason=streams.Miss.LATE)])
    assert stream.state is SessionState.STREAMING
    streams.play(stream, [Finish()])
    assert stream.state is SessionState.FLUSHING or stream.state is SessionState.FINISHING
