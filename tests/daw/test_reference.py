"""The plug-in's own HTTP/2 and messages against gRPC's own C++ client: both stream the same recording."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from deepmusic.audio import Audio
from deepmusic.v1.transfer_service_pb2 import StreamTransferResponse
from tests.daw.build import BUILD
from tests.daw.certificates import self_signed
from tests.daw.stage import Stage, noise

REFERENCE = BUILD / "tests/reference_client"
OURS = BUILD / "tests/transport_client"

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(300)]

HEAD = struct.Struct("<cI")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """What a client sent and received, and what it says of that."""

    sent: Sequence[bytes]
    received: Sequence[StreamTransferResponse]
    said: dict[str, str]

    @property
    def audio(self) -> Audio:
        """All styled blocks but the tail, one after another."""
        pcm = b"".join(answer.audio.pcm for answer in self.received if answer.HasField("audio"))
        return np.frombuffer(pcm, "<f4").reshape(-1, 2).T

    def of(self, member: str) -> list[StreamTransferResponse]:
        """The answers of one kind, without what no two streams have in common: names and times."""
        answers: list[StreamTransferResponse] = []
        for answer in self.received:
            if not answer.HasField(member):  # pyright: ignore[reportArgumentType]
                continue
            plain = StreamTransferResponse()
            plain.CopyFrom(answer)
            plain.audio.ClearField("timing") if member == "audio" else None
            if member == "ready":
                plain.ready.ClearField("session_id")
                plain.ready.config.ClearField("session_id")
            answers.append(plain)
        return answers


def exchange(
    client: Path, server: str, folder: Path, *, pace: str, block_samples: int, style: str = "brass", root: str = ""
) -> Exchange:
    output = folder / f"{client.name}.messages"
    command = [client, server, style, folder / "input.f32", output, str(block_samples), pace, *([root] if root else [])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode in (0, 1), done.stderr
    recorded, at = output.read_bytes(), 0
    sent: list[bytes] = []
    received: list[StreamTransferResponse] = []
    while at < len(recorded):
        direction, size = HEAD.unpack_from(recorded, at)
        at += HEAD.size + size
        message = recorded[at - size : at]
        if direction == b">":
            sent.append(message)
        else:
            received.append(StreamTransferResponse.FromString(message))
    said = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    return Exchange(sent=sent, received=received, said=said)


def both(server: str, folder: Path, n_samples: int, **how: object) -> tuple[Exchange, Exchange]:
    """The same recording through both clients: ours, and the reference's."""
    (folder / "input.f32").write_bytes(np.ascontiguousarray(noise(n_samples).T).tobytes())
    ours, reference = (exchange(client, server, folder, **how) for client in (OURS, REFERENCE))  # type: ignore[arg-type]
    return ours, reference


def check_alike(ours: Exchange, reference: Exchange) -> None:
    assert ours.said["status"] == reference.said["status"] == "0 "
    assert ours.sent == reference.sent
    for member in ("ready", "audio", "event", "summary"):
        assert ours.of(member) == reference.of(member), member
    np.testing.assert_array_equal(ours.audio, reference.audio)


@pytest.mark.parametrize("block_samples", [256, 480, 4096])
def test_both_send_the_same_messages_and_hear_the_same_samples(
    stage: Stage, server: str, tmp_path: Path, block_samples: int
):
    n_blocks = 48000 // block_samples
    ours, reference = both(server, tmp_path, n_blocks * block_samples, pace="fast", block_samples=block_samples)
    check_alike(ours, reference)
    assert len(ours.sent) == n_blocks + 3  # a config, a control, and the finish
    assert ours.audio.shape[1] >= n_blocks * block_samples
    assert np.abs(ours.audio).max() > 0.01


def test_both_do_with_tls_what_they_do_in_plain_text(stage: Stage, server: str, tmp_path: Path):
    own = self_signed(tmp_path)
    plain, _ = both(server, tmp_path, 24000, pace="fast", block_samples=480)
    with stage.serving(certificate=own) as (address, _):
        check_alike(
            *both(f"https://{address}", tmp_path, 24000, pace="fast", block_samples=480, root=str(own.certificate))
        )
        encrypted = exchange(
            OURS, f"https://{address}", tmp_path, pace="fast", block_samples=480, root=str(own.certificate)
        )
    np.testing.assert_array_equal(encrypted.audio, plain.audio)


def test_both_are_refused_with_the_same_words(server: str, tmp_path: Path):
    ours, reference = both(server, tmp_path, 4800, pace="fast", block_samples=480, style="none such")
    assert ours.said["status"] == reference.said["status"]
    assert ours.said["status"].startswith("5 ")
    assert not ours.received
    assert not reference.received


def test_both_hear_every_block_of_a_paced_stream(stage: Stage, tmp_path: Path):
    """Prints the round trips too (``pytest -s``); how long they are is the machine's, and no matter of a test."""
    with stage.serving(bundle="passthrough") as (address, _):
        ours, reference = both(address, tmp_path, 512 * 200, pace="live", block_samples=512)
    for one in (ours, reference):
        assert one.said["status"] == "0 "
        assert [answer.audio.sequence for answer in one.of("audio")][:200] == list(range(200))
    print()
    for quantile in ("median_us", "p90_us", "p99_us"):
        us = [float(one.said[quantile]) for one in (ours, reference)]
        print(f"{quantile}: ours {us[0]:.0f}, gRPC's {us[1]:.0f}, ratio {us[0] / us[1]:.2f}")
