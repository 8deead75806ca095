"""The files of the project as its version control sees them."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def committed(*patterns: str) -> list[Path]:
    """The committed files that match the git patterns, all of them without one."""
    listing = subprocess.run(["git", "ls-files", "-z", "--", *patterns], cwd=ROOT, capture_output=True, check=True)
    paths = [ROOT / name for name in listing.stdout.decode().split("\0") if name]
    return [path for path in paths if path.exists()]


def hand_written_python(*folders: str) -> list[Path]:
    """The committed Python files below the folders, generated stubs left out."""
    stubs = ROOT / "server/deepmusic/v1"
    return [path for path in committed(*folders) if path.suffix == ".py" and not path.is_relative_to(stubs)]
