"""What ``deepmusic live`` shows: a picture that moves on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from deepmusic.app.live import LiveStatus

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

LINE_S = 10.0
"""Between two lines where nobody looks at a picture."""

BAR_CELLS = 40
LOWEST_DB, WARNING_DB, CLIP_DB = -60.0, -6.0, -0.1

Show = Callable[[LiveStatus], None]
"""Shows how it goes."""


@contextmanager
def live_view(osc: str, place: Callable[[], str] = str) -> Generator[Show]:
    """Shows a set on stderr as long as it is entered.

    Args:
        osc: Where OSC is heard; empty for nowhere.
        place: Says which cue was played last; nothing where there are none.
    """
    if not sys.stderr.isatty():
        yield _LineView(place)
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(stderr=True), refresh_per_second=10, transient=True) as live:
        yield lambda status: live.update(picture(status, osc, place()))


def line(status: LiveStatus, cue: str = "") -> str:
    """How it goes, in one line."""
    at_cue = f"cue {cue}, " if cue else ""
    if not status.is_running:
        return f"{status.seconds:.0f} s: {status.trouble}; looking for {status.device.name} again"
    return (
        f"{status.seconds:.0f} s: in {_levels(status.input_db)} dB, out {_levels(status.output_db)} dB, "
        f"{at_cue}{_sound(status)}, latency {_milliseconds(status):.1f} ms, "
        f"answers p99 {1000.0 * status.answers.p99_s:.1f} of {_budget_ms(status):.1f} ms, {_trouble(status)}"
    )


def picture(status: LiveStatus, osc: str, cue: str = "") -> Table:
    """How it goes, to be drawn."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    device = status.device
    where = f"{device.name}, {device.n_channels} channels at {device.sample_rate_hz} Hz"
    if status.is_running:
        table.add_row("device", Text(where))  # never as markup: brackets in a name are no colours
    else:
        table.add_row("device", Text(f"{where}: {status.trouble}; looking for it", style="bold red"))
    for title, peaks in (("in", status.input_db), ("out", status.output_db)):
        for peak_db in peaks:
            table.add_row(title, _bar(peak_db))
            title = ""  # noqa: PLW2901 (the second channel has none)
    if cue:
        table.add_row("cue", Text(cue, style="bold"))
    table.add_row("style", Text(_sound(status), style="bold"))
    parts = status.latency
    table.add_row(
        "latency",
        f"{_milliseconds(status):.1f} ms = device {parts.device_input} + stream {parts.stream} + "
        f"cushion {parts.cushion} + device {parts.device_output} samples",
    )
    answers = status.answers
    table.add_row(
        "answers",
        f"p50 {1000.0 * answers.p50_s:.1f}, p99 {1000.0 * answers.p99_s:.1f}, longest {1000.0 * answers.longest_s:.1f} "
        f"of {_budget_ms(status):.1f} ms",
    )
    is_late = bool(status.stats.late_blocks or status.n_starved or status.stats.failed_steps)
    table.add_row("late", Text(_trouble(status), style="bold yellow" if is_late else "green"))
    if osc:
        table.add_row("OSC", Text(osc))
    table.add_row("", Text(f"{status.seconds:.0f} s; Ctrl-C ends", style="dim"))
    return table


class _LineView:
    """A line every ten seconds, and at once when the device comes, goes, or is away for another reason."""

    def __init__(self, place: Callable[[], str]) -> None:
        self._place = place
        self._shown_s = time.monotonic()
        self._trouble: str = ""

    def __call__(self, status: LiveStatus) -> None:
        now_s = time.monotonic()
        if now_s - self._shown_s >= LINE_S or status.trouble != self._trouble:
            self._shown_s, self._trouble = now_s, status.trouble
            print(line(status, self._place()), file=sys.stderr, flush=True)


def _bar(peak_db: float) -> Text:
    from rich.text import Text

    share = min(max((peak_db - LOWEST_DB) / -LOWEST_DB, 0.0), 1.0)
    n_full = round(share * BAR_CELLS)
    colour = "red" if peak_db >= CLIP_DB else "yellow" if peak_db >= WARNING_DB else "green"
    return Text.assemble(("█" * n_full, colour), ("·" * (BAR_CELLS - n_full), "dim"), f" {peak_db:6.1f} dB")


def _sound(status: LiveStatus) -> str:
    if status.is_dry:
        return f"dry ({status.style} waits)"
    return status.style if status.strength == 1.0 else f"{status.style} at {status.strength:.2f}"


def _levels(peaks_db: tuple[float, ...]) -> str:
    return "/".join(f"{peak_db:.0f}" for peak_db in peaks_db)


def _milliseconds(status: LiveStatus) -> float:
    return 1000.0 * status.latency.total / status.device.sample_rate_hz


def _budget_ms(status: LiveStatus) -> float:
    return 1000.0 * status.latency.cushion / status.device.sample_rate_hz


def _trouble(status: LiveStatus) -> str:
    stats = status.stats
    failed = f", {stats.failed_steps} failed steps" if stats.failed_steps else ""
    return (
        f"{stats.late_blocks} late blocks{failed}, {status.n_starved} starved cycles, "
        f"{status.n_xruns} xruns of the device"
    )
