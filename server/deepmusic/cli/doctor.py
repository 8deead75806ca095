"""`deepmusic doctor`: what is installed, what works, and what to type where something does not."""

from __future__ import annotations

import argparse
import enum
import importlib.metadata
import json
import os
import platform
import re
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from deepmusic import __version__
from deepmusic.app.processor import Processor
from deepmusic.cli.main import Subparsers
from deepmusic.errors import DeepmusicError, install_extra

PORTS = ((50051, "gRPC"), (8080, "HTTP"), (9000, "OSC"))
"""Where `deepmusic serve` listens by default."""

RUNTIME_PACKAGES = ("onnxruntime", "onnxruntime-gpu")
"""Two wheels of the same module: the one that was installed later overwrites files of the other."""

REINSTALL = "in the folder of deepmusic's source: pip install --force-reinstall ."
"""Not by name either."""

MIN_FREE_BYTES = 4 << 30
"""An hour of stereo at 48 kHz takes 1.4 GB three times while it is remixed: content, output, the measured file."""


class State(enum.Enum):
    """How a finding is."""

    OK = "ok"
    NOTE = "note"
    """Works, with less than there could be."""
    BAD = "bad"
    """Does not work until it is mended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the doctor's."""

    topic: str
    """What was looked at."""

    state: State
    """How it is."""

    found: str
    """What is there."""

    mend: str = ""
    """What to type or do; empty where all is well."""


def register(subparsers: Subparsers[argparse.ArgumentParser]) -> None:
    """Add the verb's parser."""
    parser = subparsers.add_parser(
        "doctor",
        help="check the installation and say what to mend",
        description="Check versions, providers, bundles, ports and folders. Exit code 1 where something is bad.",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Do it."""
    findings = list(examine())
    if args.json:
        print(json.dumps([asdict(finding) | {"state": finding.state.value} for finding in findings]))
    else:
        width = max(len(finding.topic) for finding in findings)
        for finding in findings:
            print(f"{finding.state.value:<4}  {finding.topic:<{width}}  {finding.found}")
            if finding.mend:
                print(f"{'':<4}  {'':<{width}}  -> {finding.mend}")
    return 1 if any(finding.state is State.BAD for finding in findings) else 0


def examine() -> Iterator[Finding]:
    """Every finding; a check that fails by itself is a finding too."""
    checks: tuple[tuple[str, Callable[[], Iterator[Finding]]], ...] = (
        ("versions", _versions),
        ("onnxruntime", _runtime),
        ("processor", _processor),
        ("audio files", _audio_files),
        ("bundles", _bundles),
        ("styles", _styles),
        ("ports", _ports),
        ("sound", _sound),
        ("rig", _rig),
        ("disk", _disk),
    )
    for topic, check in checks:
        try:
            yield from check()
        except Exception as error:
            # Whatever else is broken, the doctor goes on to the next patient.
            text = error.message if isinstance(error, DeepmusicError) else f"the check failed ({type(error).__name__})"
            found, _, mend = text.partition("; ")
            yield Finding(topic=topic, state=State.BAD, found=found, mend=mend or REINSTALL)


def _versions() -> Iterator[Finding]:
    yield Finding(
        topic="deepmusic",
        state=State.OK,
        found=f"{__version__} on Python {platform.python_version()}, {platform.platform()}",
    )
    for package in _needed_packages():
        version = _version(package)
        if version is None:
            mend = f"pip install {package}"
            yield Finding(topic=package, state=State.BAD, found="not installed", mend=mend)
        else:
            yield Finding(topic=package, state=State.OK, found=version)


def _runtime() -> Iterator[Finding]:
    installed = [f"{package} {_version(package)}" for package in RUNTIME_PACKAGES if _version(package)]
    if len(installed) != 1:
        wanted = RUNTIME_PACKAGES[platform.machine().lower() in ("x86_64", "amd64") and sys.platform != "darwin"]
        mend = f"pip uninstall -y {' '.join(RUNTIME_PACKAGES)} && pip install {wanted}"
        found = f"{' and '.join(installed)}, which overwrite each other" if installed else "not installed"
        yield Finding(topic="onnxruntime", state=State.BAD, found=found, mend=mend)
        return
    from deepmusic.model.providers import CUDA_PROVIDER, has_nvidia_driver
    from deepmusic.model.runtime import available_providers

    providers = available_providers()
    yield Finding(topic="onnxruntime", state=State.OK, found=f"{installed[0]}, with {', '.join(providers)}")
    if not has_nvidia_driver():
        yield Finding(topic="gpu", state=State.OK, found="no NVIDIA driver; models run on the processor")
    elif CUDA_PROVIDER not in providers:
        mend = install_extra("cuda")
        yield Finding(topic="gpu", state=State.NOTE, found="a driver, but no CUDA in onnxruntime", mend=mend)
    else:
        yield Finding(topic="gpu", state=State.OK, found="an NVIDIA driver, and onnxruntime with CUDA")


def _processor() -> Iterator[Finding]:
    sets = Processor.of_this_host().instruction_sets
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    name = f"{cores} cores, {platform.machine()}"
    if not sets:
        yield Finding(topic="processor", state=State.OK, found=name)
    elif sets & {"avx512_vnni", "avx_vnni"}:
        yield Finding(topic="processor", state=State.OK, found=f"{name} with VNNI: int8 files run fast and true")
    else:
        mend = "nothing to do; where int8 is too coarse, the float file runs, and takes longer"
        yield Finding(topic="processor", state=State.NOTE, found=f"{name} without VNNI", mend=mend)


def _audio_files() -> Iterator[Finding]:
    import soundfile

    formats = soundfile.available_formats()
    lacking = [name for name in ("WAV", "AIFF", "FLAC", "OGG", "MP3") if name not in formats]
    found = soundfile.__libsndfile_version__
    if lacking:
        mend = "pip install --force-reinstall soundfile"
        text = f"libsndfile {found} without {', '.join(lacking)}"
        yield Finding(topic="audio files", state=State.NOTE, found=text, mend=mend)
    else:
        yield Finding(topic="audio files", state=State.OK, found=f"libsndfile {found}: WAV, AIFF, FLAC, OGG, MP3")


def _bundles() -> Iterator[Finding]:
    from deepmusic.model.catalog import DEFAULT_BUNDLE, BundleCatalog, user_bundle_folder

    entries = BundleCatalog(user_bundle_folder()).entries()
    for entry in entries:
        topic = f"bundle {entry.name}"
        if entry.refusal:
            mend = f"deepmusic models verify '{entry.path}', then export it again or remove it"
            yield Finding(topic=topic, state=State.NOTE, found=f"refused: {entry.refusal}", mend=mend)
        else:
            yield Finding(topic=topic, state=State.OK, found=str(entry.path))
    if not any(entry.name == DEFAULT_BUNDLE and not entry.refusal for entry in entries):
        yield Finding(
            topic=f"bundle {DEFAULT_BUNDLE}",
            state=State.BAD,
            found="the default bundle is missing",
            mend=REINSTALL,
        )


def _styles() -> Iterator[Finding]:
    from deepmusic.styles.library import StyleLibrary

    library = StyleLibrary()
    entries = library.entries()
    parent = next(path for path in (library.folder, *library.folder.parents) if path.exists())
    if not os.access(parent, os.W_OK):
        mend = f"chmod u+w '{parent}'"
        yield Finding(topic="styles", state=State.BAD, found=f"{parent} may not be written to", mend=mend)
    else:
        yield Finding(topic="styles", state=State.OK, found=f"{len(entries)} in {library.folder}")


def _ports() -> Iterator[Finding]:
    for port, name in PORTS:
        kinds = (socket.SOCK_DGRAM, socket.SOCK_STREAM) if name == "OSC" else (socket.SOCK_STREAM,)
        if all(_is_free(port, kind) for kind in kinds):
            yield Finding(topic=f"port {port}", state=State.OK, found=f"free for {name}")
        else:
            mend = f"end what listens there, or deepmusic serve --{name.lower()} 127.0.0.1:{port + 1}"
            yield Finding(topic=f"port {port}", state=State.NOTE, found=f"taken ({name}'s default)", mend=mend)


def _is_free(port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_INET, kind) as probe:
        if kind == socket.SOCK_STREAM and os.name == "posix":  # as servers do: the last one's connections do not matter
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _sound() -> Iterator[Finding]:
    from deepmusic.transports.soundcard.listing import list_devices

    try:
        listing = list_devices()
    except DeepmusicError as error:
        yield Finding(topic="devices", state=State.NOTE, found=error.message, mend="only needed for deepmusic live")
        return
    for device in listing.devices:
        found = f"{device.name}: {device.n_inputs} in, {device.n_outputs} out, {device.sample_rate_hz} Hz, {device.api}"
        yield Finding(topic=f"device {device.choice}", state=State.OK, found=found)
    for note in listing.notes:
        yield Finding(topic="devices", state=State.NOTE, found=note.partition(";")[0], mend=note.partition("; ")[2])
    if not listing.devices:
        mend = "only for deepmusic live: plug a sound card in, or start jackd"
        yield Finding(topic="devices", state=State.NOTE, found="no sound card and no JACK server", mend=mend)


def _rig() -> Iterator[Finding]:
    from deepmusic.app.rig_profile import RigProfile

    profile = RigProfile.load()
    if profile is None:
        mend = "deepmusic check, before you play live"
        yield Finding(
            topic="rig", state=State.OK, found="not checked yet: live takes a model step as cushion", mend=mend
        )
    else:
        found = (
            f"checked for {profile.minutes:.1f} min: cushion {1000.0 * profile.cushion_s:.1f} ms, "
            f"{profile.more_streams} more streams fit"
        )
        yield Finding(topic="rig", state=State.OK, found=found)


def _disk() -> Iterator[Finding]:
    folder = Path.cwd()
    free = shutil.disk_usage(folder).free
    found = f"{free / 1e9:.1f} GB free in {folder}"
    if free < MIN_FREE_BYTES:
        mend = "free some: an hour of stereo takes 4 GB while it is remixed"
        yield Finding(topic="disk", state=State.NOTE, found=found, mend=mend)
    else:
        yield Finding(topic="disk", state=State.OK, found=found)


def _needed_packages() -> list[str]:
    """What deepmusic asks for, but for its extras and the runtime, which have lines of their own."""
    asked = [entry for entry in importlib.metadata.requires("deepmusic") or [] if "extra ==" not in entry]
    names = [re.split(r"[^\w.-]", entry, maxsplit=1)[0] for entry in asked]
    return [name for name in names if name not in RUNTIME_PACKAGES]


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
