"""How much audio a client may send ahead."""

from __future__ import annotations

from deepmusic.errors import AudioTooFast

REFILL = 1.05
"""Rate at which credit comes back, over real time: the client's sample clock and ours are not the same clock."""


class LiveCredit:
    """A bucket of samples that fills in real time and never holds more than the credit.

    Args:
        credit_samples: What it holds when full, as it is at the start.
        sample_rate_hz: The stream's rate.
        now_s: The clock's reading, monotonic seconds.
    """

    def __init__(self, credit_samples: int, sample_rate_hz: int, now_s: float) -> None:
        self.credit_samples = credit_samples
        self._refill_hz = REFILL * sample_rate_hz
        self._left = float(credit_samples)
        self._at_s = now_s

    def spend(self, n_samples: int, now_s: float) -> None:
        """Takes samples out.

        Raises:
            AudioTooFast: There are not so many in it.
        """
        self._left = min(self._left + (now_s - self._at_s) * self._refill_hz, float(self.credit_samples))
        self._at_s = now_s
        if n_samples > self._left:
            raise AudioTooFast(
                f"expected audio in real time, at most {self.credit_samples} samples ahead, got more; "
                "send at the pace of the sample rate, or open the stream with pacing fast",
                field="audio",
            )
        self._left -= n_samples
