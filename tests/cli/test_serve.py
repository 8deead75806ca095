"""`deepmusic serve` with a set, a port or a folder that cannot be: one line that says what to mend, and no server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Ran

Deepmusic = Callable[..., Ran]
NOWHERE = ("serve", "--grpc", "127.0.0.1:0", "--osc", "off")


def test_a_mistake_in_a_set_is_one_line_with_the_valid_keys(tmp_path: Path, deepmusic: Deepmusic):
    path = tmp_path / "friday.toml"
    path.write_text('[[cue]]\nname = "verse"\nfade = 3\n')
    ran = deepmusic(*NOWHERE, "--set", path)
    valid = "name, style, blend, parameters, ramp_ms, quantise, bpm"
    assert ran == Ran(code=1, out="", err=f"deepmusic serve: {path}: cue 1: unknown key 'fade'; valid keys: {valid}\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--set", "nowhere.toml"), "mend --set"),
        (("--midi", "kazoo"), "mend --midi"),
        (("--record", "/dev/null/takes"), "mend --record"),
        (("--record-gb", "0"), "expected record_gb between 0.001 and 100000"),
    ],
)
def test_what_cannot_be_is_said_and_ends_the_server(
    arguments: tuple[str, str], says: str, deepmusic: Deepmusic, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("JACK_DEFAULT_SERVER", "nobody")
    ran = deepmusic(*NOWHERE, "--bundle", "noise", *arguments)
    assert ran.code == 1
    assert says in ran.err.splitlines()[-1]
