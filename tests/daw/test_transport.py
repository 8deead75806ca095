"""The plug-in's transport: its own tests in C++, plain, under ThreadSanitizer and under AddressSanitizer with UBSan."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.daw.build import BUILD

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(400)]

PLAIN = (
    "wire_test",
    "connection_test",
    "lookup_test",
    "environment_test",
    "bridge_test",
    "jump_test",
    "keeping_test",
    "callback_test",
    "plain_test",
    "processor_test",
)
"""A list and not a search: a program that was not built is to fail."""
UNSANITIZED = frozenset({"callback_test", "plain_test", "processor_test"})
"""The first two watch the audio callback by means that sanitizers use as well, the third is JUCE's code."""
SANITIZED = tuple(f"{name}_{kind}" for name in PLAIN if name not in UNSANITIZED for kind in ("tsan", "asan"))


N_AT_A_TIME = 3


def run(name: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([BUILD / "tests" / name], capture_output=True, text=True)


@pytest.fixture(scope="module")
def sanitized() -> Iterator[Mapping[str, Future[subprocess.CompletedProcess[str]]]]:
    """Some at a time: they wait for clocks mostly, and a crowd of them would be late for what they wait for."""
    with ThreadPoolExecutor(N_AT_A_TIME) as pool:
        yield {name: pool.submit(run, name) for name in SANITIZED}


@pytest.mark.parametrize("name", PLAIN)
def test_every_test_of_the_transport_passes(name: str):
    done = run(name)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", SANITIZED)
def test_every_test_of_the_transport_passes_under_a_sanitizer(
    sanitized: Mapping[str, Future[subprocess.CompletedProcess[str]]], name: str
):
    done = sanitized[name].result()
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_program_of_the_transport_s_tests_is_run():
    sources = Path(__file__).resolve().parents[2] / "client_examples/daw_plugin/tests"
    assert {path.stem for path in sources.glob("*_test.cpp")} == set(PLAIN)
