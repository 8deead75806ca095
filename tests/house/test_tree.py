"""The shape of the tree: one noun a module, small modules, nothing that only holds on one machine."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from tests.house.repository import ROOT, committed, hand_written_python

MOST_LINES = 400
NAMES_THAT_SAY_NOTHING = {"utils", "util", "helpers", "helper", "common", "core", "base", "misc"}
# A path into somebody's machine, or the host of a package registry: neither belongs into a repository.
ONLY_HERE = re.compile(
    r"/work/|/root/|/home/\w|pypi\.org|pythonhosted|registry\.npmjs|deb\.debian\.org|download\.pytorch\.org"
)
# A test that cannot run is a failure. Each word is split so that this file does not find itself.
SKIPS = re.compile("pytest" + r"\.(skip|importorskip|xfail)|mark\.(skip|skipif|xfail)")
SLEEPS = re.compile(r"\btime" + r"\.sleep\(")
SCRIPTS = committed("scripts", ".ci")


def lines_that_match(pattern: re.Pattern[str], *folders: str) -> list[str]:
    found: list[str] = []
    for path in committed(*folders):
        if path.suffix in {".py", ".md", ".toml", ".txt", ".proto", ".pyi", ""} and path.stat().st_size < 1_000_000:
            for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
                if pattern.search(line):
                    found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    return found


def test_no_module_has_a_name_that_says_nothing():
    named = [path for path in hand_written_python("server", "export", "tests") if path.stem in NAMES_THAT_SAY_NOTHING]
    assert named == []


def test_no_module_is_longer_than_two_nouns_need():
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for path in hand_written_python("server", "export")
    }
    assert {path: n for path, n in lengths.items() if n > MOST_LINES} == {}


def test_the_package_says_its_version_and_nothing_else():
    text = (ROOT / "server/deepmusic/__init__.py").read_text()
    assert re.fullmatch(r'"""[^"]+"""\n\n__version__ = "\d+\.\d+\.\d+"\n', text)


def test_nothing_in_the_repository_names_one_machine_or_a_registry():
    found = [line for line in lines_that_match(ONLY_HERE) if not line.startswith("tests/house/test_tree.py")]
    assert found == []


def test_no_test_is_skipped():
    assert lines_that_match(SKIPS, "tests") == []


def test_nothing_sleeps_but_the_benchmark_that_paces_itself_as_a_host_does():
    found = [line for line in lines_that_match(SLEEPS, "tests", "server") if "/cli/measurements.py:" not in line]
    assert found == []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_each_script_is_executable_and_bash_can_read_it(script):
    assert os.access(script, os.X_OK)
    assert script.read_text().startswith("#!/usr/bin/env bash\n")
    subprocess.run(["bash", "-n", str(script)], check=True)


def test_an_environment_of_unknown_kind_is_a_usage_error():
    run = subprocess.run(["scripts/environment", "holiday"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 2
    assert run.stderr == "usage: scripts/environment runtime|dev\n"
