"""When a message came, by the driver's own clock, on the machine's.

Python hears of a message when it has its turn, which may be milliseconds later. The driver says how long after the one
before it each message came; the message that was heard least late places that clock on the machine's.
"""

from __future__ import annotations

DRIFT = 100e-6
"""How much faster than the machine's clock the driver's may run: so fast a placing that was too early is forgotten."""

MOST_APART_S = 0.05
"""One that is heard so much later than its clock says was not late: the clock has lost count."""


class DriverTime:
    """Follows one driver's clock."""

    def __init__(self) -> None:
        self._driver_s = 0.0
        self._ahead_s: float | None = None

    def at(self, since_last_s: float, heard_s: float) -> float:
        """When a message came.

        Args:
            since_last_s: Seconds from the message before it, by the driver.
            heard_s: When it was heard of, by the machine's clock.

        Returns:
            Seconds of the machine's clock, never later than ``heard_s``.
        """
        self._driver_s += since_last_s
        ahead_s = heard_s - self._driver_s
        if self._ahead_s is None or not 0.0 <= ahead_s - self._ahead_s <= MOST_APART_S:
            self._ahead_s = ahead_s
        else:
            self._ahead_s = min(ahead_s, self._ahead_s + DRIFT * since_last_s)
        return self._driver_s + self._ahead_s
