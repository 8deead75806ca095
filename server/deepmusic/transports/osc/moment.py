"""When a change is to act."""

from __future__ import annotations

from deepmusic.transports.osc.ports import LiveSession


class Moment:
    """A sample, a time, or neither: at once. What a bundle holds shares one, and so acts on one sample of each stream.

    Args:
        sample: Input sample of the stream.
        due_s: Monotonic seconds; looked at where no sample is named.
    """

    def __init__(self, *, sample: int | None = None, due_s: float | None = None) -> None:
        self._sample = sample
        self._due_s = due_s
        self._found: dict[LiveSession, int | None] = {}  # bounded by the sessions that run; lives as long as its bundle

    @property
    def is_at_once(self) -> bool:
        """Whether it names neither."""
        return self._sample is None and self._due_s is None

    def sample_of(self, session: LiveSession) -> int | None:
        """[loop] The input sample at which a stream has to change; ``None`` for the next one."""
        if self._sample is not None or self._due_s is None:
            return self._sample
        if session not in self._found:
            self._found[session] = session.position_at(self._due_s)
        return self._found[session]
