"""When a change is to act."""

from __future__ import annotations

from deepmusic.stage.metronome import LEAD_S, Metronome
from deepmusic.stage.tempo import Quantise
from deepmusic.transports.osc.ports import LiveSession


class Moment:
    """A sample, a time, or neither: at once. What a bundle holds shares one, and so acts on one sample of each stream.

    Args:
        sample: Input sample of the stream.
        due_s: Monotonic seconds; looked at where no sample is named.
        metronome: Where it is given, the first beat or bar at ``due_s`` or behind it is meant.
        quantise: Beat or bar.
    """

    def __init__(
        self,
        *,
        sample: int | None = None,
        due_s: float | None = None,
        metronome: Metronome | None = None,
        quantise: Quantise = Quantise.OFF,
    ) -> None:
        self._sample = sample
        self._due_s = due_s
        self._metronome = metronome
        self._quantise = quantise
        self._found: dict[LiveSession, int | None] = {}  # bounded by the sessions that run; lives as long as its bundle

    @property
    def is_at_once(self) -> bool:
        """Whether it names neither."""
        return self._sample is None and self._due_s is None

    def time_s(self, now_s: float) -> float:
        """When it is, where a sample cannot be named: monotonic seconds."""
        return now_s if self._due_s is None else self._due_s

    def quantised(self, metronome: Metronome, quantise: Quantise, now_s: float) -> Moment:
        """The first beat or bar behind this moment, as far ahead as a change needs to come in time."""
        return Moment(due_s=max(self.time_s(now_s), now_s + LEAD_S), metronome=metronome, quantise=quantise)

    def sample_of(self, session: LiveSession) -> int | None:
        """[loop] The input sample at which a stream has to change; ``None`` for the next one."""
        if self._sample is not None or self._due_s is None:
            return self._sample
        if session not in self._found:
            if self._metronome is not None:
                self._found[session] = self._metronome.boundary(session, self._quantise, self._due_s)
            else:
                self._found[session] = session.position_at(self._due_s)
        return self._found[session]
