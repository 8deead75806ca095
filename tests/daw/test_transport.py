"""The plug-in's transport: its own tests in C++, plain, under ThreadSanitizer and under AddressSanitizer with UBSan."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.daw.build import BUILD

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(400)]

TOGETHER = (
    "bridge_test",
    "jump_test",
    "lookup_test",
    "keeping_test",
    "connection_test",
    "wire_test",
    "environment_test",
)
"""A list and not a search: a program that was not built is to fail. The longest first."""
BY_THEMSELVES = ("callback_test", "plain_test", "processor_test")
"""The first two watch the audio callback by means that sanitizers use as well, the third is JUCE's code."""
KINDS = ("", "_tsan", "_asan")
N_AT_A_TIME = 3


def run(name: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([BUILD / "tests" / name], capture_output=True, text=True)


@pytest.fixture(scope="module")
def together() -> Iterator[Mapping[str, Future[subprocess.CompletedProcess[str]]]]:
    """Some at a time: they wait for clocks mostly, and a crowd of them would be late for what they wait for."""
    with ThreadPoolExecutor(N_AT_A_TIME) as pool:
        yield {name + kind: pool.submit(run, name + kind) for name in TOGETHER for kind in KINDS}


@pytest.mark.parametrize("name", BY_THEMSELVES)
def test_every_test_of_the_plug_ins_passes(name: str):
    done = run(name)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("kind", KINDS, ids=["plain", "tsan", "asan"])
@pytest.mark.parametrize("name", TOGETHER)
def test_every_test_of_the_transport_passes(
    together: Mapping[str, Future[subprocess.CompletedProcess[str]]], name: str, kind: str
):
    done = together[name + kind].result()
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_program_of_the_transport_s_tests_is_run():
    sources = Path(__file__).resolve().parents[2] / "client_examples/daw_plugin/tests"
    assert {path.stem for path in sources.glob("*_test.cpp")} == {*TOGETHER, *BY_THEMSELVES}
