"""Uses deepmusic as a musician installs it: run by scripts/check with an interpreter that has no torch and no tools.

Usage: runtime_alone.py FOLDER; expects the bundle of small_bundle.py in it
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

TRAINING_SIDE = ("torch", "onnx", "onnxscript", "librosa", "mido", "matplotlib", "pytest")
SAMPLE_RATE_HZ = 44100
CONTENT_SAMPLES = 66_150


def check_that_nothing_of_the_training_side_is_here() -> None:
    present = [name for name in TRAINING_SIDE if importlib.util.find_spec(name)]
    if present:
        sys.exit(f"expected an environment with the runtime alone, found {', '.join(present)}; remove .venv-runtime")


def import_every_module() -> int:
    package = importlib.import_module("deepmusic")
    names = [module.name for module in pkgutil.walk_packages(package.__path__, "deepmusic.")]
    for name in names:
        if not name.endswith("__main__"):
            importlib.import_module(name)
    return len(names)


def remix(folder: Path) -> None:
    """Two files in, one out, through the command that people type."""
    import numpy as np
    import soundfile

    seconds = np.arange(CONTENT_SAMPLES) / SAMPLE_RATE_HZ
    for name, hz in (("content", 440.0), ("style", 220.0)):
        soundfile.write(folder / f"{name}.wav", 0.3 * np.sin(2 * np.pi * hz * seconds), SAMPLE_RATE_HZ, subtype="FLOAT")
    command = [Path(sys.executable).parent / "deepmusic", "remix", "content.wav", "style.wav", "-o", "out.wav", "--raw"]
    environment = os.environ | {"XDG_DATA_HOME": str(folder)}
    subprocess.run([*command, "--bundle", "small"], cwd=folder, env=environment, check=True)
    result = soundfile.info(folder / "out.wav")
    if (result.frames, result.samplerate, result.channels) != (CONTENT_SAMPLES, SAMPLE_RATE_HZ, 1):
        sys.exit(f"expected {CONTENT_SAMPLES} samples of mono at {SAMPLE_RATE_HZ} Hz, got {result}")


if __name__ == "__main__":
    check_that_nothing_of_the_training_side_is_here()
    n_modules = import_every_module()
    remix(Path(sys.argv[1]))
    print(f"{n_modules} modules imported and a file remixed without torch")
