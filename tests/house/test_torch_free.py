"""The runtime never imports torch; `runtime_alone.py` proves the rest in an environment that has none."""

from __future__ import annotations

import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import deepmusic

REFUSED = ("torch", "torchaudio", "librosa", "onnx", "deepmusic_export")
REFUSAL = "import pathlib; pathlib.Path({witness!r}).touch()\nraise ImportError('the runtime must not import {name}')\n"


def test_no_module_of_the_runtime_imports_the_training_side(tmp_path: Path):
    refusals, witnesses = tmp_path / "refusals", tmp_path / "witnesses"
    refusals.mkdir()
    witnesses.mkdir()
    for name in REFUSED:
        (refusals / f"{name}.py").write_text(REFUSAL.format(witness=str(witnesses / name), name=name))
    names = [module.name for module in pkgutil.walk_packages(deepmusic.__path__, "deepmusic.")]
    program = "import importlib, sys\nfor name in sys.argv[1:]:\n    importlib.import_module(name)\n"
    inherited = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([str(refusals), *([inherited] if inherited else [])])
    run = subprocess.run(
        [sys.executable, "-c", program, *(name for name in names if not name.endswith("__main__"))],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert list(witnesses.iterdir()) == []


def test_importing_the_command_line_loads_neither_onnx_runtime_nor_grpc():
    program = "import sys, deepmusic.cli.main; print([m for m in ('onnxruntime', 'grpc', 'numpy') if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"
