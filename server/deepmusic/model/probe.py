"""A first run of a bundle that nobody vouches for, in a child process that may not take much.

Loading an ONNX file executes parts of it: constants are folded, so that one node can ask for terabytes or loop for
ever. The child has little memory, little time and writes no files; what happens to it tells the parent whether the
bundle may be loaded here. Parent and child agree on exit codes only: nothing that the child writes is read.

Usage of the child (not for people): python -P -m deepmusic.model.probe PATH DIGEST MEMORY_BYTES CPU_S
"""

from __future__ import annotations

import enum
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import deepmusic
from deepmusic.errors import BundleInvalid, InferenceFailed
from deepmusic.model.bundle import Bundle

#: What a probe may take. Our own largest bundle needs a third of the memory and a second.
MEMORY_BYTES: Final = 2 << 30
TIMEOUT_S: Final = 30.0

_KEPT_ENVIRONMENT: Final = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "TEMP", "TMP")
#: Open files of the child: Python, numpy and ONNX Runtime load a few dozen libraries, one after another.
_MAX_OPEN_FILES: Final = 64


class Verdict(enum.IntEnum):
    """Exit codes of the child."""

    ACCEPTED = 0
    REFUSED = 40
    """ONNX Runtime refuses a file, or its tensors are not the manifest's."""
    STEP_FAILED = 41
    """The first golden step raises or gives values that are not finite."""
    CHANGED = 42
    """The bundle is not the one that the parent opened."""


_REASONS: Final[dict[int, str]] = {
    Verdict.REFUSED: "ONNX Runtime refuses one of its models, or the model wants too much memory",
    Verdict.STEP_FAILED: "its first step fails or gives values that are not finite",
    Verdict.CHANGED: "its files changed while they were looked at",
}


def probe_bundle(bundle: Bundle, *, timeout_s: float = TIMEOUT_S, memory_bytes: int = MEMORY_BYTES) -> None:
    """[any, slow] Loads the bundle and runs one step in a limited child process.

    Raises:
        BundleInvalid: the child refused the bundle, died, or took too long.
    """
    command = [sys.executable, "-P", "-m", "deepmusic.model.probe", str(bundle.path.absolute()), bundle.digest]
    # The limit on processor time is for a child whose parent has died; later than the timeout, which knows what to say.
    limits = [str(memory_bytes), str(math.ceil(timeout_s) + 1)]
    silent = subprocess.DEVNULL
    try:
        code = subprocess.run(  # noqa: PLW1510 - the exit code is the answer
            [*command, *limits],
            stdin=silent,
            stdout=silent,
            stderr=silent,
            env=_child_environment(),
            cwd=Path(sys.executable).parent,
            timeout=timeout_s,
        ).returncode
    except subprocess.TimeoutExpired:
        raise _refusal(bundle, f"it did not load and run a step within {timeout_s:g} s") from None
    if code != Verdict.ACCEPTED:
        raise _refusal(bundle, _REASONS.get(code, "loading it ended the probing process"))


def examine(path: Path, digest: str) -> Verdict:
    """What the child does: loads every model of the bundle on one thread and runs the first golden step."""
    from deepmusic.model.runtime import StyleEncoder, TransferModel  # after the limits are set

    try:
        bundle = Bundle.open(path)
        if bundle.digest != digest:
            return Verdict.CHANGED
        golden = bundle.golden()
        frames = golden.bands[:, 0, :, 0].reshape(-1, bundle.manifest.features.n_bands)
        encoder = StyleEncoder.load(bundle)
        models = [TransferModel.load(bundle, "float", "cpu")]
        if bundle.manifest.transfer_int8 is not None:
            models.append(TransferModel.load(bundle, "int8", "cpu"))
    except BundleInvalid:
        return Verdict.REFUSED
    try:
        encoder.encode(frames)
        for model in models:
            model.step(golden.bands[0], golden.style, golden.style[:, :1] * 0.0, model.initial_state()[None])
    except InferenceFailed:
        return Verdict.STEP_FAILED
    return Verdict.ACCEPTED


def _refusal(bundle: Bundle, reason: str) -> BundleInvalid:
    return BundleInvalid(f"bundle {bundle.manifest.name!r} was refused: {reason}", resource=bundle.manifest.name)


def _child_environment() -> dict[str, str]:
    """Little enough that no setting of the parent's reaches the child, with the parent's import path, made absolute."""
    root = str(Path(deepmusic.__file__).absolute().parents[1])
    import_path = [root, *(str(Path(entry).absolute()) for entry in sys.path if entry)]
    kept = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
    single = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    return {**kept, **single, "PYTHONPATH": os.pathsep.join(import_path), "PYTHONDONTWRITEBYTECODE": "1"}


def _limit_process(memory_bytes: int, cpu_s: int) -> None:
    """Sets the limits that the system has; on Windows the time limit of the parent is the only one."""
    if sys.platform == "win32":
        return
    import resource

    limits = [
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, _MAX_OPEN_FILES),
    ]
    for kind, wanted in limits:
        hard = resource.getrlimit(kind)[1]
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(kind, (allowed, allowed))


def main(arguments: list[str]) -> int:
    """The child's entry."""
    path, digest, memory_bytes, cpu_s = arguments
    _limit_process(int(memory_bytes), int(cpu_s))
    return int(examine(Path(path), digest))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
