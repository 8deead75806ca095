"""The plug-in in Ardour, as ``client_examples/daw_plugin/hosts/ardour_session.py`` plays it; only with ``-m hosts``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from deepmusic.audio import Audio
from deepmusic.dsp.windows import StftGeometry
from tests.daw.build import LV2, VST3
from tests.daw.stage import Stage, noise

pytestmark = [pytest.mark.hosts, pytest.mark.end_to_end, pytest.mark.timeout(900)]

SCRIPT = Path(__file__).resolve().parents[2] / "client_examples/daw_plugin/hosts/ardour_session.py"


HOP_SAMPLES = StftGeometry.for_rate(48000).hop
COMPARED_SAMPLES = 6000
SAME = 1e-4


def rendered(stage: Stage, audio: Audio, before: int) -> Audio:
    """What the engine makes of a recording in a stream that began so many samples earlier."""
    rest = np.zeros((audio.shape[0], before), np.float32)
    return stage.engine(np.concatenate([rest, audio], axis=1), 48000)[:, before:]


def began_before(stage: Stage, audio: Audio, heard: Audio) -> int:
    """How long before a recording its stream began, in the grid of frames: a host starts early, by what is late."""
    begin = audio[:, : 2 * COMPARED_SAMPLES]  # what is compared has heard what follows it
    errors = [
        np.abs(rendered(stage, begin, n)[:, :COMPARED_SAMPLES] - heard[:, :COMPARED_SAMPLES]).max()
        for n in range(HOP_SAMPLES)
    ]
    return int(np.argmin(errors))


@pytest.mark.parametrize("plugin", [VST3, LV2], ids=["vst3", "lv2"])
def test_an_export_is_the_engine_s_own_and_in_time(stage: Stage, server: str, tmp_path: Path, plugin: Path):
    content, expected, out = (tmp_path / name for name in ("content.wav", "expected.wav", "out.wav"))
    audio = noise(3 * 48000)
    soundfile.write(content, audio.T, 48000, subtype="FLOAT")
    soundfile.write(expected, stage.engine(audio, 48000).T, 48000, subtype="FLOAT")
    command = [sys.executable, str(SCRIPT), str(content), "brass", str(out), "--plugin", str(plugin)]
    done = subprocess.run([*command, "--server", server, "--against", str(expected)], capture_output=True, text=True)
    print(done.stdout, done.stderr)
    assert done.returncode == 0
    heard = soundfile.read(out, dtype="float32")[0].T
    before = began_before(stage, audio, heard)
    np.testing.assert_allclose(heard, rendered(stage, audio, before), atol=SAME)
