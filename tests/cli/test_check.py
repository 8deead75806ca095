"""``deepmusic check``: dropouts that a buffer would have had, the one to choose, and a run from end to end."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from deepmusic.app.live import DEFAULT_CUSHION_S
from deepmusic.app.rig_profile import RigProfile
from deepmusic.cli.check import most_that_fit
from deepmusic.cli.dropouts import SURE_OF_NONE, WINDOW_S, Answers, choose, judge

PROGRAM = (sys.executable, "-m", "deepmusic.cli.main")
HOUR_OF_WINDOWS = round(3600.0 / WINDOW_S)


def judged(windows: list[float], longest_s: float = 0.5):
    return judge(windows, period_samples=480, sample_rate_hz=48000, kept_back_s=0.002, longest_s=longest_s)


def test_answers_are_gathered_by_the_longest_of_each_window():
    times: Iterator[float] = iter([0.0, 0.05, 0.09, 0.1, 0.25])
    answers = Answers(clock=lambda: next(times))
    for seconds in (0.001, 0.004, 0.002, 0.003, 0.005):
        answers.add(seconds)
    assert answers.windows == (0.004, 0.003, 0.005)
    answers.clear()
    assert answers.windows == ()


def test_a_buffer_has_missed_every_window_whose_longest_answer_it_could_not_wait_for():
    windows = [0.001] * (HOUR_OF_WINDOWS - 3) + [0.015, 0.0081, 0.050]
    buffers = judged(windows)
    assert [buffer.samples for buffer in buffers[:4]] == [480, 960, 1440, 1920]
    assert [buffer.n_seen for buffer in buffers[:6]] == [3, 1, 1, 1, 0, 0]  # 10, 20, 30, 40, 60, 80 ms, less 2
    assert buffers[0].an_hour == pytest.approx(3.0)
    assert buffers[4].an_hour == pytest.approx(SURE_OF_NONE)
    assert pytest.approx(3.0, abs=0.01) == SURE_OF_NONE  # the rule of three
    chosen = choose(buffers)
    assert chosen is not None
    assert chosen.samples == 8 * 480  # the one behind the smallest that missed nothing


def test_no_buffer_beyond_the_longest_is_judged_and_none_chosen_where_all_have_missed_something():
    buffers = judged([1.0] * 100)
    assert max(buffer.seconds for buffer in buffers) <= 0.5
    assert choose(buffers) is None
    assert choose(judged([0.001], longest_s=0.011)) is not None


@pytest.mark.parametrize("limit", [0, 1, 2, 3, 5, 7, 8, 11, 63, 64, 100])
def test_the_most_streams_that_fit_are_found_with_few_tries(limit: int):
    tried: list[int] = []

    def fits(n_streams: int) -> bool:
        tried.append(n_streams)
        return n_streams <= limit

    assert most_that_fit(fits, 64) == min(limit, 64)
    assert len(tried) <= 13
    assert max(tried) <= 64


@pytest.mark.timeout(240)
def test_a_check_plays_chooses_a_buffer_and_live_takes_it_unless_it_is_damaged(tmp_path: Path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "XDG_CONFIG_HOME": str(tmp_path)}
    run = subprocess.run(
        [*PROGRAM, "check", "0.1", "--json"], env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    found = json.loads(run.stdout)
    assert found["device"]["name"] == "clock"
    assert found["seconds"] == pytest.approx(0.75 * 6.0, abs=1.0)
    assert 0.0 < found["p50_ms"] <= found["p99_ms"] <= found["longest_ms"]
    counts = [buffer["n_seen"] for buffer in found["buffers"]]
    assert counts == sorted(counts, reverse=True)
    path = tmp_path / "deepmusic" / "rig.json"
    profile = RigProfile.load(path)
    assert profile is not None
    assert profile.cushion_s == found["chosen"]["seconds"]
    assert str(path) in run.stderr
    live = [*PROGRAM, "live", "--input", "clock", "--osc", "off", "--seconds", "0.1", "--json"]
    style = tmp_path / "style.wav"
    soundfile.write(style, 0.2 * np.sign(np.sin(np.arange(48000) / 50.0)), 48000)
    played = subprocess.run(
        [*live, "--style", str(style)], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    ready = json.loads(played.stdout.splitlines()[0])
    assert ready["latency_samples"]["cushion"] == found["chosen"]["samples"]
    assert "checked with another bundle" not in played.stderr
    dataclasses.replace(profile, bundle_digest="0" * 64).save(path)
    played = subprocess.run(
        [*live, "--style", str(style)], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert "this rig was checked with another bundle" in played.stderr
    path.write_text("{}")
    played = subprocess.run(
        [*live, "--style", str(style)], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert json.loads(played.stdout.splitlines()[0])["latency_samples"]["cushion"] == round(48000 * DEFAULT_CUSHION_S)
    assert f"note: expected a rig's profile of this version at {path}" in played.stderr


def test_a_check_that_is_not_to_be_kept_keeps_nothing_and_a_wrong_time_is_a_usage_error(tmp_path: Path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "XDG_CONFIG_HOME": str(tmp_path)}
    run = subprocess.run(
        [*PROGRAM, "check", "0.05", "--no-save", "--period", "128"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert "<- choose" in run.stdout
    assert "  128 =   2.7 ms" in run.stdout
    assert not (tmp_path / "deepmusic").exists()
    for minutes in ("0", "-1", "soon", "nan"):
        refused = subprocess.run([*PROGRAM, "check", minutes], env=environment, capture_output=True, timeout=60)
        assert refused.returncode == 2
