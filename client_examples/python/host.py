"""A recording through the VST3, as a DAW would play it, alone or in a chain with other plug-ins.

pip install pedalboard
scripts/plugin                                    # builds the plug-in and prints where
deepmusic serve                                   # in another terminal
python host.py content.wav cello out.wav --plugin build/daw/.../VST3/deepmusic.vst3
python host.py content.wav cello out.wav --set strength=0.6 --before eq.vst3 --after reverb.vst3
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import pedalboard
import soundfile

BUILT = Path(__file__).resolve().parents[2] / "build/daw/plugin/deepmusic_plugin_artefacts/Release/VST3/deepmusic.vst3"


def load(plugin: str, server: str, styles: list[str], bundle: str = "") -> pedalboard.VST3Plugin:
    """The plug-in, told where to play and with which styles: a new one takes them from the environment."""
    os.environ["DEEPMUSIC_SERVER"] = server
    os.environ["DEEPMUSIC_STYLES"] = ";".join(styles)
    os.environ["DEEPMUSIC_BUNDLE"] = bundle
    return pedalboard.VST3Plugin(plugin)


def turn(plugin: pedalboard.VST3Plugin, settings: list[str]) -> None:
    """Sets parameters from "name=value", in their own units; ``strength=0.5``, ``low_hz=2000``."""
    for setting in settings:
        name, _, value = setting.partition("=")
        if name not in plugin.parameters:
            raise SystemExit(f"expected one of {', '.join(plugin.parameters)}, got {name}")
        setattr(plugin, name, value.lower() == "true" if value.lower() in ("true", "false") else float(value))


def main() -> None:
    """Reads, plays, writes. The host takes the plug-in's latency off, and tells it that it renders."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("content")
    parser.add_argument("style", help="name of a style of the server; several, as a;b;c, fill the plug-in's slots")
    parser.add_argument("out")
    parser.add_argument("--plugin", default=str(BUILT))
    parser.add_argument("--server", default="127.0.0.1:50051")
    parser.add_argument("--bundle", default="")
    parser.add_argument("--block", type=int, default=512, help="samples of a block")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--before", action="append", default=[], metavar="VST3", help="a plug-in before it")
    parser.add_argument("--after", action="append", default=[], metavar="VST3", help="a plug-in behind it")
    asked = parser.parse_args()

    audio, rate_hz = soundfile.read(asked.content, dtype="float32", always_2d=True)
    deepmusic = load(asked.plugin, asked.server, asked.style.split(";"), asked.bundle)
    turn(deepmusic, asked.set)
    others = [[pedalboard.load_plugin(path) for path in paths] for paths in (asked.before, asked.after)]
    chain = pedalboard.Pedalboard([*others[0], deepmusic, *others[1]])
    heard = chain(audio.T, rate_hz, buffer_size=asked.block)
    soundfile.write(asked.out, heard.T, rate_hz, subtype="FLOAT")


if __name__ == "__main__":
    main()
