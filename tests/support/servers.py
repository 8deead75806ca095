"""Servers of the tests: on free ports of loopback, with the bundles and styles of a folder."""

from __future__ import annotations

from pathlib import Path

from deepmusic.config import ServerConfig


def small_server(folder: Path, **fields: object) -> ServerConfig:
    """A server whose default is the pass-through bundle; `fields` go before what stands here."""
    values: dict[str, object] = {
        "grpc": "127.0.0.1:0",
        "osc": "127.0.0.1:0",
        "http": "127.0.0.1:0",
        "bundle": "passthrough",
        "device": "cpu",
        "grace_s": 0.0,
        "bundles": str(folder / "bundles"),
        "styles": str(folder / "styles"),
    }
    return ServerConfig().changed(values | fields)
