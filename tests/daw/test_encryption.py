"""The plug-in and a server with TLS: whom it trusts, what it says where it does not, and what is heard."""

from __future__ import annotations

import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.daw.build import BUILD
from tests.daw.certificates import Root, self_signed
from tests.daw.stage import Stage, noise

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(300)]

SANITIZERS = ["", "_tsan", "_asan"]
"""The probe plain, and under what looks for races and for bad memory."""

LONGEST_S = 60.0
"""A probe that hangs fails; one that runs under a sanitizer on a busy machine does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What the probe says of a render of 24000 samples of noise."""

    link: str
    message: str
    n_wet_samples: int


def probe(server: str, root_certificate: Path | str = "", *, sanitizer: str = "") -> Heard:
    command = [BUILD / f"tests/probe{sanitizer}", server, "brass", str(root_certificate)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_S)
    assert done.returncode == 0, done.stderr
    said = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    return Heard(link=said["link"], message=said["message"], n_wet_samples=int(said["wet"]))


def check_dry(heard: Heard, link: str, *words: str) -> None:
    assert (heard.link, heard.n_wet_samples) == (link, 0), heard
    for word in words:
        assert word in heard.message


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Root:
    return Root.make(tmp_path_factory.mktemp("certificates") / "right")


@pytest.fixture(scope="module")
def wrong_root(tmp_path_factory: pytest.TempPathFactory) -> Root:
    return Root.make(tmp_path_factory.mktemp("certificates") / "wrong")


@pytest.mark.parametrize("sanitizer", SANITIZERS)
def test_with_the_right_root_it_plays_wet_and_with_a_wrong_one_it_says_whom_it_does_not_trust(
    stage: Stage, root: Root, wrong_root: Root, sanitizer: str
):
    with stage.serving(certificate=root.vouch()) as (address, _):
        right = probe(f"https://{address}", root.certificate, sanitizer=sanitizer)
        assert right.link == "streaming", right
        assert right.n_wet_samples > 0
        wrong = probe(f"https://{address}", wrong_root.certificate, sanitizer=sanitizer)
        check_dry(wrong, "untrusted", "127.0.0.1", "unable to get local issuer", "DEEPMUSIC_ROOT_CERTIFICATE")


def test_a_certificate_that_vouches_for_itself_is_trusted_once_it_is_named(stage: Stage, tmp_path: Path):
    own = self_signed(tmp_path)
    with stage.serving(certificate=own) as (address, _):
        assert probe(f"https://{address}", own.certificate).link == "streaming"
        check_dry(probe(f"https://{address}"), "untrusted", "self-signed certificate")


def test_the_system_s_roots_do_not_vouch_for_a_root_of_one_s_own(stage: Stage, root: Root):
    with stage.serving(certificate=root.vouch()) as (address, _):
        check_dry(probe(f"https://{address}"), "untrusted", "unable to get local issuer")


def test_a_name_is_checked_as_well_as_an_address(stage: Stage, root: Root):
    with stage.serving(certificate=root.vouch(names="DNS:localhost")) as (address, _):
        port = address.rpartition(":")[2]
        assert probe(f"https://localhost:{port}", root.certificate).link == "streaming"
        check_dry(probe(f"https://{address}", root.certificate), "untrusted", "IP address mismatch")
    with stage.serving(certificate=root.vouch(names="IP:127.0.0.1,DNS:studio.test")) as (address, _):
        port = address.rpartition(":")[2]
        assert probe(f"https://{address}", root.certificate).link == "streaming"
        check_dry(probe(f"https://localhost:{port}", root.certificate), "untrusted", "hostname mismatch")


def test_a_certificate_that_has_ended_is_not_trusted(stage: Stage, root: Root):
    with stage.serving(certificate=root.vouch(days=-1)) as (address, _):
        check_dry(probe(f"https://{address}", root.certificate), "untrusted", "certificate has expired")


def test_roots_that_cannot_be_read_are_told(stage: Stage, root: Root, tmp_path: Path):
    with stage.serving(certificate=root.vouch()) as (address, _):
        check_dry(probe(f"https://{address}", tmp_path / "none.pem"), "untrusted", "none.pem")
        (tmp_path / "text.pem").write_text("no certificate")
        check_dry(probe(f"https://{address}", tmp_path / "text.pem"), "untrusted", "text.pem")


@pytest.mark.parametrize("sanitizer", SANITIZERS)
def test_a_server_in_plain_text_is_told_from_one_that_encrypts_both_ways(
    stage: Stage, server: str, root: Root, sanitizer: str
):
    check_dry(probe(f"https://{server}", root.certificate, sanitizer=sanitizer), "plain text", "leave https:// out")
    assert probe(f"http://{server}", sanitizer=sanitizer).link == "streaming"
    with stage.serving(certificate=root.vouch()) as (address, _):
        check_dry(probe(address, sanitizer=sanitizer), "away", "if it has TLS, write https://")


def test_a_server_that_never_shakes_hands_is_away_after_two_seconds():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        check_dry(probe(f"https://127.0.0.1:{silent.getsockname()[1]}"), "away", "no TLS within 2 s")


def test_a_server_that_is_trusted_later_is_found_without_a_word(stage: Stage, root: Root, tmp_path: Path):
    trusted = tmp_path / "trusted.pem"
    with stage.serving(certificate=root.vouch()) as (address, _):
        plugin = stage.plugin(f"https://{address}", root_certificate=str(trusted))
        audio = noise(24000)
        np.testing.assert_array_equal(plugin.process(audio, 48000), audio)
        trusted.write_bytes(root.certificate.read_bytes())
        began = time.perf_counter()
        while np.abs(plugin.process(audio, 48000) - audio).max() < 0.01:
            assert time.perf_counter() - began < 10.0
        np.testing.assert_allclose(plugin.process(audio, 48000), stage.engine(audio, 48000), atol=1e-4)


def test_an_encrypted_server_that_dies_and_returns_is_heard_again(stage: Stage, root: Root):
    certificate = root.vouch()
    audio = noise(24000)
    with stage.serving(certificate=certificate) as (address, process):
        plugin = stage.plugin(f"https://{address}", root_certificate=str(root.certificate))
        wet = plugin.process(audio, 48000)
        np.testing.assert_allclose(wet, stage.engine(audio, 48000), atol=1e-4)
        process.kill()
        process.wait()
    np.testing.assert_array_equal(plugin.process(audio, 48000), audio)
    with stage.serving(address=address, certificate=certificate):
        began = time.perf_counter()
        while np.abs(plugin.process(audio, 48000) - wet).max() > 1e-4:
            assert time.perf_counter() - began < 10.0


def test_a_name_that_nobody_knows_is_a_server_that_is_away():
    check_dry(probe("nobody.invalid:50051"), "away", "no address")
