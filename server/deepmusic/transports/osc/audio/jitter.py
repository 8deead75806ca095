"""Puts datagrams of audio back in order, waits a little for what is missing, and conceals what does not come.

::

    came      0   1   2       4   5                  3 came too late, or never
    given     0   1   2  (wait)   ~3~   4   5        at once, while nothing is missing before it

What is in order is given at once: waiting costs time only where something is missing. A stretch counts as missing only
when something behind it has come, so that a sender that pauses is not filled up with a guess; and as lost when the line
through the earliest arrivals (``session.arrivals``) is ``wait_samples`` beyond it. That line follows the sender's
clock, so that nothing drifts, however long it goes on. As many samples are concealed as are missing.
"""

from __future__ import annotations

import bisect
from collections import deque
from dataclasses import dataclass

import numpy as np

from deepmusic.audio import Audio, AudioFormat
from deepmusic.dsp.concealment import HISTORY_MS, REJOIN_MS, SILENT_MS, continuation, rejoined
from deepmusic.session.arrivals import Arrivals

LONGEST_CONCEALED_S = 1.0
"""A longer gap is passed on as a jump; the session begins anew behind it."""

MAX_HELD_S = 1.0
"""Audio that is held while something before it is missing; with more, what is missing is given up at once."""

_MAX_REMEMBERED = 64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Run:
    """Samples that go on, in order."""

    block: Audio
    """float32 ``(channels, samples)``."""
    first_sample: int
    """Position of the first one."""
    sequence: int
    """Number of the datagram; of the one before it, for what is concealed."""
    is_concealed: bool = False
    """Whether they are a guess."""


@dataclass(slots=True)
class JitterStats:
    """What happened to datagrams and samples so far."""

    taken: int = 0
    """Datagrams that were taken."""
    reordered: int = 0
    """Of these, such as came behind one that was sent later."""
    late: int = 0
    """Datagrams dropped, whose place had been concealed by then."""
    duplicates: int = 0
    """Datagrams dropped, which had come before."""
    strays: int = 0
    """Datagrams dropped, whose position lay far from all others."""
    gaps: int = 0
    """Stretches that were concealed."""
    concealed_samples: int = 0
    """Samples of these."""
    jumps: int = 0
    """Gaps that were too long for it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Held:
    first_sample: int
    sequence: int
    block: Audio


class JitterBuffer:
    """Orders one stream's datagrams.

    Args:
        audio_format: Rate and channels.
        wait_samples: How long a missing stretch is waited for.
    """

    def __init__(self, audio_format: AudioFormat, wait_samples: int) -> None:
        self.stats = JitterStats()
        self._rate_hz = audio_format.sample_rate_hz
        self._wait_samples = wait_samples
        self._arrivals = Arrivals(self._rate_hz)
        self._next = 0
        self._sequence = 0
        self._held: list[_Held] = []  # by position; bounded by MAX_HELD_S
        self._n_held = 0
        self._given: deque[int] = deque(maxlen=_MAX_REMEMBERED)  # first samples of what was given last
        self._stray: int | None = None
        self._history = np.zeros((audio_format.n_channels, self._samples(HISTORY_MS / 1000.0)), np.float32)
        self._guess: Audio | None = None
        self._n_guessed = 0

    @property
    def next_sample(self) -> int:
        """Position of the first sample that has not been given."""
        return self._next

    def push(self, block: Audio, first_sample: int, sequence: int, now_s: float) -> None:
        """Takes a datagram's samples.

        Args:
            block: float32 ``(channels, samples)``, at least one.
            first_sample: Position of the first one.
            sequence: The sender's number.
            now_s: Monotonic seconds.
        """
        end = first_sample + block.shape[1]
        if end <= self._next:
            is_known = first_sample in self._given
            self.stats.duplicates += is_known
            self.stats.late += not is_known
            return
        newest = self._held[-1].first_sample if self._held else self._next
        if first_sample - newest > self._samples(LONGEST_CONCEALED_S) and not self._has_jumped(first_sample):
            return
        self._stray = None
        place = bisect.bisect_left(self._held, first_sample, key=lambda held: held.first_sample)
        if place < len(self._held) and self._held[place].first_sample == first_sample:
            self.stats.duplicates += 1
            return
        self._held.insert(place, _Held(first_sample=first_sample, sequence=sequence, block=block))
        self._n_held += block.shape[1]
        self._arrivals.add(end, now_s)
        self.stats.taken += 1
        self.stats.reordered += place < len(self._held) - 1

    def pop(self, now_s: float) -> list[Run]:
        """What can go on by now, in order; asked after each ``push``, and when ``due_s`` has come."""
        runs: list[Run] = []
        while self._held and self._left_s(now_s) <= 0.0:
            gap = self._held[0].first_sample - self._next
            if gap > self._samples(LONGEST_CONCEALED_S):
                self._jump(self._held[0].first_sample)
            elif gap > 0:
                self._conceal(gap, runs)
            self._take(runs)
        return runs

    def pull(self, end_sample: int) -> list[Run]:
        """Everything up to a position that is played now: what of it is missing is concealed, proven lost or not."""
        runs: list[Run] = []
        while self._next < end_sample:
            ahead = self._held[0].first_sample - self._next if self._held else end_sample - self._next
            if ahead > 0:
                self._conceal(min(ahead, end_sample - self._next), runs)
            else:
                self._take(runs)
        return runs

    def flush(self) -> list[Run]:
        """Everything that is held; what is missing in between is concealed."""
        return self.pull(self._held[-1].first_sample + self._held[-1].block.shape[1]) if self._held else []

    def due_s(self, now_s: float) -> float | None:
        """When what is held may go on though nothing more comes; ``None`` while nothing is held."""
        return now_s + max(self._left_s(now_s), 0.0) if self._held else None

    def _left_s(self, now_s: float) -> float:
        """How long the first datagram that is held still waits for what is missing before it."""
        first = self._held[0].first_sample
        if first <= self._next or self._n_held > self._samples(MAX_HELD_S):
            return 0.0
        position = self._arrivals.position(now_s, now_s)
        if position is None:  # nothing has come for long
            return 0.0
        return (first + self._wait_samples - position) / self._rate_hz

    def _has_jumped(self, first_sample: int) -> bool:
        """Whether the sender has: one datagram far ahead may be anything, a second one beside it is proof."""
        if self._stray is not None and 0 < first_sample - self._stray <= self._samples(LONGEST_CONCEALED_S):
            return True
        self._stray = first_sample
        self.stats.strays += 1
        return False

    def _jump(self, first_sample: int) -> None:
        self.stats.jumps += 1
        self._next = first_sample
        self._history[:] = 0.0
        self._guess = None

    def _take(self, runs: list[Run]) -> None:
        held = self._held.pop(0)
        self._n_held -= held.block.shape[1]
        block = held.block[:, max(0, self._next - held.first_sample) :]
        if not block.shape[1]:
            return
        if self._guess is not None:
            block = rejoined(block, _part(self._guess, self._n_guessed, self._samples(REJOIN_MS / 1000.0)))
            self._guess = None
        self._given.append(held.first_sample)
        self._sequence = held.sequence
        self._give(runs, block, is_concealed=False)

    def _conceal(self, n_samples: int, runs: list[Run]) -> None:
        """Conceals a stretch, or a further part of one: it is guessed as a whole at its start."""
        if self._guess is None:
            self.stats.gaps += 1
            self._guess = continuation(self._history, self._samples((SILENT_MS + REJOIN_MS) / 1000.0), self._rate_hz)
            self._n_guessed = 0
        block = _part(self._guess, self._n_guessed, n_samples)
        self._n_guessed += n_samples
        self.stats.concealed_samples += n_samples
        self._give(runs, block, is_concealed=True)

    def _give(self, runs: list[Run], block: Audio, *, is_concealed: bool) -> None:
        runs.append(Run(block=block, first_sample=self._next, sequence=self._sequence, is_concealed=is_concealed))
        self._next += block.shape[1]
        kept = self._history.shape[1]
        self._history = np.concatenate([self._history, block], axis=1)[:, -kept:]

    def _samples(self, seconds: float) -> int:
        return round(seconds * self._rate_hz)


def _part(guess: Audio, first: int, n_samples: int) -> Audio:
    """A part of a guess; silence behind its end."""
    part = np.zeros((guess.shape[0], n_samples), np.float32)
    known = guess[:, first : first + n_samples]
    part[:, : known.shape[1]] = known
    return part
