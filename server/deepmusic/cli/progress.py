"""A progress bar with the time left, on stderr, when somebody looks at it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager


@contextmanager
def progress_bar(title: str, total_s: float) -> Generator[Callable[[float], None]]:
    """Show how far a recording is; when stderr is no terminal, nothing is shown.

    Args:
        title: what is being done.
        total_s: its length in seconds of audio.

    Yields:
        A function to call with the seconds of audio that were done since the last call.
    """
    if not sys.stderr.isatty():
        yield lambda seconds: None
        return
    from tqdm import tqdm

    shape = "{desc} {percentage:3.0f}% |{bar}| {remaining} left"
    with tqdm(total=total_s, desc=title, bar_format=shape, file=sys.stderr, leave=False, dynamic_ncols=True) as bar:

        def advance(seconds: float) -> None:
            bar.update(seconds)

        yield advance
