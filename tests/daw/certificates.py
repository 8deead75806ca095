"""Certificates by openssl: a root, and what it vouches for."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

NEW_KEY = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A server's certificate and its key, as PEM files."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """Somebody who vouches for servers."""

    folder: Path

    @property
    def certificate(self) -> Path:
        """What a client is given to trust."""
        return self.folder / "root.pem"

    @classmethod
    def make(cls, folder: Path) -> Root:
        """A root of its own, in a new folder."""
        folder.mkdir()
        root = cls(folder=folder)
        where = ("-keyout", str(folder / "root.key"), "-out", str(root.certificate))
        _openssl(*NEW_KEY, "-x509", *where, "-subj", f"/CN={folder.name}", "-days", "2")
        return root

    def vouch(self, *, names: str = "IP:127.0.0.1,DNS:localhost", days: int = 2) -> Certificate:
        """A certificate for a server of these names.

        Args:
            names: As ``subjectAltName`` has them.
            days: How long it holds from now on; one that has ended held for less than nothing.
        """
        request, extensions = self.folder / "request.pem", self.folder / "extensions"
        made = Certificate(certificate=self.folder / "certificate.pem", key=self.folder / "key.pem")
        _openssl(*NEW_KEY, "-keyout", str(made.key), "-out", str(request), "-subj", "/CN=server")
        extensions.write_text(f"subjectAltName={names}\n")
        by = ("-CA", str(self.certificate), "-CAkey", str(self.folder / "root.key"), "-CAcreateserial")
        what = ("-in", str(request), "-out", str(made.certificate), "-extfile", str(extensions), "-days", str(days))
        _openssl("x509", "-req", *by, *what)
        return made


def self_signed(folder: Path) -> Certificate:
    """A certificate for 127.0.0.1 that nobody else vouches for, as docs/daw.md makes one."""
    made = Certificate(certificate=folder / "certificate.pem", key=folder / "key.pem")
    where = ("-keyout", str(made.key), "-out", str(made.certificate))
    _openssl(*NEW_KEY, "-x509", *where, "-subj", "/CN=studio", "-days", "2", "-addext", "subjectAltName=IP:127.0.0.1")
    return made


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
