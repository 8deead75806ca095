"""What the system says of its processor."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepmusic.app import processor as processor_module
from deepmusic.app.processor import Processor

X86 = "processor\t: 0\nmodel name\t: A Maker's 4: fast\nflags\t\t: fpu avx2\n\nprocessor\t: 1\nflags\t\t: none\n"
ARM = "processor\t: 0\nFeatures\t: fp asimddp i8mm\n\n"


@pytest.mark.parametrize(
    ("text", "name", "sets"), [(X86, "A Maker's 4: fast", {"fpu", "avx2"}), (ARM, None, {"fp", "asimddp", "i8mm"})]
)
def test_name_and_sets_are_those_of_the_first_processor(
    text: str, name: str | None, sets: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(text, encoding="utf-8")
    monkeypatch.setattr(processor_module, "CPUINFO", file)
    found = Processor.of_this_host()
    assert found.instruction_sets == sets
    assert found.name == name or (name is None and found.name)


def test_where_the_system_has_no_such_file_there_is_still_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processor_module, "CPUINFO", tmp_path / "none")
    found = Processor.of_this_host()
    assert found.name
    assert found.instruction_sets == frozenset()
