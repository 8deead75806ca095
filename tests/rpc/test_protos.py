"""The contract itself: buf's standard rules, as far as descriptors show them, and stubs that are what protos/ say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "protos/deepmusic/v1").glob("*.proto"))


def described(folder: Path) -> descriptor_pb2.FileDescriptorSet:
    """All protos with their comments, as protoc understands them."""
    target = folder / "all.bin"
    subprocess.run(
        [
            *(sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={ROOT / 'protos'}"),
            *("--include_source_info", f"--descriptor_set_out={target}", *map(str, FILES)),
        ],
        check=True,
    )
    return descriptor_pb2.FileDescriptorSet.FromString(target.read_bytes())


@pytest.fixture(scope="module")
def descriptors(tmp_path_factory: pytest.TempPathFactory) -> descriptor_pb2.FileDescriptorSet:
    return described(tmp_path_factory.mktemp("protos"))


def test_every_file_is_in_its_package(descriptors: descriptor_pb2.FileDescriptorSet):
    assert {file.package for file in descriptors.file} == {"deepmusic.v1"}
    assert {file.syntax for file in descriptors.file} == {"proto3"}


def test_every_service_message_enum_field_and_value_has_a_comment(descriptors: descriptor_pb2.FileDescriptorSet):
    for file in descriptors.file:
        commented = {tuple(place.path) for place in file.source_code_info.location if place.leading_comments.strip()}
        wanted: list[tuple[int, ...]] = []
        for i, message in enumerate(file.message_type):
            wanted += [(4, i)] + [(4, i, 2, j) for j in range(len(message.field))]
        for i, enum in enumerate(file.enum_type):
            wanted += [(5, i)] + [(5, i, 2, j) for j in range(len(enum.value))]
        for i, service in enumerate(file.service):
            wanted += [(6, i)] + [(6, i, 2, j) for j in range(len(service.method))]
        assert set(wanted) <= commented, file.name


def test_names_follow_the_style_guide(descriptors: descriptor_pb2.FileDescriptorSet):
    for file in descriptors.file:
        for message in file.message_type:
            assert all(re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", field.name) for field in message.field)
        for enum in file.enum_type:
            prefix = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", enum.name).upper() + "_"
            assert enum.value[0].number == 0
            assert enum.value[0].name == prefix + "UNSPECIFIED"
            assert all(value.name.startswith(prefix) for value in enum.value)


def test_every_method_has_a_request_and_a_response_of_its_own(descriptors: descriptor_pb2.FileDescriptorSet):
    used: list[str] = []
    for file in descriptors.file:
        for service in file.service:
            assert service.name.endswith("Service")
            for method in service.method:
                assert method.input_type == f".deepmusic.v1.{method.name}Request"
                assert method.output_type == f".deepmusic.v1.{method.name}Response"
                used += [method.input_type, method.output_type]
    assert len(used) == len(set(used))


def test_the_committed_stubs_are_what_the_protos_say():
    checked = subprocess.run(
        [ROOT / "scripts/generate", "--check"],
        env={"PYTHON": sys.executable, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stderr
