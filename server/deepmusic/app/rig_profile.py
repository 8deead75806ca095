"""What ``deepmusic check`` found out about this rig, in a small file of the user's for ``deepmusic live``."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self, cast

import platformdirs

from deepmusic.errors import BadConfig, StorageDenied

FORMAT = 1
"""Version of the file."""

MAX_BYTES = 16 * 1024
LONGEST_CUSHION_S = 0.5
"""More than that is no playing together; also the longest answer that a check can tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RigProfile:
    """A rig as it was measured.

    Raises:
        BadConfig: A value is out of its range.
    """

    bundle_digest: str
    """Digest of the bundle that was measured with."""
    precision: str
    """Precision of its file."""
    provider: str
    """What ran it."""
    sample_rate_hz: int
    """Rate of the measurement."""
    period_samples: int
    """Samples of a cycle."""
    minutes: float
    """How long it was paced."""
    cushion_s: float
    """The buffer to choose, in seconds, above 0."""
    dropouts_an_hour: float
    """At most so many are to be expected with it, with 95 % confidence."""
    more_streams: int
    """Streams that fit beside the one, at least."""

    def __post_init__(self) -> None:
        if not 0.0 < self.cushion_s <= LONGEST_CUSHION_S:
            raise BadConfig(f"expected cushion_s of at most {LONGEST_CUSHION_S:g}, got {self.cushion_s:g}")

    @classmethod
    def load(cls, path: Path | None = None) -> Self | None:
        """The rig's profile; ``None`` where there is none.

        Raises:
            BadConfig: The file holds none of this version.
        """
        path = path or profile_path()
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unfit(path) from error
        try:
            values = json.loads(data[: MAX_BYTES + 1])
        except ValueError as error:
            raise _unfit(path) from error
        if not isinstance(values, dict):
            raise _unfit(path)
        given = cast("dict[str, Any]", values)
        kinds = {"str": str, "int": int, "float": (int, float)}
        wanted = {field.name: kinds[str(field.type)] for field in fields(cls)}
        if given.pop("format", None) != FORMAT or given.keys() != wanted.keys():
            raise _unfit(path)
        if not all(isinstance(given[name], kind) for name, kind in wanted.items()):
            raise _unfit(path)
        return cls(**given)

    def doubt(self, bundle_digest: str) -> str:
        """What a person should know before this bundle is played with the cushion; empty where nothing is known."""
        if bundle_digest == self.bundle_digest:
            return ""
        return "this rig was checked with another bundle, whose cushion is used; run deepmusic check with this one"

    def save(self, path: Path | None = None) -> Path:
        """Writes the profile, whole or not at all; where to.

        Raises:
            StorageDenied: It cannot be written there.
        """
        path = path or profile_path()
        try:
            self._write(path)
        except OSError as error:
            raise StorageDenied(
                f"expected to keep this rig's profile at {path}, it cannot be written there; mend its permissions, "
                "make room, or check with --no-save"
            ) from error
        return path

    def _write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".rig-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump({"format": FORMAT} | asdict(self), file, indent=1)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def profile_path() -> Path:
    """Where the profile of this user's rig lies, by the system's convention; it need not exist."""
    return Path(platformdirs.user_config_dir("deepmusic", appauthor=False)) / "rig.json"


def _unfit(path: Path) -> BadConfig:
    return BadConfig(f"expected a rig's profile of this version at {path}, got something else; run deepmusic check")
