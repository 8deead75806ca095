"""A whole server in this process with a stream that waits: what the examples for OSC are let loose on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepmusic.app.server import Server, ServerFacts
from deepmusic.transports.rpc.client import RpcClient
from tests.rpc.serving import config, noise
from tests.support.bundles import passthrough_bundle
from tests.support.servers import small_server

STYLES = ("brass", "strings")
PATIENCE_S = 60.0
"""Only a hang takes as long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OscStage:
    """A server, and what its one stream was last asked for."""

    facts: ServerFacts
    server: Server

    @property
    def port(self) -> str:
        return self.facts.osc.rpartition(":")[2]

    @property
    def values(self) -> Mapping[str, float | str]:
        (session,) = self.server._sessions.running()
        return dict(session.values)

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():  # noqa: ASYNC110 (a program of somebody else has no event)
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def osc_stage(folder: Path, **fields: object) -> AsyncIterator[OscStage]:
    """Serves two styles and one stream that plays the second."""
    passthrough_bundle(folder / "bundles/passthrough")
    server = Server(small_server(folder, **fields))
    try:
        facts = await server.start()
        async with RpcClient(facts.grpc) as client:
            for name in STYLES:
                await client.create_style(name, noise(48000, 1), 48000)
            async with client.transfer(config(style="strings")) as call:
                await call.send(np.zeros((2, 480), np.float32))
                yield OscStage(facts=facts, server=server)
                await call.abandon()
    finally:
        await server.stop()


class Program:
    """A program of somebody else, with everything that it has said so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []

    async def read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.lines.append(line.decode(errors="replace").rstrip())

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


@contextlib.asynccontextmanager
async def running(*command: str, **environment: str) -> AsyncIterator[Program]:
    """Runs a program while the block runs; its output and its errors are read together."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
    )
    program = Program(process)
    reading = asyncio.create_task(program.read())
    try:
        yield program
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        await reading
