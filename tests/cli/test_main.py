"""The command line finds verbs, and ends with one line and a code when something goes wrong."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from deepmusic.cli import main as main_module
from deepmusic.errors import StyleSilent
from tests.cli.conftest import Ran
from tests.file.recordings import melody, write

Deepmusic = Callable[..., Ran]


def a_verb(action: Callable[[argparse.Namespace], int]) -> SimpleNamespace:
    return SimpleNamespace(register=lambda subparsers: subparsers.add_parser("doctor"), run=action)


def raising(error: BaseException) -> Callable[[argparse.Namespace], int]:
    def action(_: argparse.Namespace) -> int:
        raise error

    return action


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (StyleSilent("expected sound,\ngot silence"), 1, "deepmusic doctor: expected sound, got silence\n"),
        (KeyboardInterrupt(), 130, "deepmusic doctor: stopped\n"),
        (MemoryError(), 1, "deepmusic doctor: there is not enough memory; close other programs\n"),
    ],
)
def test_an_error_is_one_line_and_a_code(
    error: BaseException, code: int, line: str, deepmusic: Deepmusic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main_module.importlib, "import_module", lambda _: a_verb(raising(error)))
    assert deepmusic("doctor") == Ran(code=code, out="", err=line)


def test_a_fault_of_ours_shows_no_text_of_a_library(deepmusic: Deepmusic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEEPMUSIC_TRACEBACK", raising=False)
    monkeypatch.setattr(main_module.importlib, "import_module", lambda _: a_verb(raising(ZeroDivisionError("secret"))))
    ran = deepmusic("doctor")
    assert ran.code == 1
    assert ran.err.count("\n") == 1
    assert "secret" not in ran.err
    monkeypatch.setenv("DEEPMUSIC_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        deepmusic("doctor")


def test_help_lists_every_verb_without_loading_one(deepmusic: Deepmusic, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_import(name: str) -> None:
        raise AssertionError(f"{name} was loaded")

    monkeypatch.setattr(main_module.importlib, "import_module", no_import)
    ran = deepmusic("--help")
    assert ran.code == 0
    assert all(verb in ran.out for verb in main_module.VERBS)


@pytest.mark.parametrize("arguments", [(), ("no-such-verb",), ("remix",), ("styles",)])
def test_a_wrong_usage_ends_with_2_and_keeps_stdout_clean(arguments: tuple[str, ...], deepmusic: Deepmusic) -> None:
    ran = deepmusic(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert "usage: deepmusic" in ran.err


@pytest.mark.parametrize("seconds", ["-1", "0", "nan", "inf", "soon"])
def test_a_set_that_would_never_play_is_a_wrong_usage(seconds: str, deepmusic: Deepmusic) -> None:
    ran = deepmusic("live", "--input", "clock", "--osc", "off", "--seconds", seconds)
    assert (ran.code, ran.out) == (2, "")
    assert f"expected seconds above 0, got '{seconds}'" in ran.err


@pytest.mark.parametrize("verb", main_module.VERBS)
def test_every_verb_has_help(verb: str, deepmusic: Deepmusic) -> None:
    ran = deepmusic(verb, "--help")
    assert ran.code == 0
    assert f"usage: deepmusic {verb}" in ran.out


@pytest.mark.usefixtures("_bundles")
def test_sigterm_leaves_nothing_half_written(tmp_path: Path) -> None:
    content, style = write(tmp_path / "a.wav", melody(120.0)), write(tmp_path / "b.wav", melody(0.5))
    arguments = ["remix", str(content), str(style), "-o", str(tmp_path / "out.wav"), "--bundle", "noise", "--raw"]
    with subprocess.Popen(
        [sys.executable, "-m", "deepmusic", *arguments], stderr=subprocess.PIPE, text=True, env=os.environ | {}
    ) as process:
        while not list(tmp_path.glob(".out.wav.*.part")):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=0.05)
                pytest.fail("it ended by itself")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
    assert process.returncode == main_module.EXIT_INTERRUPTED
    assert err == "deepmusic remix: stopped\n"
    assert {path.name for path in tmp_path.iterdir()} == {"a.wav", "b.wav"}
