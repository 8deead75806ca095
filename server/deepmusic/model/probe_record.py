"""Which bundles were probed before, so that a restart does not probe them again."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

#: A record longer than this is not read: it is no record of ours.
_MAX_BYTES: Final = 1 << 20


class ProbeRecord:
    """[any] Digests that passed the probe, a line each with the runtime that they passed on.

    A digest covers every byte of a bundle, so that a changed bundle is probed again; so is every bundle on a new
    version of ONNX Runtime. Who can write this file can write the bundles beside it. A record that cannot be read or
    written costs time, not correctness, and is passed over.

    Args:
        path: the file, or None for a record that lasts as long as the process.
        runtime_version: version of ONNX Runtime.
    """

    def __init__(self, path: Path | None, *, runtime_version: str) -> None:
        self._path = path
        self._runtime_version = runtime_version
        self._lines = self._read()

    def __contains__(self, digest: str) -> bool:
        return self._line(digest) in self._lines

    def add(self, digest: str) -> None:
        """Notes that the bundle passed."""
        self._lines.add(self._line(digest))
        if self._path is not None:
            with contextlib.suppress(OSError), self._path.open("a", encoding="ascii") as file:
                file.write(self._line(digest) + "\n")

    def _line(self, digest: str) -> str:
        return f"{digest} onnxruntime {self._runtime_version}"

    def _read(self) -> set[str]:
        if self._path is None:
            return set()
        with contextlib.suppress(OSError, UnicodeDecodeError):
            if self._path.stat().st_size <= _MAX_BYTES:
                return set(self._path.read_text(encoding="ascii").splitlines())
        return set()
