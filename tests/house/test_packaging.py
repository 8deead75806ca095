"""The distribution: what it asks for, what it holds, and that one of everything is asked for everywhere."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.house.repository import ROOT, hand_written_python

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RUNTIME = [Requirement(text) for text in PROJECT["dependencies"]]
EXTRAS = {extra: [Requirement(t) for t in texts] for extra, texts in PROJECT["optional-dependencies"].items()}

# Where the import has another name than the distribution.
IMPORTED_AS = {
    "googleapis-common-protos": "google.rpc",
    "grpcio": "grpc",
    "grpcio-health-checking": "grpc_health",
    "grpcio-reflection": "grpc_reflection",
    "onnxruntime-gpu": "onnxruntime",
    "protobuf": "google.protobuf",
    "python-osc": "pythonosc",
}
# Needed by another package at run time, never imported by ours.
NEEDED_INDIRECTLY = {"onnxscript"}  # torch.onnx imports it while it exports

MOST_SHIPPED_BYTES = 48_000_000
MOST_DEFAULT_BUNDLE_BYTES = 30_000_000

PLATFORMS = [
    {"sys_platform": system, "platform_machine": machine}
    for system, machine in [
        ("linux", "x86_64"),
        ("linux", "aarch64"),
        ("win32", "AMD64"),
        ("win32", "ARM64"),
        ("darwin", "arm64"),
        ("darwin", "x86_64"),
    ]
]


def import_name(requirement: Requirement) -> str:
    return IMPORTED_AS.get(requirement.name, requirement.name)


def imported_modules(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def third_party(modules: set[str]) -> set[str]:
    own = {"deepmusic", "deepmusic_export", "__future__"}
    return {name for name in modules if name.partition(".")[0] not in own | sys.stdlib_module_names}


def undeclared(folder: str, requirements: list[Requirement]) -> dict[str, list[str]]:
    declared = {import_name(requirement) for requirement in requirements}
    report: dict[str, list[str]] = {}
    for path in hand_written_python(folder):
        for name in third_party(imported_modules(path)):
            parts = name.split(".")
            prefixes = {".".join(parts[: n + 1]) for n in range(len(parts))}
            # `import google` alone names nothing; `from google import protobuf` also yields google.protobuf.
            if not prefixes & declared and name != "google":
                report.setdefault(name, []).append(str(path.relative_to(ROOT)))
    return report


@pytest.mark.parametrize("platform", PLATFORMS, ids=lambda platform: "-".join(platform.values()))
def test_exactly_one_onnx_runtime_wheel_is_asked_for_on_each_platform(platform: dict[str, str]):
    wanted = [
        requirement.name
        for requirement in RUNTIME
        if requirement.name.startswith("onnxruntime")
        and (not requirement.marker or requirement.marker.evaluate(platform))
    ]
    assert len(wanted) == 1


def test_the_runtime_imports_only_what_its_distribution_asks_for():
    assert undeclared("server/deepmusic", RUNTIME + EXTRAS["mdns"]) == {}


def test_the_export_side_imports_only_what_its_extra_asks_for():
    assert undeclared("export/deepmusic_export", RUNTIME + EXTRAS["export"]) == {}


def test_everything_that_is_asked_for_is_imported():
    imported: set[str] = set()
    for path in hand_written_python("server/deepmusic", "export/deepmusic_export"):
        imported |= imported_modules(path)
    wanted = {import_name(requirement) for requirement in RUNTIME + EXTRAS["export"]}
    unused = {
        name for name in wanted if not any(module == name or module.startswith(f"{name}.") for module in imported)
    }
    assert unused - NEEDED_INDIRECTLY == set()


def test_the_constraints_pin_every_requirement_inside_its_range():
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    pins = {canonicalize_name(name): Version(version) for name, _, version in (line.partition("==") for line in lines)}
    here = {"sys_platform": "linux", "platform_machine": "x86_64"}
    for requirement in [*RUNTIME, *(one for extra in EXTRAS.values() for one in extra)]:
        if requirement.marker and not requirement.marker.evaluate(here):
            continue
        assert pins[canonicalize_name(requirement.name)] in requirement.specifier, requirement


def test_the_pinned_generator_is_the_one_that_the_runtime_is_at_least():
    tools = next(requirement for requirement in EXTRAS["dev"] if requirement.name == "grpcio-tools")
    runtime = next(requirement for requirement in RUNTIME if requirement.name == "grpcio")
    (version,) = (specifier.version for specifier in tools.specifier)
    assert f">={version}" in str(runtime.specifier)


def test_the_changelog_names_the_version():
    version = ast.literal_eval((ROOT / "server/deepmusic/__init__.py").read_text().partition("__version__ = ")[2])
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_wheel_holds_both_packages_and_a_default_bundle_of_bounded_size(tmp_path: Path):
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, text=True)
    (wheel,) = tmp_path.glob("*.whl")
    sizes = {entry.filename: entry.file_size for entry in zipfile.ZipFile(wheel).infolist()}
    assert {"deepmusic/__init__.py", "deepmusic/py.typed", "deepmusic_export/__init__.py"} <= sizes.keys()
    bundle = {name: size for name, size in sizes.items() if name.startswith("deepmusic/model/bundles/live/")}
    assert {"manifest.json", "style_encoder.onnx", "transfer.onnx"} <= {Path(name).name for name in bundle}
    assert sum(bundle.values()) <= MOST_DEFAULT_BUNDLE_BYTES
    assert "deepmusic_export/weights/audio_vgg19.npz" in sizes
    shipped = [size for name, size in sizes.items() if "/bundles/" in name or "/weights/" in name]
    assert sum(shipped) <= MOST_SHIPPED_BYTES
