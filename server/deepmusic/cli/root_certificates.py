"""The option with which a client says who signed a server's certificate."""

from __future__ import annotations

import argparse
from pathlib import Path

from deepmusic.errors import RequestError


def add_root_certificates(parser: argparse.ArgumentParser) -> None:
    """Add `--tls-root`."""
    parser.add_argument("--tls-root", metavar="PEM", type=Path, help="who signed the server's certificate; encrypts")


def root_certificates(args: argparse.Namespace) -> bytes | None:
    """What the file says; ``None`` for plain text.

    Raises:
        RequestError: It cannot be read.
    """
    path: Path | None = args.tls_root
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise RequestError(f"expected a PEM file at {path}, could not read one; mend --tls-root") from error
