"""``deepmusic live`` as a process of its own, on JACK's dummy driver with real routing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
import soundfile

from tests.end_to_end.test_serve_and_stream import served
from tests.osc.rig import Rig
from tests.soundcard.jack_server import PATIENCE_S, RATE_HZ, JackServer, Patch, delay_of, jack_server
from tests.support.bundles import passthrough_bundle

pytestmark = pytest.mark.timeout(180)

PROGRAM = (sys.executable, "-m", "deepmusic.cli.main", "live")
PIECE_SAMPLES = 4800
CUSHION_SAMPLES = 1024
STREAM_LATENCY_SAMPLES = 1855
ATTEMPTS = 3
"""A shared machine that is busy makes anything late at times: the best of a few counts."""


@dataclass(eq=False, kw_only=True)
class Set:
    """A set that is played."""

    process: subprocess.Popen[str]
    ready: dict[str, Any]

    def end(self) -> dict[str, Any]:
        """Ends it with Ctrl-C; the line with what was counted."""
        self.process.send_signal(signal.SIGINT)
        out, _ = self.process.communicate(timeout=PATIENCE_S)
        assert self.process.returncode == 0
        return json.loads(out)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A way through a set."""

    arguments: tuple[str, ...]
    inputs: list[str]
    outputs: list[str]


JACK = Route(arguments=("--input", "jack:"), inputs=["live:in_1", "live:in_2"], outputs=["live:out_1", "live:out_2"])
PORTAUDIO = Route(
    arguments=("--input", "0", "--output", "0"),
    inputs=["PortAudio:in_0", "PortAudio:in_1"],
    outputs=["PortAudio:out_0", "PortAudio:out_1"],
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("live")
    passthrough_bundle(folder / "bundles" / "passthrough")
    style = 0.2 * np.sign(np.sin(2 * np.pi * 110.0 * np.arange(RATE_HZ) / RATE_HZ))
    soundfile.write(folder / "style.wav", style, RATE_HZ, subtype="FLOAT")
    return folder


@pytest.fixture(scope="module")
def server() -> Iterator[JackServer]:
    with jack_server(period_samples=256) as server:
        yield server


@contextlib.contextmanager
def playing(folder: Path, *arguments: str, bundle: str = "passthrough", osc: str = "off") -> Iterator[Set]:
    is_local = bundle == "passthrough" and "--server" not in arguments
    chosen = str(folder / "bundles" / bundle) if is_local else bundle
    command = [*PROGRAM, "--style", str(folder / "style.wav"), "--bundle", chosen, "--device", "cpu", "--json"]
    process = subprocess.Popen(
        [*command, "--osc", osc, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        yield Set(process=process, ready=json.loads(line))
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def noise(seconds: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(3).uniform(-0.5, 0.5, (2, round(seconds * RATE_HZ))).astype(np.float32)


@pytest.mark.parametrize("through", [JACK, PORTAUDIO], ids=["jack", "portaudio"])
def test_the_measured_latency_is_the_reported_one_to_the_sample(folder: Path, server: JackServer, through: Route):
    """At strength 0 every piece of noise comes back bit for bit, the same number of samples later."""
    sent = noise(1.5)
    for _ in range(ATTEMPTS):
        with playing(folder, "--strength", "0", *through.arguments) as live, Patch(sent, RATE_HZ // 2) as patch:
            patch.connect(through.inputs, through.outputs)
            patch.wait()
            parts = live.ready["latency_samples"]
            declared = parts["stream"] + parts["cushion"]
            assert (parts["stream"], parts["cushion"]) == (STREAM_LATENCY_SAMPLES, CUSHION_SAMPLES)
            if through is JACK:  # PortAudio does not tell JACK what a program adds
                assert patch.total_latency(through.outputs[0], is_input=False) == declared
                assert patch.total_latency(through.inputs[0], is_input=True) == declared
            measured = Counter(delay_of(patch.recorded, sent, piece_samples=PIECE_SAMPLES))
        if measured == {declared: len(sent[0]) // PIECE_SAMPLES}:
            return
    pytest.fail(f"declared {declared}, measured {measured}")


@pytest.mark.parametrize("through", [JACK, PORTAUDIO], ids=["jack", "portaudio"])
def test_a_device_that_vanishes_comes_back_and_the_set_goes_on(folder: Path, server: JackServer, through: Route):
    with playing(folder, "--strength", "0", *through.arguments) as live:
        for _ in range(2):
            server.kill()
            server.start()
            assert heard_through(through) == STREAM_LATENCY_SAMPLES + CUSHION_SAMPLES
        counted = live.end()
    assert counted["vanished"] == 2
    assert counted["failed_steps"] == 0


def heard_through(route: Route) -> int:
    """The delay of most pieces of noise, of those that came through whole."""
    sent = noise(1.0)
    for _ in range(ATTEMPTS):
        with Patch(sent, RATE_HZ // 2) as patch:
            patch.connect(route.inputs, route.outputs)
            patch.wait()
        if found := Counter(delay_of(patch.recorded, sent, piece_samples=PIECE_SAMPLES)):
            return found.most_common(1)[0][0]
    pytest.fail("nothing came through")


async def test_osc_drives_the_set_under_its_name(folder: Path, server: JackServer):
    with playing(folder, "--name", "guitar", osc="127.0.0.1:0") as live, Rig(live.ready["osc"]) as rig:
        rig.say("/deepmusic/sessions")
        reply = await rig.hear("/deepmusic/sessions.reply")
        assert reply[1:3] == ("guitar", "passthrough")
        assert reply[4:7] == (RATE_HZ, 2, STREAM_LATENCY_SAMPLES)
        rig.say("/notify", 1)
        rig.say("/deepmusic/session/guitar/strength", 0.25)
        while (changed := await rig.hear("/deepmusic/changed"))[2] != "strength" or changed[3] == 1.0:
            pass
        assert changed[1:] == ("guitar", "strength", 0.25)
        rig.say("/deepmusic/style", "a style that nobody knows")
        assert (await rig.hear("/fail"))[1] == "/deepmusic/style"
        live.end()


async def test_a_set_is_stepped_through_and_described_beside_the_sound_card(folder: Path):
    (folder / "friday.toml").write_text('[[cue]]\nname = "verse"\nparameters = { strength = 0.5 }\nramp_ms = 0\n')
    beside = ("--input", "clock", "--set", str(folder / "friday.toml"), "--http", "127.0.0.1:0")
    with playing(folder, *beside, osc="127.0.0.1:0") as live, Rig(live.ready["osc"]) as rig:
        rig.say("/notify", 1)
        rig.say("/deepmusic/cue", "next")
        while (changed := await rig.hear("/deepmusic/changed"))[2] != "strength" or changed[3] == 1.0:
            pass
        assert changed[1:] == ("live", "strength", 0.5)
        async with (
            aiohttp.ClientSession() as client,
            client.get(f"http://{live.ready['http']}/deepmusic/strength") as answer,
        ):
            assert (await answer.json(content_type=None))["VALUE"] == [0.5]
        live.end()


def test_a_set_that_cannot_be_read_ends_it_with_a_line(folder: Path):
    style = str(folder / "style.wav")
    run = subprocess.run(
        [*PROGRAM, "--style", style, "--input", "clock", "--set", str(folder / "nowhere.toml")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert run.returncode != 0
    assert "mend --set" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_short_set_of_the_default_bundle_has_no_late_block_beside_a_pass_through(folder: Path, server: JackServer):
    for _ in range(ATTEMPTS):
        with (
            playing(folder, bundle="live", osc="off") as styled,
            playing(folder, "--name", "beside", osc="off") as beside,
        ):
            with Patch(noise(4.0), 0) as patch:
                patch.connect(JACK.inputs, JACK.outputs)
                patch.wait()
            ours, host = styled.end(), beside.end()
        assert ours["failed_steps"] == 0
        assert np.isfinite(patch.recorded).all()
        assert np.abs(patch.recorded).max() > 0.01
        if ours["late_steps"] == ours["starved_cycles"] == 0:
            return
    pytest.fail(f"late {ours}; at the same time the pass-through model {host}")


async def test_a_server_that_vanishes_is_not_heard_at_strength_0_and_is_found_again(folder: Path, server: JackServer):
    """Without an answer the sound card's own delayed input is played: the same samples."""
    with contextlib.ExitStack() as stack:
        process, at = stack.enter_context(served(folder))
        address = str(at["grpc"])
        arguments = ("--server", address, "--strength", "0", "--input", "jack:")
        live = stack.enter_context(playing(folder, *arguments, osc="127.0.0.1:0"))
        rig = stack.enter_context(Rig(live.ready["osc"]))
        delay = STREAM_LATENCY_SAMPLES + CUSHION_SAMPLES
        assert heard_through(JACK) == delay
        process.kill()
        assert heard_through(JACK) == delay
        n_before = await n_samples_sent(rig)
        stack.enter_context(served(folder, "--grpc", address))
        async with asyncio.timeout(PATIENCE_S):
            while await n_samples_sent(rig) < n_before + RATE_HZ:  # noqa: ASYNC110
                await asyncio.sleep(0.05)  # a rig that asks without a pause is not heard
        assert heard_through(JACK) == delay
        rig.say("/deepmusic/style", "a style that nobody knows")
        assert "a style that nobody knows" in (await rig.hear("/fail"))[2]
        counted = live.end()
    assert counted["starved_cycles"] > 0
    assert counted["vanished"] == 0


async def n_samples_sent(rig: Rig) -> int:
    rig.say("/deepmusic/sessions")
    return (await rig.hear("/deepmusic/sessions.reply"))[9]


def test_the_list_names_the_jack_server_and_its_card(folder: Path, server: JackServer):
    listed = subprocess.run([*PROGRAM, "--list", "--json"], capture_output=True, text=True, check=True, timeout=60)
    devices = {device["choice"]: device for device in json.loads(listed.stdout)}
    assert (devices["jack"]["api"], devices["jack"]["sample_rate_hz"], devices["jack"]["is_default"]) == (
        "JACK",
        RATE_HZ,
        True,
    )
    assert devices["0"]["api"] == "JACK Audio Connection Kit"
    table = subprocess.run([*PROGRAM, "--list"], capture_output=True, text=True, check=True, timeout=60).stdout
    assert [line.split()[0] for line in table.splitlines()] == ["--input", *devices]


def test_a_client_or_a_style_that_is_not_there_ends_it_with_a_line(folder: Path, server: JackServer):
    for arguments, words in (
        (("--input", "jack:nobody", "--style", str(folder / "style.wav")), "no JACK client 'nobody'"),
        (("--style", "no-such-style"), "no-such-style"),
        (("--style", "missing.wav"), "found no file at missing.wav"),
        ((), "expected --style"),
    ):
        result = subprocess.run([*PROGRAM, *arguments, "--osc", "off"], capture_output=True, text=True, timeout=60)
        assert (result.returncode, result.stdout) == (1, "")
        assert words in result.stderr
        assert result.stderr.count("\n") == 1
