"""What the README tells people to type does what it says, in the order in which they read it."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.house.repository import ROOT

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(300)]

DEEPMUSIC = [sys.executable, "-m", "deepmusic"]
SAMPLE_RATE_HZ = 48000
CONTENT_SAMPLES = 2 * SAMPLE_RATE_HZ
STARTED_BY_THE_TEST = ("pip install", "scripts/")


def commands() -> list[list[str]]:
    blocks = re.findall(r"^```bash\n(.*?)^```", (ROOT / "README.md").read_text(), flags=re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.strip()]
    return [shlex.split(line) for line in lines if not line.startswith(STARTED_BY_THE_TEST)]


@pytest.fixture
def own_style_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@pytest.fixture
def server(own_style_library: None) -> Iterator[str]:
    serve = [*DEEPMUSIC, "serve", "--grpc", "127.0.0.1:0", "--osc", "127.0.0.1:0", "--json"]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())["grpc"]
        finally:
            process.terminate()


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    seconds = np.arange(CONTENT_SAMPLES) / SAMPLE_RATE_HZ
    content = 0.3 * np.sin(2 * np.pi * 440.0 * seconds) * np.exp(-3.0 * (seconds % 0.5))
    style = 0.2 * np.sign(np.sin(2 * np.pi * 110.0 * seconds))
    for name, audio in (("content", content), ("style", style)):
        soundfile.write(tmp_path / f"{name}.wav", np.stack([audio, audio], axis=1), SAMPLE_RATE_HZ, subtype="FLOAT")
    return tmp_path


def test_every_command_of_the_readme_runs_and_gives_whole_finite_audio(server: str, recordings: Path):
    assert [command[0] for command in commands()] == ["deepmusic"] * len(commands())
    for _, *arguments in commands():
        where = ["--server", server] if arguments[0] == "stream" else []
        run = subprocess.run([*DEEPMUSIC, *arguments, *where], cwd=recordings, capture_output=True, text=True)
        assert run.returncode == 0, f"deepmusic {shlex.join(arguments)}: {run.stderr}"
        if "-o" in arguments:
            audio, rate_hz = soundfile.read(recordings / arguments[arguments.index("-o") + 1], always_2d=True)
            assert (audio.shape, rate_hz) == ((CONTENT_SAMPLES, 2), SAMPLE_RATE_HZ), arguments
            assert np.isfinite(audio).all(), arguments
            assert np.abs(audio).max() > 0.0, arguments


def test_the_server_of_scripts_serve_is_ready_at_once_and_stops_when_asked(own_style_library: None):
    """The script's own part is the environment; what it starts has to be there before a person looks."""
    program = (ROOT / "scripts/serve").read_text()
    assert 'exec "$deepmusic" serve "$@"' in program
    serve = [*DEEPMUSIC, "serve", "--grpc", "127.0.0.1:0", "--osc", "127.0.0.1:0", "--json"]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        process.terminate()
        _, talk = process.communicate(timeout=30)
    assert ready["ready"] is True
    assert ready["grpc"] in talk
    assert process.returncode == 0
