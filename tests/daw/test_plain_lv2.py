"""The plain LV2 in ``lv2apply``, a host that gives a plug-in ports and nothing else, against the engine itself."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import soundfile

from deepmusic.audio import Audio
from deepmusic.dsp.levels import lookahead_samples
from deepmusic.dsp.windows import StftGeometry, stream_latency_samples
from deepmusic.session.config import Setting
from deepmusic.session.parameters import numeric_names
from tests.daw.build import LV2, PLAIN_LV2
from tests.daw.stage import STYLES, Stage, noise

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(300)]

URI = "urn:deepmusic:plain"

SAME = 1e-4
"""The engine's own, but for the rounding of another batch: lv2apply writes the format that it reads, which is float."""

ASSUMED_BLOCK_SAMPLES = 1024
"""What the plug-in takes a host's longest block for that names none, as lv2apply, whose blocks are one sample long."""


class Descriptor(ctypes.Structure):
    """The beginning of ``LV2_Descriptor``."""

    _fields_ = [("uri", ctypes.c_char_p)]


def descriptor_uri(library: ctypes.CDLL, index: int) -> str:
    library.lv2_descriptor.restype = ctypes.POINTER(Descriptor)
    return library.lv2_descriptor(index).contents.uri.decode()


def environment(server: str) -> dict[str, str]:
    return {
        **os.environ,
        "LV2_PATH": f"{PLAIN_LV2.parent}:/usr/lib/lv2",
        "DEEPMUSIC_SERVER": server,
        "DEEPMUSIC_STYLES": ";".join(STYLES),
        "DEEPMUSIC_BUNDLE": "",
        "DEEPMUSIC_ROOT_CERTIFICATE": "",
        "DEEPMUSIC_DEADLINE_MS": "",
    }


def apply(server: str, audio: Audio, rate_hz: int, folder: Path, *, uri: str = URI, **controls: float) -> Audio:
    """What lv2apply writes: as long as what it reads, and as late as the plug-in is."""
    content, out = folder / "content.wav", folder / "out.wav"
    soundfile.write(content, audio.T, rate_hz, subtype="FLOAT")
    turned = [word for symbol, value in controls.items() for word in ("-c", symbol, str(value))]
    command = ["lv2apply", "-i", str(content), "-o", str(out), *turned, uri]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(server))
    assert done.returncode == 0, done.stdout + done.stderr
    assert soundfile.info(out).subtype == "FLOAT"
    heard, heard_rate_hz = soundfile.read(out, dtype="float32", always_2d=True)
    assert heard_rate_hz == rate_hz
    assert heard.shape == audio.T.shape
    return heard.T


def latency_samples(rate_hz: int) -> int:
    """By how much the plug-in delays: the stream's latency, and what a block may take on its way; see docs/daw.md."""
    stream = stream_latency_samples(StftGeometry.for_rate(rate_hz)) + lookahead_samples(rate_hz)
    chunk = 256 if rate_hz <= 48000 else 512 if rate_hz <= 96000 else 1024
    deadline = int(0.0214 * rate_hz) + 1
    return stream + ASSUMED_BLOCK_SAMPLES + chunk + 2 * (rate_hz // 200) + deadline


def check_delayed(heard: Audio, expected: Audio, latency: int, tolerance: float) -> None:
    np.testing.assert_array_equal(heard[:, :latency], 0.0)
    n_samples = heard.shape[1] - latency
    assert n_samples > expected.shape[1] // 2
    np.testing.assert_allclose(heard[:, latency:], expected[:, :n_samples], rtol=0.0, atol=tolerance)


@pytest.mark.parametrize("rate_hz", [44100, 48000, 96000, 192000])
@pytest.mark.parametrize(("uri", "n_channels"), [(URI, 2), (f"{URI}:mono", 1)])
def test_lv2apply_renders_the_engine_s_own_samples(
    stage: Stage, server: str, tmp_path: Path, rate_hz: int, uri: str, n_channels: int
):
    audio = noise(rate_hz, n_channels)
    expected = stage.engine(audio, rate_hz)
    assert np.abs(expected - audio).max() > 0.01  # the style is heard
    heard = apply(server, audio, rate_hz, tmp_path, uri=uri, freewheel=1)
    check_delayed(heard, expected, latency_samples(rate_hz), SAME)


def test_parameters_and_morphs_do_what_they_say(stage: Stage, server: str, tmp_path: Path):
    audio, latency = noise(48000), latency_samples(48000)
    for name, value in (("mix", 0.5), ("strength", 0.25), ("output_gain_db", -12.0), ("low_hz", 2000.0)):
        expected = stage.engine(audio, 48000, settings=[Setting(name=name, value=value)])
        check_delayed(apply(server, audio, 48000, tmp_path, freewheel=1, **{name: value}), expected, latency, SAME)
    strings = stage.engine(audio, 48000, style="strings")
    for controls in ({"style_slot": 2}, {"morph_2": 0.5}):
        check_delayed(apply(server, audio, 48000, tmp_path, freewheel=1, **controls), strings, latency, SAME)


@pytest.mark.parametrize("controls", [{"strength": 0.0}, {"enabled": 0.0}, {"mix": 0.0}])
def test_what_gives_the_input_gives_it_bit_for_bit(server: str, tmp_path: Path, controls: Mapping[str, float]):
    audio = noise(48000)
    heard = apply(server, audio, 48000, tmp_path, freewheel=1, **controls)
    check_delayed(heard, audio, latency_samples(48000), 0.0)


@pytest.mark.parametrize("freewheel", [0, 1])
def test_without_a_server_the_delayed_input_comes_back_bit_for_bit(tmp_path: Path, freewheel: int):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    audio = noise(48000)
    heard = apply(address, audio, 48000, tmp_path, freewheel=freewheel)
    check_delayed(heard, audio, latency_samples(48000), 0.0)


def test_a_host_reads_all_parameters_with_ranges_and_what_they_are_for():
    done = subprocess.run(["lv2info", URI], capture_output=True, text=True, env=environment(""), check=True)
    assert str(PLAIN_LV2) not in done.stderr  # lilv tells of other bundles' faults as well
    for name in numeric_names():
        assert f"Symbol:      {'enabled' if name == 'bypass' else name}\n" in done.stdout
    for name in ("style_slot", "morph_8", "freewheel", "latency"):
        assert f"Symbol:      {name}\n" in done.stdout
    assert "Has latency:       yes, reported by port" in done.stdout
    for designation in ("enabled", "freeWheeling", "latency"):
        assert f"Designation: http://lv2plug.in/ns/lv2core#{designation}" in done.stdout


def test_the_bundle_is_valid():
    files = [str(path) for path in sorted(PLAIN_LV2.glob("*.ttl"))]
    assert len(files) == 2
    done = subprocess.run(["lv2_validate", *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_both_lv2s_live_in_one_process_and_share_no_symbol():
    plain, juce = (path.resolve() for path in (PLAIN_LV2 / "deepmusic-plain.so", LV2 / "libdeepmusic.so"))
    both = ctypes.CDLL(str(plain), mode=os.RTLD_GLOBAL), ctypes.CDLL(str(juce), mode=os.RTLD_GLOBAL)
    assert [descriptor_uri(library, 0) for library in both] == [URI, "urn:deepmusic:plugin"]
    assert descriptor_uri(both[0], 1) == f"{URI}:mono"
    done = subprocess.run(["nm", "-D", "--defined-only", str(plain)], capture_output=True, text=True, check=True)
    assert [line.split()[-1] for line in done.stdout.splitlines()] == ["lv2_descriptor"]
