"""`deepmusic replay` from the command line: with the same bundle, with another one, and without either."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from deepmusic.app.recorder import Recorder
from deepmusic.audio import AudioFormat
from deepmusic.model.chosen_bundle import load_bundle
from deepmusic.model.style_share import StyleShare
from deepmusic.session.config import SessionConfig, model_facts
from deepmusic.session.events import AudioIn, AudioOut, ChangeStyle, Control, Finish, InEvent
from deepmusic.session.offline import run_to_end
from deepmusic.session.session import Session
from deepmusic.styles.library import StyleLibrary
from deepmusic.transports.file.style_file import read_style_source
from deepmusic.transports.wire.messages import StreamConfig
from tests.cli.conftest import Ran
from tests.file.recordings import melody, write
from tests.session.streams import noise, style

Deepmusic = Callable[..., Ran]
RATE_HZ, LATENCY, STEP = 48000, 1855, 1024
AUDIO = noise(20_000, 0.1, n_channels=2)


@pytest.fixture
def take(tmp_path: Path, deepmusic: Deepmusic) -> Path:
    """A stream that was recorded, on the bundle style-gain."""
    loaded = load_bundle("style-gain", device="cpu")
    shape = AudioFormat(sample_rate_hz=RATE_HZ, n_channels=2)
    first = replace(style(loaded.transfer, -3.0, "first"), shares=(StyleShare(name="first"),))
    second = replace(style(loaded.transfer, -9.0, "second"), shares=(StyleShare(name="second"),))
    recorder = Recorder(tmp_path / "takes", 10**8, wall_clock=lambda: 1.8e9)
    stream = StreamConfig(audio_format=shape, styles=first.shares, session_id="voice", deadline_samples=None)
    tape = recorder.open(stream, loaded, first, latency_samples=LATENCY, step_samples=STEP)
    assert tape is not None
    session = Session(SessionConfig(audio_format=shape), model_facts(loaded.transfer), first)
    heard: list[AudioOut] = []
    events: list[InEvent] = [
        AudioIn(block=AUDIO, first_sample=0),
        ChangeStyle(vector=second, at_sample=25_000),
        Control(name="mix", value=0.5),
        AudioIn(block=AUDIO, first_sample=20_000),
        Finish(),
    ]
    for event in events:
        outs = run_to_end(session, event)
        tape.note(event, outs, session.n_steps_rendered)
        heard += [out for out in outs if isinstance(out, AudioOut)]
    tape.close()
    recorder.stop()
    np.save(tmp_path / "heard.npy", np.concatenate([out.block for out in heard], axis=1)[:, LATENCY:])
    (folder,) = (tmp_path / "takes").iterdir()
    assert folder.name.startswith("2027-01-15T080000Z-voice-")
    return folder


def test_the_same_bundle_gives_the_same_samples(take: Path, tmp_path: Path, deepmusic: Deepmusic):
    ran = deepmusic("replay", take, "-o", tmp_path / "again.wav", "--json")
    assert ran.code == 0
    facts = json.loads(ran.out)
    assert facts == {
        "stream": "voice",
        "samples": 40_000,
        "ended": "finished",
        "bundle": "style-gain",
        "missed_steps": 0,
        "replayed_misses": 0,
        "exact": True,
        "differences": [],
    }
    sound, _ = soundfile.read(tmp_path / "again.wav", dtype="float32", always_2d=True)
    np.testing.assert_array_equal(sound.T, np.load(tmp_path / "heard.npy"))
    assert "bit for bit as it was" in ran.err


def test_another_bundle_plays_the_same_set_with_styles_from_the_library(
    take: Path, tmp_path: Path, deepmusic: Deepmusic
):
    other = ("replay", take, "-o", tmp_path / "other.wav", "--bundle", "noise", "--styles", tmp_path / "styles")
    ran = deepmusic(*other)
    assert ran.code == 1
    assert "first" in ran.err
    assert not (tmp_path / "other.wav").exists()
    write(tmp_path / "style.wav", melody(1.0))
    encoder = load_bundle("noise", device="cpu").encoder
    for name in ("first", "second"):
        StyleLibrary(tmp_path / "styles").add(name, read_style_source(tmp_path / "style.wav"), encoder)
    ran = deepmusic(*other, "--json")
    assert ran.code == 0, ran.err
    facts = json.loads(ran.out)
    assert (facts["bundle"], facts["exact"], facts["samples"]) == ("noise", False, 40_000)
    assert "bundle_digest" in facts["differences"][0]


def test_a_bundle_that_has_changed_since_is_said(take: Path, tmp_path: Path, deepmusic: Deepmusic):
    receipt = take / "receipt.jsonl"
    text = receipt.read_text()
    digest = json.loads(text.splitlines()[0])["circumstances"]["bundle_digest"]
    receipt.write_text(text.replace(digest, "0" * 64))
    ran = deepmusic("replay", take, "-o", tmp_path / "again.wav")
    assert ran.code == 1
    assert "expected bundle 'style-gain' with digest 000000000000..." in ran.err


def test_another_machine_is_said(take: Path, tmp_path: Path, deepmusic: Deepmusic):
    receipt = take / "receipt.jsonl"
    fields = json.loads(receipt.read_text().splitlines()[0])
    fields["circumstances"] |= {"host": "another", "runtime": "0.9"}
    receipt.write_text("\n".join([json.dumps(fields), *receipt.read_text().splitlines()[1:], ""]))
    ran = deepmusic("replay", take, "-o", tmp_path / "again.wav", "--json")
    assert ran.code == 0
    assert json.loads(ran.out)["exact"] is False
    assert "other than then: runtime 0.9 instead of" in ran.err
    assert "other than then: host another instead of" in ran.err


def test_the_dry_input_is_never_overwritten(take: Path, deepmusic: Deepmusic):
    before = (take / "dry.wav").read_bytes()
    ran = deepmusic("replay", take / "receipt.jsonl", "-o", take / "dry.wav")
    assert ran.code == 1
    assert "another file than the inputs" in ran.err
    assert (take / "dry.wav").read_bytes() == before


def test_what_is_no_recording_is_said(tmp_path: Path, deepmusic: Deepmusic):
    ran = deepmusic("replay", tmp_path, "-o", tmp_path / "again.wav")
    assert ran.code == 1
    assert "expected a recording in" in ran.err
    assert list(tmp_path.iterdir()) == []
