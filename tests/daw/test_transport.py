"""The plug-in's transport: its own tests in C++, plain, under ThreadSanitizer and under AddressSanitizer with UBSan."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.daw.build import BUILD

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(400)]

PROGRAMS = [
    "wire_test",
    "wire_test_tsan",
    "wire_test_asan",
    "connection_test",
    "connection_test_tsan",
    "connection_test_asan",
    "lookup_test",
    "lookup_test_tsan",
    "lookup_test_asan",
    "bridge_test",
    "bridge_test_tsan",
    "bridge_test_asan",
    "jump_test",
    "jump_test_tsan",
    "jump_test_asan",
    "keeping_test",
    "keeping_test_tsan",
    "keeping_test_asan",
    "callback_test",
    "processor_test",
]
"""A list and not a search: a program that was not built is to fail."""


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_test_of_the_transport_passes(name: str):
    run = subprocess.run([BUILD / "tests" / name], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_each_program_of_the_transport_s_tests_is_run():
    sources = Path(__file__).resolve().parents[2] / "client_examples/daw_plugin/tests"
    assert {path.stem for path in sources.glob("*_test.cpp")} == {
        name.rpartition("_test")[0] + "_test" for name in PROGRAMS
    }
