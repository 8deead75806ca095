"""Where a set is: the cue that was played last, and the ways to another one."""

from __future__ import annotations

from deepmusic.errors import BadParameter
from deepmusic.stage.set_list import Cue, SetList


class CueList:
    """Steps through a set.

    Args:
        cues: The set.
    """

    def __init__(self, cues: SetList) -> None:
        self._cues = cues.cues
        self._place = 0

    def __len__(self) -> int:
        return len(self._cues)

    @property
    def cues(self) -> tuple[Cue, ...]:
        """All of them, in order."""
        return self._cues

    @property
    def number(self) -> int:
        """Of the cue that was played last, from 1; 0 before the first."""
        return self._place

    @property
    def current(self) -> Cue | None:
        """The cue that was played last; ``None`` before the first."""
        return self._cues[self._place - 1] if self._place else None

    def next(self) -> Cue:
        """The cue behind the last one.

        Raises:
            BadParameter: There is none; nothing changes.
        """
        return self._at(self._place + 1)

    def previous(self) -> Cue:
        """The cue before the last one.

        Raises:
            BadParameter: There is none; nothing changes.
        """
        return self._at(self._place - 1)

    def go(self, to: str | int) -> Cue:
        """A cue by its name, or by its number from 1.

        Raises:
            BadParameter: There is none; nothing changes.
        """
        if isinstance(to, int):
            return self._at(to)
        names = [cue.name for cue in self._cues]
        if to not in names:
            raise BadParameter(f"no cue is named {to[:64]!r}; ask /deepmusic/cues for all of them", field="cue")
        return self._at(names.index(to) + 1)

    def _at(self, number: int) -> Cue:
        if not self._cues:
            raise BadParameter("expected a set with cues, there is none; start the server with --set FILE", field="cue")
        if not 1 <= number <= len(self._cues):
            raise BadParameter(
                f"expected a cue from 1 to {len(self._cues)}, got {number}; the set ends there", field="cue"
            )
        self._place = number
        return self._cues[number - 1]
