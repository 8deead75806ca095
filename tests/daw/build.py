"""Where ``scripts/plugin`` has put what the tests load."""

from __future__ import annotations

from pathlib import Path

BUILD = Path(__file__).resolve().parents[2] / "build/daw"
FORMATS = BUILD / "plugin/deepmusic_plugin_artefacts/Release"
VST3 = FORMATS / "VST3/deepmusic.vst3"
LV2 = FORMATS / "LV2/deepmusic.lv2"
PLAIN_LV2 = BUILD / "plain_lv2/deepmusic-plain.lv2"
HANDS = BUILD / "plugin/deepmusic_hands"
"""Does with the plug-in what a user's hands do, without a screen."""
