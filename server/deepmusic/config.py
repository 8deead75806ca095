"""The server's configuration: defaults, then a TOML file, then the command line.

A file has these keys at its top level and no others::

    grpc = "127.0.0.1:50051"
    bundle = "live"
    device = "auto"
"""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Self, cast

from deepmusic.errors import BadConfig
from deepmusic.stage.toml_text import decoded, parsed

Device = Literal["auto", "cpu", "cuda"]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

DEVICES: Final[tuple[Device, ...]] = ("auto", "cpu", "cuda")
MAX_CONFIG_BYTES: Final = 64 * 1024
HIGHEST_PORT: Final = 65535

DEFAULT_ADDRESSES: Final = {"grpc": "127.0.0.1:50051", "http": "127.0.0.1:8080", "osc": "127.0.0.1:9000"}
"""Where each service listens unless it is told otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where to listen."""

    host: str
    """A name or an IP address; IPv6 without brackets."""
    port: int
    """0 to 65535; 0 takes a free one."""

    @classmethod
    def parse(cls, text: str, *, field: str) -> Self:
        """The address of "HOST:PORT"; IPv6 hosts stand in brackets.

        Raises:
            BadConfig: It is none.
        """
        host, _, port = text.rpartition(":")
        is_number = port.isascii() and port.isdecimal() and len(port) <= len(str(HIGHEST_PORT))
        bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        if not bare or not is_number or int(port) > HIGHEST_PORT or (":" in bare and bare == host):
            example = DEFAULT_ADDRESSES.get(field, DEFAULT_ADDRESSES["grpc"])
            raise BadConfig(f"expected HOST:PORT for {field}, got {text[:80]!r}; for example {example}", field=field)
        return cls(host=bare, port=int(port))

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """What a server is told at its start.

    Raises:
        BadConfig: A value is out of its range.
    """

    grpc: str = DEFAULT_ADDRESSES["grpc"]
    """Address of the gRPC services, HOST:PORT."""
    http: str = DEFAULT_ADDRESSES["http"]
    """Address of HTTP, which serves OSCQuery, HOST:PORT; empty serves none."""
    osc: str = DEFAULT_ADDRESSES["osc"]
    """Address of OSC over UDP and TCP, HOST:PORT; empty serves none."""
    bundle: str = "live"
    """Bundle of streams that name none."""
    device: Device = "auto"
    """Where models run."""
    threads: int = 1
    """Threads that run model steps, 1 to 64; a core each."""
    max_streams: int = 64
    """Streams at a time, 1 to 4096."""
    idle_limit_s: float = 60.0
    """Seconds without a message after which a stream ends, 0.1 to 86400."""
    grace_s: float = 5.0
    """Seconds that open streams get to finish when the server stops, 0 to 600."""
    bundles: str = ""
    """Folder of further bundles; empty for the user's own."""
    styles: str = ""
    """Folder of the styles; empty for the user's own."""
    reflection: bool = False
    """Whether tools such as grpcurl may ask for the services."""
    osc_networks: tuple[str, ...] = ()
    """Networks that may send OSC beside this machine, such as 192.168.1.0/24."""
    announce: bool = False
    """Whether to tell the local network where OSC and OSCQuery are (mDNS)."""
    set_list: str = ""
    """TOML file with the cues of an evening; empty for none."""
    midi: str = ""
    """A part of the name of a MIDI port with a clock or a foot switch; empty for none."""
    record: str = ""
    """Folder for a receipt and the dry input of every stream; empty records none."""
    record_gb: float = 8.0
    """What the recordings in it may take together, 10**9 bytes, 0.001 to 100000."""
    tls_certificate: str = ""
    """PEM file with the certificate chain; empty for plain text."""
    tls_key: str = ""
    """PEM file with the certificate's key."""

    def __post_init__(self) -> None:
        for name in ("grpc", "http", "osc"):
            if name == "grpc" or getattr(self, name):
                Address.parse(getattr(self, name), field=name)
        for text in self.osc_networks:
            _network(text)
        if self.device not in DEVICES:
            raise BadConfig(f"expected device auto, cpu or cuda, got {self.device[:40]!r}", field="device")
        for name, lowest, highest in (
            ("threads", 1, 64),
            ("max_streams", 1, 4096),
            ("idle_limit_s", 0.1, 86400.0),
            ("grace_s", 0.0, 600.0),
            ("record_gb", 0.001, 100000.0),
        ):
            if not lowest <= getattr(self, name) <= highest:
                raise BadConfig(
                    f"expected {name} between {lowest:g} and {highest:g}, got {getattr(self, name):g}", field=name
                )
        if bool(self.tls_certificate) != bool(self.tls_key):
            raise BadConfig(
                "expected tls_certificate and tls_key together, got one of them; give both or none",
                field="tls_key" if self.tls_certificate else "tls_certificate",
            )

    @property
    def grpc_address(self) -> Address:
        """Where the gRPC services listen."""
        return Address.parse(self.grpc, field="grpc")

    @property
    def osc_address(self) -> Address | None:
        """Where OSC is heard; ``None`` for nowhere."""
        return Address.parse(self.osc, field="osc") if self.osc else None

    @property
    def http_address(self) -> Address | None:
        """Where HTTP is served; ``None`` for nowhere."""
        return Address.parse(self.http, field="http") if self.http else None

    @property
    def osc_allowed(self) -> tuple[Network, ...]:
        """Networks that may send OSC beside this machine."""
        return tuple(_network(text) for text in self.osc_networks)

    def changed(self, values: Mapping[str, Any]) -> Self:
        """With other values for some fields.

        Raises:
            BadConfig: A key is unknown, or a value of the wrong type or out of its range.
        """
        fields: dict[str, object] = {f.name: getattr(type(self)(), f.name) for f in dataclasses.fields(self)}
        taken: dict[str, Any] = {}
        for key, value in values.items():
            if key not in fields:
                raise BadConfig(f"unknown key {key[:40]!r} in the configuration; valid keys: {', '.join(fields)}")
            taken[key] = _taken(key, value, type(fields[key]))
        return dataclasses.replace(self, **taken)


_TYPE_NAMES: Final[dict[type, str]] = {
    str: "string",
    int: "whole number",
    float: "number",
    bool: "true or false",
    tuple: "list of strings",
}


def _taken(key: str, value: object, wanted: type) -> object:
    """The value as the field holds it, where it has the right type."""
    given = type(value)
    if given is wanted is not tuple or (wanted is float and given is int):
        return value
    if wanted is tuple and isinstance(value, list | tuple):
        items = tuple(cast("Sequence[object]", value))
        if all(isinstance(item, str) for item in items):
            return items
    raise BadConfig(f"expected {key} to be a {_TYPE_NAMES[wanted]}, got a {given.__name__}", field=key)


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        raise BadConfig(
            f"expected a network such as 192.168.1.0/24 in osc_networks, got {text[:50]!r}; "
            "what lies behind the slash's bits is 0",
            field="osc_networks",
        ) from None


def read_config(path: Path) -> ServerConfig:
    """The configuration of a TOML file.

    Raises:
        BadConfig: It cannot be read, is no TOML, or has unknown keys or wrong values.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise BadConfig(f"expected a configuration file at {path}, could not read one; mend --config") from error
    if len(text) > MAX_CONFIG_BYTES:
        raise BadConfig(f"expected {path} to have at most {MAX_CONFIG_BYTES} bytes, got more; is it the right file?")
    try:
        values = parsed(decoded(text), what="TOML", example='device = "cpu"')
    except BadConfig as error:
        raise BadConfig(f"{path}: {error.message}") from error
    return ServerConfig().changed(values)
