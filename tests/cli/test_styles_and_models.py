"""The verbs `styles`, `models`, `doctor` and `bench`."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from deepmusic.app.processor import Processor
from deepmusic.cli import doctor as doctor_module
from deepmusic.cli.doctor import State, examine
from deepmusic.model.catalog import user_bundle_folder
from tests.cli.conftest import Ran
from tests.file.recordings import melody, write

Deepmusic = Callable[..., Ran]


def test_a_style_lives_from_add_to_remove(deepmusic: Deepmusic, tmp_path: Path) -> None:
    recording = write(tmp_path / "brass.mp3", melody(1.0))
    added = deepmusic("styles", "add", "bright brass", recording, "--bundle", "style-gain", "--json")
    assert added.code == 0, added.err
    fields = json.loads(added.out)
    assert (fields["name"], fields["origin"], fields["channels"]) == ("bright brass", "brass.mp3", 2)
    assert len(fields["bundle_digests"]) == 1
    assert "bright brass" in deepmusic("styles", "list").out
    assert "brass.mp3" in deepmusic("styles", "show", "bright brass").out
    again = deepmusic("styles", "add", "bright brass", recording, "--bundle", "style-gain")
    assert (again.code, again.err.count("\n")) == (1, 1)
    assert "already" in again.err
    assert deepmusic("styles", "remove", "bright brass").code == 0
    assert "bright brass" not in deepmusic("styles", "list", "--json").out


def test_styles_may_lie_in_another_folder(deepmusic: Deepmusic, tmp_path: Path) -> None:
    recording, folder = write(tmp_path / "brass.wav", melody(1.0)), tmp_path / "shared"
    elsewhere = ("--styles", folder)
    assert deepmusic("styles", "add", "horn", recording, "--bundle", "style-gain", *elsewhere).code == 0
    assert (folder / "horn" / "meta.json").is_file()
    assert "horn" in deepmusic("styles", "list", *elsewhere).out
    assert "horn" not in deepmusic("styles", "list").out
    mixed = ("remix", recording, "horn", "-o", tmp_path / "out.wav", "--bundle", "style-gain")
    assert deepmusic(*mixed).code == 1
    assert deepmusic(*mixed, *elsewhere).code == 0
    assert deepmusic("styles", "remove", "horn", *elsewhere).code == 0


@pytest.mark.parametrize("action", ["show", "remove"])
def test_a_style_that_is_not_there_is_named(action: str, deepmusic: Deepmusic) -> None:
    ran = deepmusic("styles", action, "nothing")
    assert (ran.code, ran.out) == (1, "")
    assert "no style is named 'nothing'" in ran.err


def test_a_bad_name_is_refused_before_the_file_is_read(deepmusic: Deepmusic, tmp_path: Path) -> None:
    ran = deepmusic("styles", "add", "../up", tmp_path / "missing.wav")
    assert ran.code == 1
    assert "expected a style name" in ran.err


def test_the_list_tells_what_each_bundle_is_for_and_how_good_it_is(deepmusic: Deepmusic) -> None:
    lines = {line.split()[0]: line for line in deepmusic("models", "list").out.splitlines()}
    for entry in json.loads(deepmusic("models", "list", "--json").out):
        line, metrics = lines[entry["name"]], entry["metrics"]
        assert f"version {entry['version']}" in line
        assert entry["profile"] in line
        if entry["origin"] == "package":
            assert f"LSD {metrics['lsd_db']:.2f} / {metrics['lsd50_db']:.2f} dB" in line
            assert line.endswith("ready")


def test_bundles_are_listed_shown_and_verified(deepmusic: Deepmusic) -> None:
    assert "style-gain" in deepmusic("models", "list").out
    listed = {entry["name"]: entry for entry in json.loads(deepmusic("models", "list", "--json").out)}
    shown = json.loads(deepmusic("models", "show", "style-gain", "--json").out)
    assert shown["digest"] == listed["style-gain"]["digest"]
    assert "licence" in deepmusic("models", "show", "style-gain").out
    verified = json.loads(deepmusic("models", "verify", user_bundle_folder() / "style-gain", "--json").out)
    assert verified["ok"]
    assert verified["golden_snr_db"]["float"] > 60.0
    assert "golden steps" in deepmusic("models", "verify", "style-gain").out


def test_a_corrupt_bundle_is_listed_as_refused_and_fails_to_verify(deepmusic: Deepmusic) -> None:
    broken = user_bundle_folder() / "broken"
    broken.mkdir(parents=True)
    try:
        (broken / "manifest.json").write_text("{}")
        assert "refused" in deepmusic("models", "list").out
        ran = deepmusic("models", "verify", "broken")
        assert (ran.code, ran.err.count("\n")) == (1, 1)
        assert any(finding.topic == "bundle broken" and finding.state is State.NOTE for finding in examine())
    finally:
        (broken / "manifest.json").unlink()
        broken.rmdir()


def test_the_doctor_says_what_to_type(deepmusic: Deepmusic) -> None:
    findings = json.loads(deepmusic("doctor", "--json").out)
    topics = {finding["topic"] for finding in findings}
    assert {"deepmusic", "onnxruntime", "audio files", "styles", "disk", "port 50051"} <= topics
    assert {"scipy", "aiohttp", "sounddevice"} <= topics  # whatever deepmusic asks for
    assert "librosa" not in topics  # an extra's
    assert all(finding["mend"] for finding in findings if finding["state"] != "ok")
    assert "libsndfile" in deepmusic("doctor").out


@pytest.mark.parametrize("name", ["gRPC", "OSC"])  # OSC wants its port over UDP and over TCP
def test_the_doctor_sees_a_taken_port(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr(doctor_module, "PORTS", ((port, name),))
        (finding,) = [finding for finding in examine() if finding.topic == f"port {port}"]
    assert finding.state is State.NOTE
    assert f"--{name.lower()} 127.0.0.1:{port + 1}" in finding.mend


@pytest.mark.parametrize(
    ("installed", "found"),
    [({"onnxruntime", "onnxruntime-gpu"}, "overwrite each other"), (set(), "not installed")],
)
def test_the_doctor_sees_wheels_that_clash_or_lack(
    installed: set[str], found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor_module, "_version", lambda package: "1.0" if package in installed else None)
    bad = [finding for finding in examine() if finding.topic == "onnxruntime"]
    assert bad[0].state is State.BAD
    assert found in bad[0].found
    assert bad[0].mend.startswith("pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime")


def test_a_check_that_fails_does_not_stop_the_doctor(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Processor:
        raise RuntimeError("library text")

    monkeypatch.setattr(Processor, "of_this_host", broken)
    findings = {finding.topic: finding for finding in examine()}
    assert findings["processor"].found == "the check failed (RuntimeError)"
    assert "disk" in findings


def test_what_a_check_says_to_do_is_what_the_doctor_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "rig.json").write_text("{}")
    monkeypatch.setattr("deepmusic.app.rig_profile.profile_path", lambda: tmp_path / "rig.json")
    (rig,) = [finding for finding in examine() if finding.topic == "rig"]
    assert rig.found == f"expected a rig's profile of this version at {tmp_path / 'rig.json'}, got something else"
    assert rig.mend == "run deepmusic check"


def test_the_benchmark_prints_every_figure(deepmusic: Deepmusic) -> None:
    ran = deepmusic("bench", "--bundle", "noise", "--seconds", "0.5", "--streams", "2", "--json")
    assert ran.code == 0, ran.err
    figures = json.loads(ran.out)
    assert figures["latency_samples"] == figures["measured_latency_samples"]
    assert figures["live"]["n_streams"] == 2
    assert figures["live"]["n_failed"] == 0
    assert figures["tight"]["rtf"] > 0.0
    assert figures["grpc_round_trip"]["p50_ms"] <= figures["grpc_round_trip"]["p99_ms"]
    assert figures["start_up_s"] > 0.0


@pytest.mark.parametrize("wrong", [("--streams", "0"), ("--seconds", "-1"), ("--seconds", "soon")])
def test_a_benchmark_of_nothing_is_a_usage_error(wrong: tuple[str, str], deepmusic: Deepmusic) -> None:
    assert deepmusic("bench", *wrong).code == 2
