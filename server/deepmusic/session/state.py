"""The states of a session and every legal way from one to another, as a table.

::

    STREAMING --Flush--> FLUSHING --drained--> STREAMING
    STREAMING --Finish-> FINISHING --drained--> FINISHED

    While FLUSHING, everything that comes is held and taken in order once the tail is out.
"""

from __future__ import annotations

import enum

from deepmusic.errors import RequestError
from deepmusic.session.events import AudioIn, ChangeBundle, ChangeStyle, Control, Finish, Flush


class SessionState(enum.Enum):
    """What a session is doing."""

    STREAMING = "streaming"
    """Audio comes in and goes out."""
    FLUSHING = "flushing"
    """The tail of a ``Flush`` is being rendered; audio that comes meanwhile waits."""
    FINISHING = "finishing"
    """The tail of a ``Finish`` is being rendered; nothing more is taken."""
    FINISHED = "finished"
    """The summary is out."""


class Signal(enum.Enum):
    """What moves a session from state to state."""

    AUDIO = "audio"
    CONTROL = "control"
    FLUSH = "flush"
    FINISH = "finish"
    DRAINED = "drained"


_S, _G = SessionState, Signal

TRANSITIONS: dict[tuple[SessionState, Signal], SessionState] = {
    (_S.STREAMING, _G.AUDIO): _S.STREAMING,
    (_S.STREAMING, _G.CONTROL): _S.STREAMING,
    (_S.STREAMING, _G.FLUSH): _S.FLUSHING,
    (_S.STREAMING, _G.FINISH): _S.FINISHING,
    (_S.FLUSHING, _G.AUDIO): _S.FLUSHING,
    (_S.FLUSHING, _G.CONTROL): _S.FLUSHING,
    (_S.FLUSHING, _G.FLUSH): _S.FLUSHING,
    (_S.FLUSHING, _G.FINISH): _S.FLUSHING,
    (_S.FLUSHING, _G.DRAINED): _S.STREAMING,
    (_S.FINISHING, _G.DRAINED): _S.FINISHED,
}
"""Every legal transition. Model events move nothing: a late answer may reach a session in any state."""


def next_state(state: SessionState, signal: Signal) -> SessionState:
    """The state that the signal leads to.

    Raises:
        RequestError: The signal is not legal in this state: something came after ``finish``.
    """
    try:
        return TRANSITIONS[state, signal]
    except KeyError:
        raise RequestError(
            f"expected nothing after finish, got {signal.value} while {state.value}; open a new stream for more audio"
        ) from None


def signal_of(event: AudioIn | Control | ChangeStyle | ChangeBundle | Flush | Finish) -> Signal:
    """What an event of the sender moves."""
    match event:
        case AudioIn():
            return Signal.AUDIO
        case Flush():
            return Signal.FLUSH
        case Finish():
            return Signal.FINISH
        case _:
            return Signal.CONTROL
