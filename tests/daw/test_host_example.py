"""``client_examples/python/host.py`` as a person runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from deepmusic.session.config import Setting
from tests.daw.build import VST3
from tests.daw.stage import Stage, noise

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(300)]

HOST = Path(__file__).resolve().parents[2] / "client_examples/python/host.py"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run([sys.executable, str(HOST), *arguments], capture_output=True, text=True, env=environment)


def test_a_recording_goes_through_the_plug_in_and_through_another_one_behind_it(
    stage: Stage, server: str, tmp_path: Path
):
    audio = noise(24000)
    content, out = tmp_path / "content.wav", tmp_path / "out.wav"
    soundfile.write(content, audio.T, 48000, subtype="FLOAT")
    where = ["--plugin", str(VST3), "--server", server]
    done = run(str(content), "brass", str(out), *where, "--set", "mix=0.5")
    assert done.returncode == 0, done.stderr
    expected = stage.engine(audio, 48000, settings=[Setting(name="mix", value=0.5)])
    heard = soundfile.read(out, dtype="float32")[0].T
    np.testing.assert_allclose(heard, expected, atol=1e-4)

    # Two of them: the second one is another VST3 as far as the chain is concerned.
    done = run(str(content), "brass", str(out), *where, "--set", "bypass=true", "--after", str(VST3))
    assert done.returncode == 0, done.stderr
    chained = soundfile.read(out, dtype="float32")[0].T
    np.testing.assert_allclose(chained, stage.engine(audio, 48000), atol=1e-4)


def test_a_parameter_that_is_none_is_told_with_those_that_are(server: str, tmp_path: Path):
    content = tmp_path / "content.wav"
    soundfile.write(content, noise(1000).T, 48000, subtype="FLOAT")
    done = run(str(content), "brass", str(tmp_path / "out.wav"), "--plugin", str(VST3), "--set", "loud=1")
    assert done.returncode == 1
    assert "expected one of style_slot, strength" in done.stderr
