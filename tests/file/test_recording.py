"""Recordings on disk: whole under their name, readable after a crash, within their limit, in nobody's way."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from deepmusic.errors import RequestError
from deepmusic.model.style_share import StyleShare
from deepmusic.model.style_vector import StyleVector
from deepmusic.session.config import Setting
from deepmusic.session.statistics import Statistics
from deepmusic.stage.receipt import Changed, Circumstances, Ended, Finished, Mark, Receipt, Restyled
from deepmusic.stage.receipt_json import read_entry, read_receipt, write_entry, write_receipt
from deepmusic.transports.file import recording as recording_module
from deepmusic.transports.file.recorded import Recorded
from deepmusic.transports.file.recording import Allowance, Recording
from tests.session.streams import noise

RATE_HZ = 48000
STYLE = StyleVector(
    values=np.float32([0.1, -1e-30, 3.4e38]),
    bundle_digest="d" * 64,
    name="brass",
    shares=(StyleShare(name="brass"), StyleShare(name="ö", weight=0.1)),
)
RECEIPT = Receipt(
    stream="guitar",
    started="2026-11-25T14:00:00Z",
    version="0.1.0",
    sample_rate_hz=RATE_HZ,
    n_channels=2,
    latency_samples=1855,
    bundle="live",
    circumstances=Circumstances(
        bundle_digest="d" * 64,
        precision="int8",
        provider="CPUExecutionProvider",
        runtime="1.31",
        numpy="2.4",
        scipy="1.17",
        threads=1,
        host="Linux",
    ),
    noise_seed=2**62 + 1,
    deadline_samples=None,
    settings=(Setting(name="mix", value=0.1),),
    style=STYLE,
    statistics=Statistics(bundle_digest="d" * 64, values=np.float32([0.5, -1e-30]), content_power=1.0 / 3.0),
)
MOVED = Changed(position=480, name="mix", value=1.0 / 3.0, at_sample=None, ramp_samples=960)
RESTYLED = Restyled(position=0, style=STYLE, at_sample=3, fade_samples=None)
BLOCK = noise(480, n_channels=2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "takes").mkdir()
    return tmp_path / "takes"


def recording(folder: Path, name: str = "take", max_bytes: int = 10**9) -> Recording:
    return Recording(folder, name, RECEIPT, Allowance(folder, max_bytes))


def test_a_receipt_comes_back_as_the_very_numbers():
    again = read_receipt(write_receipt(RECEIPT))
    assert again.style.values.tobytes() == STYLE.values.tobytes()
    assert (again.style.name, again.style.shares) == (STYLE.name, STYLE.shares)
    assert write_receipt(again) == write_receipt(RECEIPT)
    assert read_entry(write_entry(MOVED)) == MOVED
    assert write_entry(read_entry(write_entry(RESTYLED))) == write_entry(RESTYLED)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "[]",
        "[" * 100_000,
        '{"is": "nothing"}',
        '{"is": ["mark"]}',
        '{"is": "mark"}',
        '{"is": "mark", "n_samples": -1}',
        '{"is": "mark", "n_samples": 1.5}',
        '{"is": "mark", "n_samples": true}',
        '{"is": "mark", "n_samples": 1, "more": 2}',
        '{"is": "changed", "position": 0, "name": 3, "value": 0, "at_sample": null, "ramp_samples": null}',
        '{"is": "changed", "position": 0, "name": "mix", "value": "x", "at_sample": null, "ramp_samples": null}',
        '{"is": "missed", "step": 0, "position": 0, "reason": "late", "is_asked": 1}',
        '{"is": "restyled", "position": 0, "style": 3, "at_sample": null, "fade_samples": null}',
        '{"is": "restyled", "position": 0, "style": {"values": "%%"}, "at_sample": null, "fade_samples": null}',
    ],
)
def test_a_line_that_is_none_of_ours_is_refused(line: str):
    with pytest.raises(RequestError, match="of the receipt"):
        read_entry(line)


@pytest.mark.parametrize("line", ['{"is": "mark", "n_samples": 1}', '{"is": "receipt", "format": 2}', "x"])
def test_a_first_line_that_is_no_receipt_is_refused(line: str):
    with pytest.raises(RequestError, match="of the receipt"):
        read_receipt(line)


def test_a_recording_appears_whole_under_its_name_once_it_is_over(folder: Path):
    take = recording(folder)
    for entry in (RESTYLED, MOVED):
        take.put_audio(BLOCK)
        take.put(entry)
        take.drain()
    assert [path.name for path in folder.iterdir()] == [".take.part"]
    take.put(Finished(position=960))
    take.put(Ended(how="finished", n_samples=960))
    take.close()
    take.drain()
    assert take.is_over
    assert [path.name for path in folder.iterdir()] == ["take"]
    sound, rate_hz = soundfile.read(folder / "take/dry.wav", dtype="float32", always_2d=True)
    assert rate_hz == RATE_HZ
    np.testing.assert_array_equal(sound.T, np.concatenate([BLOCK, BLOCK], axis=1))
    for path in (folder / "take", folder / "take/receipt.jsonl"):
        with Recorded(path) as recorded:
            assert recorded.n_samples == 960
            assert recorded.how == "finished"
            assert [entry for entry in recorded.entries if isinstance(entry, Changed)] == [MOVED]
            np.testing.assert_array_equal(recorded.read(470, 20), np.concatenate([BLOCK[:, 470:], BLOCK[:, :10]], 1))


def test_what_a_crash_leaves_is_read_up_to_its_last_mark(folder: Path):
    take = recording(folder)
    take.put_audio(BLOCK)
    take.put(MOVED)
    take.drain()
    hidden = folder / ".take.part"
    with (hidden / "dry.wav").open("ab") as dry, (hidden / "receipt.jsonl").open("ab") as lines:
        dry.write(b"\0" * 13)  # half of what was being written
        lines.write(write_entry(MOVED).encode() + b'\n{"is": "chang')
    with Recorded(hidden) as recorded:
        assert recorded.how == "crashed"
        assert recorded.entries == (MOVED, Mark(n_samples=480))
        np.testing.assert_array_equal(recorded.read(0, recorded.n_samples), BLOCK)
    sound, _ = soundfile.read(hidden / "dry.wav", dtype="float32", always_2d=True)  # other programs take it too
    np.testing.assert_array_equal(sound[:480].T, BLOCK)
    take.close()
    take.drain()  # the test's own files are closed


def test_a_folder_that_is_full_ends_the_recording_where_it_can_still_be_played(folder: Path):
    take = recording(folder, max_bytes=3 * BLOCK.nbytes)
    for _ in range(5):
        take.put_audio(BLOCK)
        take.put(MOVED)
        take.drain()
    assert take.is_over
    with Recorded(folder / "take") as recorded:
        assert (recorded.how, recorded.n_samples) == ("cut", 960)
    assert sum(path.stat().st_size for path in (folder / "take").iterdir()) < 4 * BLOCK.nbytes
    second = recording(folder, "second", max_bytes=3 * BLOCK.nbytes)  # what lies there counts
    second.put_audio(BLOCK)
    second.drain()
    assert second.is_over
    assert [path.name for path in folder.iterdir()] == ["take"]


def test_a_disk_that_is_nearly_full_is_left_alone(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(recording_module, "LEAST_FREE_BYTES", 1 << 60)
    assert not Allowance(folder, 10**9).take(1)


def test_a_disk_that_stalls_ends_the_recording_and_holds_nothing_up(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(recording_module, "LONGEST_WAIT_S", 0.02)
    monkeypatch.setattr(recording_module, "MAX_WAITING_ENTRIES", 3)
    slow, busy = recording(folder, "slow"), recording(folder, "busy")
    for _ in range(10):
        slow.put_audio(BLOCK)
        busy.put(MOVED)
    busy.put_audio(BLOCK)
    slow.drain()
    busy.drain()
    with Recorded(folder / "slow") as recorded:
        assert (recorded.how, recorded.n_samples) == ("cut", 3 * 480)
    assert busy.is_over


def test_a_stream_that_is_faster_than_the_clock_wakes_the_writer(folder: Path):
    woken: list[int] = []
    take = Recording(folder, "take", RECEIPT, Allowance(folder, 10**9), lambda: woken.append(1))
    second = noise(RATE_HZ, n_channels=2)
    for _ in range(6):
        take.put_audio(second)
    assert woken == []  # a live stream never has so much
    take.put_audio(second)
    assert woken == [1]
    take.drain()
    take.put_audio(second)
    assert woken == [1]
    take.close()
    take.drain()


def test_a_stream_without_sound_leaves_nothing(folder: Path):
    take = recording(folder)
    take.put(Ended(how="abandoned", n_samples=0))
    take.close()
    take.drain()
    assert list(folder.iterdir()) == []


def test_a_disk_that_fails_costs_the_recording_alone(folder: Path, monkeypatch: pytest.MonkeyPatch):
    take = recording(folder)
    take.put_audio(BLOCK)

    def fail(_: int) -> None:
        raise OSError

    monkeypatch.setattr(os, "fsync", fail)
    take.close()
    take.drain()
    assert take.is_over
    take.put_audio(BLOCK)
    take.drain()
    with Recorded(folder / ".take.part") as recorded:
        assert recorded.n_samples == 480


@pytest.mark.parametrize("damage", ["no receipt", "no dry", "empty", "short", "text"])
def test_a_recording_that_is_damaged_is_refused(folder: Path, damage: str):
    take = recording(folder)
    take.put_audio(BLOCK)
    take.close()
    take.drain()
    receipt, dry = folder / "take/receipt.jsonl", folder / "take/dry.wav"
    match damage:
        case "no receipt":
            receipt.unlink()
        case "no dry":
            dry.unlink()
        case "empty":
            receipt.write_bytes(b"")
        case "short":
            dry.write_bytes(dry.read_bytes()[:1000])
        case _:
            receipt.write_bytes(b"\xff\n")
    with pytest.raises(RequestError, match="expected"):
        Recorded(folder / "take")


def test_a_folder_that_may_not_be_written_to_is_said(tmp_path: Path):
    with pytest.raises(RequestError, match="mend --record"):
        Recording(tmp_path / "nowhere", "take", RECEIPT, Allowance(tmp_path, 10**9))
