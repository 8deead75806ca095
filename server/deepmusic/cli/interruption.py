"""A wish to stop that cannot get lost."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Ends long work at SIGINT or SIGTERM, as Ctrl-C does, while it is entered.

    A handler that raises does so anywhere: between taking a lock and the block that would give it back, between making
    a file and noting that it is to be removed, or in a destructor, where Python prints and forgets it. So the first
    signal is only noted, and the work asks with `check` wherever it can end well. A second one raises at once.
    [main thread]
    """

    def __init__(self) -> None:
        self._is_asked = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        """Takes the signals."""
        self._before = {number: signal.signal(number, self._ask) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        """Gives them back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def check(self) -> None:
        """Goes on, unless it was asked to stop.

        Raises:
            KeyboardInterrupt: A signal came.
        """
        if self._is_asked:
            raise KeyboardInterrupt

    def _ask(self, signal_number: int, frame: FrameType | None) -> None:
        if self._is_asked:
            raise KeyboardInterrupt
        self._is_asked = True
