"""Plays a recording through the plug-in in Ardour, without a screen or a sound card, and exports what comes of it.

apt-get install --no-install-recommends ardour; pip install numpy soundfile
deepmusic serve                                   # in another terminal
python ardour_session.py content.wav cello out.wav --plugin build/daw/.../Release/VST3/deepmusic.vst3
python ardour_session.py content.wav cello out.wav --plugin build/daw/.../Release/LV2/deepmusic.lv2 --against other.wav

It says how much of the export is styled, which has to be all of it; with ``--against``, a rendering of the same by the
engine (``deepmusic remix --raw``), also how much later than that it is, which has to be nothing. Ardour 7.3 hangs or
crashes at times by itself: each of its programs has its time, and there are three tries. Your own settings of it are
left alone.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import soundfile

SCANNER = Path("/usr/lib/ardour7/ardour-vst3-scanner")
MAKE = Path(__file__).with_suffix(".lua")
NAME = "session"
ALL = 0.999


def run(command: list[str], environment: dict[str, str], seconds: float) -> str:
    """Runs a program of Ardour's; what went wrong, or nothing."""
    try:
        done = subprocess.run(
            command,
            env=environment,
            timeout=seconds,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"{Path(command[0]).name} did not end within {seconds:.0f} s"
    if done.returncode == 0:
        return ""
    return f"{Path(command[0]).name} ended with {done.returncode}: {(done.stdout + done.stderr).strip()[-300:]}"


def surroundings(folder: Path, asked: argparse.Namespace) -> dict[str, str]:
    """Ardour's environment: its settings in a folder of its own, and a new plug-in's defaults."""
    path = "LV2_PATH" if asked.plugin.suffix == ".lv2" else "VST3_PATH"
    return os.environ | {
        path: str(asked.plugin.parent),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "DEEPMUSIC_SERVER": asked.server,
        "DEEPMUSIC_STYLES": asked.style,
    }


def put_in(session: Path, audio: np.ndarray, rate_hz: int) -> None:
    """Writes a recording into a session that has one track, from its beginning on, and makes it the session's range."""
    tree = ET.parse(session / f"{NAME}.ardour")  # noqa: S314 - Ardour has just written it
    root = tree.getroot()
    n_samples = len(audio)
    ticks = root.find("TempoMap")
    assert ticks is not None
    length = n_samples * int(ticks.attrib["superclocks-per-second"]) // rate_hz
    sources, regions, locations = (found for tag in ("Sources", "Regions", "Locations") for found in root.findall(tag))
    playlist = root.find("Playlists/Playlist[@name='music']")
    assert playlist is not None
    first_id = 900000
    folder = session / "interchange" / NAME / "audiofiles"
    folder.mkdir(parents=True, exist_ok=True)
    links: dict[str, str] = {}
    for channel in range(2):
        name, number = f"content-{channel}.wav", str(first_id + channel)
        soundfile.write(folder / name, audio[:, min(channel, audio.shape[1] - 1)], rate_hz, subtype="FLOAT")
        source = {"name": name, "type": "audio", "id": number, "channel": "0", "origin": "", "flags": "", "take-id": ""}
        ET.SubElement(sources, "Source", source)
        links |= {f"source-{channel}": number, f"master-source-{channel}": number}
    region = {
        "name": "content",
        "type": "audio",
        "channels": "2",
        "start": "a0",
        "length": f"a{length}@a0",
        "whole-file": "0",
        "default-fade-in": "0",
        "default-fade-out": "0",
        "fade-in-active": "0",
        "fade-out-active": "0",
        "opaque": "1",
        "layer": "0",
        **links,
    }
    ET.SubElement(regions, "Region", region | {"id": str(first_id + 2), "whole-file": "1"})
    ET.SubElement(playlist, "Region", region | {"id": str(first_id + 3)})
    span = {"id": str(first_id + 4), "name": NAME, "start": "a0", "end": f"a{length}", "flags": "IsSessionRange"}
    ET.SubElement(locations, "Location", span)
    tree.write(session / f"{NAME}.ardour", encoding="UTF-8", xml_declaration=True)


def try_once(folder: Path, asked: argparse.Namespace, audio: np.ndarray, rate_hz: int) -> str:
    """A session from nothing to its export; what went wrong, or nothing."""
    environment = surroundings(folder, asked)
    kind = "LV2" if asked.plugin.suffix == ".lv2" else "VST3"
    if kind == "VST3":
        libraries = {"LD_LIBRARY_PATH": str(SCANNER.parent)}
        if why := run([str(SCANNER), "-f", "-q", str(asked.plugin)], environment | libraries, asked.seconds):
            return why
    session = folder / NAME
    make = ["ardour7-lua", str(MAKE), str(session), NAME, str(rate_hz), kind]
    if why := run(make, environment, asked.seconds):
        return why
    put_in(session, audio, rate_hz)
    asked.out.unlink(missing_ok=True)
    export = ["ardour7-export", "-b", "float", "-o", str(asked.out), str(session), NAME]
    why = run(export, environment, asked.seconds)
    return why or ("" if asked.out.exists() else "ardour7-export wrote nothing")


def lag_samples(heard: np.ndarray, expected: np.ndarray) -> int:
    """How much later one recording is than another, by their correlation."""
    n = 2 * max(len(heard), len(expected))
    spectra = np.fft.rfft(heard, n) * np.conj(np.fft.rfft(expected, n))
    at = int(np.argmax(np.fft.irfft(spectra, n)))
    return at if at < n // 2 else at - n


def main() -> int:
    """Tries, says how it went as one line of JSON, and compares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("content", type=Path)
    parser.add_argument("style", help="name of a style of the server")
    parser.add_argument("out", type=Path)
    parser.add_argument("--plugin", type=Path, required=True, help="deepmusic.vst3 or deepmusic.lv2")
    parser.add_argument("--server", default="127.0.0.1:50051")
    parser.add_argument("--against", type=Path, help="what the export has to be in time with")
    parser.add_argument("--tries", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=90.0, help="what each program of Ardour's may take")
    asked = parser.parse_args()
    asked.plugin, asked.out = asked.plugin.resolve(), asked.out.resolve()

    audio, rate_hz = soundfile.read(asked.content, dtype="float32", always_2d=True)
    failures: list[str] = []
    began = time.monotonic()
    while True:
        with tempfile.TemporaryDirectory(prefix="deepmusic-ardour-") as folder:
            why = try_once(Path(folder), asked, audio, rate_hz)
        if not why:
            break
        failures.append(why)
        if len(failures) >= asked.tries:
            print(json.dumps({"failed_tries": failures}))
            return 1
    heard = soundfile.read(asked.out, dtype="float32", always_2d=True)[0]
    n_samples = min(len(heard), len(audio))
    # The delayed input is the input bit for bit; a sample of the styled sound is equal to it once in a long while.
    wet = float(np.mean(heard[:n_samples, 0] != audio[:n_samples, 0])) if n_samples else 0.0
    said: dict[str, object] = {
        "failed_tries": failures,
        "took_s": round(time.monotonic() - began, 1),
        "samples": len(heard),
        "wet": round(wet, 4),
    }
    is_good = len(heard) == len(audio) and wet > ALL
    if asked.against is not None:
        expected = soundfile.read(asked.against, dtype="float32", always_2d=True)[0]
        said["lag_samples"] = lag_samples(heard[:, 0], expected[:, 0])
        is_good = is_good and said["lag_samples"] == 0
    print(json.dumps(said))
    return 0 if is_good else 2


if __name__ == "__main__":
    raise SystemExit(main())
