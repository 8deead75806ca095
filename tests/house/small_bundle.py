"""Writes a small bundle where a user's own ones lie: run by scripts/check with the development interpreter.

Usage: small_bundle.py FOLDER; the bundle becomes FOLDER/deepmusic/bundles/small
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.support.bundles import gain_bundle  # the root of the repository has to be on the path first

if __name__ == "__main__":
    home = Path(sys.argv[1]) / "deepmusic" / "bundles"
    home.mkdir(parents=True)
    gain_bundle(home / "small", -6.0, name="small")
