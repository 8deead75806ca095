"""The configuration: what a file may say, and what it gets that says something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepmusic.config import MAX_CONFIG_BYTES, Address, ServerConfig, read_config
from deepmusic.errors import BadConfig


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "server.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_an_empty_file_is_the_defaults(tmp_path: Path):
    config = read_config(written(tmp_path, ""))
    assert config == ServerConfig()
    assert str(config.grpc_address) == "127.0.0.1:50051"
    assert config.grpc_address.is_loopback


def test_a_file_says_what_is_different(tmp_path: Path):
    config = read_config(written(tmp_path, 'device = "cpu"\nthreads = 2\ngrace_s = 1\nreflection = true\n'))
    assert config == ServerConfig(device="cpu", threads=2, grace_s=1, reflection=True)


def test_an_unknown_key_is_refused_and_the_valid_ones_are_named(tmp_path: Path):
    with pytest.raises(BadConfig, match=r"unknown key 'devise'.*valid keys: grpc, http, osc, bundle, device"):
        read_config(written(tmp_path, 'devise = "cpu"'))


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('device = "tpu"', "device"),
        ("device = 1", "device"),
        ('threads = "2"', "threads"),
        ("threads = 0", "threads"),
        ("threads = true", "threads"),
        ("threads = 1.5", "threads"),
        ("max_streams = 5000", "max_streams"),
        ("grace_s = -1", "grace_s"),
        ("idle_limit_s = nan", "idle_limit_s"),
        ('grpc = "50051"', "grpc"),
        ('grpc = "localhost:99999"', "grpc"),
        ('grpc = "::1:50051"', "grpc"),
        ('osc = ":9000"', "osc"),
        ('osc_networks = "192.168.1.0/24"', "osc_networks"),
        ("osc_networks = [1]", "osc_networks"),
        ('osc_networks = ["192.168.1.7/24"]', "osc_networks"),
        ('osc_networks = ["studio"]', "osc_networks"),
        ('tls_certificate = "a.pem"', "tls_key"),
        ('tls_key = "a.pem"', "tls_certificate"),
    ],
)
def test_a_wrong_value_names_its_key(tmp_path: Path, text: str, field: str):
    with pytest.raises(BadConfig) as refused:
        read_config(written(tmp_path, text))
    assert refused.value.field == field


def test_networks_are_a_list_and_osc_may_be_left_out(tmp_path: Path):
    config = read_config(written(tmp_path, 'osc = ""\nosc_networks = ["192.168.1.0/24", "fd00::/8"]\n'))
    assert config.osc_address is None
    assert [str(network) for network in config.osc_allowed] == ["192.168.1.0/24", "fd00::/8"]
    assert config.changed({"osc_networks": ["10.0.0.0/8"]}).osc_networks == ("10.0.0.0/8",)
    assert str(ServerConfig().osc_address) == "127.0.0.1:9000"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('threads = 2\ndevice = = "cpu"', "server.toml: expected TOML, got something else in line 2, column 10"),
        (b"threads = 2\n# M\xfcller", "server.toml: expected text in UTF-8, got something else in line 2"),
        ("threads = " + "[" * 20_000, "expected TOML, got something else; write"),
        ("grace_s = 1" + "0" * 400, "expected TOML, got something else; write"),
        ("#" * (MAX_CONFIG_BYTES + 1), "at most 65536 bytes"),
    ],
    ids=["typo", "latin", "brackets", "digits", "long"],
)
def test_a_file_that_is_no_toml_is_refused(tmp_path: Path, text: str | bytes, complaint: str):
    with pytest.raises(BadConfig) as refused:
        read_config(written(tmp_path, text))
    assert complaint in refused.value.message


def test_a_file_of_windows_editor_is_read_as_any_other(tmp_path: Path):
    assert read_config(written(tmp_path, b"\xef\xbb\xbfthreads = 2\r\n")).threads == 2


def test_a_file_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(BadConfig, match="--config"):
        read_config(tmp_path / "nothing.toml")


@pytest.mark.parametrize(
    ("text", "is_loopback"),
    [("127.0.0.1:1", True), ("localhost:1", True), ("[::1]:1", True), ("0.0.0.0:1", False), ("studio:1", False)],
)
def test_an_address_knows_who_can_reach_it_and_reads_back(text: str, is_loopback: bool):
    address = Address.parse(text, field="grpc")
    assert address.is_loopback is is_loopback
    assert str(address) == text


@pytest.mark.parametrize(("field", "port"), [("grpc", 50051), ("osc", 9000), ("http", 8080)])
def test_an_address_that_is_none_is_answered_with_one_of_its_service(field: str, port: int):
    with pytest.raises(BadConfig, match=f"for example 127.0.0.1:{port}$"):
        Address.parse("nowhere", field=field)
    assert getattr(ServerConfig(), field) == f"127.0.0.1:{port}"
