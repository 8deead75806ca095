"""The command deepmusic-export: one module a verb."""

from __future__ import annotations

import importlib.util
import sys

from deepmusic.errors import install_extra

MISSING_TORCH = f"deepmusic-export: expected the training libraries, found no torch; {install_extra('export')}"


def main(argv: list[str] | None = None) -> int:
    """Runs `deepmusic-export`; gives the exit status: 0, 1 for failure, 2 for usage."""
    if importlib.util.find_spec("torch") is None:
        print(MISSING_TORCH, file=sys.stderr)
        return 1
    from deepmusic_export.cli.verbs import run

    return run(argv)
