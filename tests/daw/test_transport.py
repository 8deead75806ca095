"""The plug-in's transport: its own tests in C++, plain, under ThreadSanitizer and under AddressSanitizer with UBSan."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.daw.build import BUILD

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(400)]

SOURCES = Path(__file__).resolve().parents[2] / "client_examples/daw_plugin/tests"
CASE_BY_CASE = ("bridge_test",)
"""Nearly all of their time is waiting, one case after another: each case is a process of its own, beside others."""
TOGETHER = (
    *CASE_BY_CASE,
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


Runs = Mapping[str, list[Future[subprocess.CompletedProcess[str]]]]


def run(name: str, *case: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([BUILD / "tests" / name, *case], capture_output=True, text=True)


def cases(name: str) -> list[str]:
    """The sentences of a program's tests."""
    return re.findall(r'^TEST\("(.+)"\)', (SOURCES / f"{name}.cpp").read_text(), re.MULTILINE)


def parts(name: str) -> list[tuple[str, ...]]:
    """What a program is told, each time that it is run."""
    return [(case,) for case in cases(name)] if name in CASE_BY_CASE else [()]


@pytest.fixture(scope="module")
def together() -> Iterator[Runs]:
    """Some at a time: they wait for clocks mostly, and a crowd of them would be late for what they wait for."""
    with ThreadPoolExecutor(N_AT_A_TIME) as pool:
        yield {
            name + kind: [pool.submit(run, name + kind, *part) for part in parts(name)]
            for name in TOGETHER
            for kind in KINDS
        }


@pytest.mark.parametrize("name", BY_THEMSELVES)
def test_every_test_of_the_plug_ins_passes(name: str):
    done = run(name)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("kind", KINDS, ids=["plain", "tsan", "asan"])
@pytest.mark.parametrize("name", TOGETHER)
def test_every_test_of_the_transport_passes(together: Runs, name: str, kind: str):
    failed = [done for done in (one.result() for one in together[name + kind]) if done.returncode != 0]
    assert not failed, "".join(done.stdout + done.stderr for done in failed)


def test_each_program_of_the_transport_s_tests_is_run():
    assert {path.stem for path in SOURCES.glob("*_test.cpp")} == {*TOGETHER, *BY_THEMSELVES}


@pytest.mark.parametrize("name", CASE_BY_CASE)
def test_no_case_s_sentence_is_a_part_of_another_s(name: str):
    sentences = cases(name)
    assert sentences
    assert len(sentences) == (SOURCES / f"{name}.cpp").read_text().count("\nTEST(")
    assert [one for one in sentences for other in sentences if one in other] == sentences
