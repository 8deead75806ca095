"""Pure Data, SuperCollider and liblo's tools, run without a screen against a running server."""

from __future__ import annotations

import asyncio
import itertools
import re
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from pythonosc.osc_message_builder import build_msg

from tests.examples.stage import PATIENCE_S, OscStage, osc_stage, running
from tests.osc.test_audio import as_live_as_a_busy_machine_allows
from tests.rpc.serving import noise

EXAMPLES = Path(__file__).resolve().parents[2] / "client_examples/osc"
# SuperCollider is built with Qt, whose browser refuses to start in its sandbox where root runs it.
WITHOUT_A_SCREEN = {"QT_QPA_PLATFORM": "offscreen", "QTWEBENGINE_DISABLE_SANDBOX": "1"}


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[OscStage]:
    async with osc_stage(tmp_path) as served:
        yield served


async def test_the_patch_for_pure_data_moves_things_and_hears_of_it(stage: OscStage):
    told = [
        f"deepmusic-connect 127.0.0.1 {stage.port}",
        *("deepmusic-listen 1", "deepmusic-strength 0.25", "deepmusic-bypass 1"),
        "deepmusic-style_weights list brass 0.5 strings 0.5 20",
    ]
    sends = [word for message in told for word in ("-send", message)]
    patch = str(EXAMPLES / "rig.pd")
    async with running("pd", "-nogui", "-nosound", "-noprefs", "-stderr", "-open", patch, *sends) as pure_data:
        await stage.wait_until(lambda: stage.values["style"] == "brass 50% + strings 50%")
        assert (stage.values["strength"], stage.values["bypass"]) == (0.25, 1.0)
        await stage.wait_until(lambda: "done /deepmusic/style_weights 1" in pure_data.text)
        assert "deepmusic: done /notify 60" in pure_data.text
        assert re.search(r"deepmusic changed stream-\w+ strength 0.25", pure_data.text)
        assert "error" not in pure_data.text


def blocks_of(text: str) -> list[str]:
    """What a performer runs, one after another: between blank lines, comments left out."""
    code = "\n".join(line for line in text.splitlines() if not line.strip().startswith("//"))
    return [block.strip() for block in re.split(r"\n\s*\n", code) if block.strip()]


async def test_the_file_for_supercollider_runs_block_by_block(stage: OscStage, tmp_path: Path):
    blocks = blocks_of((EXAMPLES / "rig.scd").read_text().replace('"127.0.0.1", 9000', f'"127.0.0.1", {stage.port}'))
    assert len(blocks) >= 6
    quoted = ['"' + block.replace("\\", "\\\\").replace('"', '\\"') + '"' for block in blocks]
    played = tmp_path / "played.scd"
    played.write_text(
        "Routine { [" + ", ".join(quoted) + "].do { |code| code.interpret; 0.3.wait };\n"
        '4.wait; "all blocks have run".postln; }.play(SystemClock);\n'
    )
    strengths: set[float | str] = set()
    async with running("sclang", "-D", str(played), **WITHOUT_A_SCREEN) as supercollider:

        def has_all_run() -> bool:
            strengths.add(stage.values["strength"])
            return "all blocks have run" in supercollider.text

        await stage.wait_until(has_all_run)
    heard = supercollider.text
    assert strengths == {1.0, 0.5, 0.0}  # the bundles on the beat move it to and fro
    assert re.search(r"\[ /deepmusic/sessions.reply, stream-\w+, passthrough, strings", heard)
    for answer in ("/notify, 60", "/deepmusic/style, 1", "/deepmusic/style_weights, 1"):
        assert f"[ /done, {answer} ]" in heard
    assert re.search(r"\[ /deepmusic/changed, stream-\w+, style, brass 30% \+ strings 70% \]", heard)
    assert "ERROR" not in heard
    assert (stage.values["panic"], stage.values["style"]) == (0.0, "brass 30% + strings 70%")


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_oscsend_moves_a_fader(stage: OscStage, transport: str):
    url = f"osc.{transport}://127.0.0.1:{stage.port}/"
    async with running("oscsend", url, "/deepmusic/strength", "ff", "0.25", "100") as oscsend:
        await stage.wait_until(lambda: stage.values["strength"] == 0.25)
        await oscsend.process.wait()
    async with running("oscsend", url, "/deepmusic/style", "s", "brass"):
        await stage.wait_until(lambda: stage.values["style"] == "brass")


async def test_oscdump_shows_what_a_subscriber_hears(stage: OscStage):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as subscriber:  # oscdump itself only listens
        subscriber.bind(("127.0.0.1", 0))
        port = subscriber.getsockname()[1]
        subscriber.sendto(build_msg("/notify", 1).dgram, ("127.0.0.1", int(stage.port)))  # type: ignore[arg-type]
        await asyncio.to_thread(subscriber.recv, 4096)
    async with running("oscdump", "-L", str(port)) as oscdump:
        shown = re.compile(r'/deepmusic/changed ssf "stream-\w+" "mix" 0\.\d+')
        async with asyncio.timeout(PATIENCE_S):
            for n in itertools.count(1):  # what is told before it listens is lost: it is UDP
                async with running(
                    "oscsend", "127.0.0.1", stage.port, "/deepmusic/mix", "f", f"{n / 1000:.3f}"
                ) as said:
                    await said.process.wait()
                if shown.search(oscdump.text):
                    break


async def test_a_file_goes_through_in_datagrams(stage: OscStage, tmp_path: Path):
    content, out = tmp_path / "content.wav", tmp_path / "out.wav"
    recording = noise(24000).T
    as_live_as_a_busy_machine_allows(stage.server._sessions)
    soundfile.write(content, recording, 48000, subtype="FLOAT")
    command = (sys.executable, str(EXAMPLES / "audio.py"), "brass", str(content), str(out), stage.facts.osc)
    async with running(*command) as example:
        await stage.wait_until(lambda: example.process.returncode is not None)
    assert example.process.returncode == 0, example.text
    assert example.text.startswith("file closed 24000")
    np.testing.assert_allclose(soundfile.read(out, dtype="float32")[0], recording, atol=1e-5)
    async with running(*(word if word != "brass" else "nobody" for word in command)) as example:
        await stage.wait_until(lambda: example.process.returncode is not None)
    assert (example.process.returncode, "no style is named" in example.text) == (1, True)
