"""Says on the local network where this server is: mDNS, for tablets that look for OSC and OSCQuery.

The library that speaks mDNS comes with the extra ``mdns``: only who asks for it needs it.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from deepmusic.errors import BadConfig, install_extra

OSCQUERY, OSC = "_oscjson._tcp.local.", "_osc._udp.local."
"""Types of the services, by the OSCQuery proposal and by OSC 1.1."""

LONGEST_LABEL = 63


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service to announce."""

    kind: str
    """``OSCQUERY`` or ``OSC``."""
    host: str
    """Where it listens; all of this machine's addresses where it is a wildcard."""
    port: int
    """Its port."""


class Announcement:
    """Announces services while it runs. All methods are [loop].

    Args:
        name: What people see; nothing else on the network may have it.
    """

    def __init__(self, name: str) -> None:
        self._name = name.replace(".", " ")[:LONGEST_LABEL]
        self._zeroconf: Any = None

    async def start(self, services: Sequence[Service]) -> None:
        """Announces them.

        Raises:
            BadConfig: The library is not installed.
        """
        try:
            from zeroconf import IPVersion, ServiceInfo
            from zeroconf.asyncio import AsyncZeroconf
        except ImportError as error:
            raise BadConfig(
                f"expected the package zeroconf for --announce, found none; {install_extra('mdns')}", field="announce"
            ) from error
        hosts = {service.host for service in services}
        only_here = all(_is_loopback(host) for host in hosts)
        interfaces: Any = {"interfaces": ["127.0.0.1"]} if only_here else {}
        self._zeroconf = AsyncZeroconf(ip_version=IPVersion.V4Only, **interfaces)
        for service in services:
            info = ServiceInfo(
                service.kind,
                f"{self._name}.{service.kind}",
                port=service.port,
                parsed_addresses=_addresses(service.host),
                properties={"txtvers": "1"},
                server=f"{socket.gethostname().partition('.')[0][:LONGEST_LABEL]}.local.",
            )
            await (await self._zeroconf.async_register_service(info, allow_name_change=True))

    async def stop(self) -> None:
        """Takes the announcement back."""
        if self._zeroconf is not None:
            await self._zeroconf.async_unregister_all_services()
            await self._zeroconf.async_close()
            self._zeroconf = None


def _addresses(host: str) -> list[str]:
    """The addresses at which a host can be reached: of IPv4, or of IPv6 where it has no other."""
    if host not in ("0.0.0.0", "::", ""):  # noqa: S104 (compared, not bound)
        infos = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        of_ipv4 = {str(info[4][0]) for info in infos if info[0] == socket.AF_INET}
        return sorted(of_ipv4 or {str(info[4][0]) for info in infos})
    import ifaddr

    found = [str(ip.ip) for adapter in ifaddr.get_adapters() for ip in adapter.ips if ip.is_IPv4]
    return [address for address in found if not ipaddress.ip_address(address).is_loopback] or ["127.0.0.1"]


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
