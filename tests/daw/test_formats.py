"""The two formats: both in one process, and what an LV2 host reads of the bundle."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from tests.daw.build import LV2
from tests.daw.stage import Stage, noise

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(300)]

URI = "urn:deepmusic:plugin"


class Descriptor(ctypes.Structure):
    """The beginning of ``LV2_Descriptor``."""

    _fields_ = [("uri", ctypes.c_char_p)]


def test_vst3_and_lv2_live_in_one_process(stage: Stage, server: str):
    plugin = stage.plugin(server)
    library = ctypes.CDLL(str(LV2 / "libdeepmusic.so"))
    library.lv2_descriptor.restype = ctypes.POINTER(Descriptor)
    assert library.lv2_descriptor(0).contents.uri.decode() == URI
    audio = noise(24000)
    assert np.abs(plugin.process(audio, 48000) - audio).max() > 0.01


def test_the_lv2_bundle_names_the_plug_in_its_state_and_its_parameters():
    manifest = (LV2 / "manifest.ttl").read_text()
    assert f"<{URI}>" in manifest
    description = "".join(path.read_text() for path in LV2.glob("*.ttl"))
    for name in ("style_slot", "strength", "mix", "low_hz", "bypass", "morph_8"):
        assert name in description
    assert "freeWheeling" in description
    assert "reportsLatency" in description or "latency" in description
