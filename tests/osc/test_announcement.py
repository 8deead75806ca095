"""mDNS on loopback: a browser of the local network finds OSC and OSCQuery, until the server has gone."""

from __future__ import annotations

import sys

import pytest
from zeroconf import IPVersion
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from deepmusic.errors import BadConfig
from deepmusic.transports.web.announcement import OSC, OSCQUERY, Announcement, Service, _addresses

LONGEST_SEARCH_MS = 5000


async def found(browser: AsyncZeroconf, kind: str, name: str = "deepmusic stage 9000") -> AsyncServiceInfo | None:
    info = AsyncServiceInfo(kind, f"{name}.{kind}")
    return info if await info.async_request(browser.zeroconf, LONGEST_SEARCH_MS) else None


async def test_a_browser_finds_both_services_with_their_ports_until_they_have_gone():
    announcement = Announcement("deepmusic stage 9000")
    services = [Service(kind=OSC, host="127.0.0.1", port=9000), Service(kind=OSCQUERY, host="127.0.0.1", port=8080)]
    browser = AsyncZeroconf(interfaces=["127.0.0.1"], ip_version=IPVersion.V4Only)
    try:
        await announcement.start(services)
        for service in services:
            info = await found(browser, service.kind)
            assert info is not None
            assert (info.port, info.parsed_addresses()) == (service.port, ["127.0.0.1"])
    finally:
        await announcement.stop()
        await announcement.stop()  # nothing is left to take back
        await browser.async_close()


async def test_without_the_library_it_says_which_extra_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "zeroconf", None)
    with pytest.raises(BadConfig, match=r"pip install '\.\[mdns\]'"):
        await Announcement("deepmusic").start([Service(kind=OSC, host="127.0.0.1", port=9000)])


def test_a_wildcard_is_announced_by_the_addresses_behind_it():
    assert _addresses("127.0.0.1") == _addresses("localhost") == ["127.0.0.1"]
    everywhere = _addresses("0.0.0.0")
    assert everywhere
    assert "0.0.0.0" not in everywhere


async def test_a_server_at_an_address_of_ipv6_is_found_there():
    announcement = Announcement("deepmusic six 9000")
    browser = AsyncZeroconf(interfaces=["127.0.0.1"], ip_version=IPVersion.V4Only)
    try:
        await announcement.start([Service(kind=OSC, host="::1", port=9000)])
        info = await found(browser, OSC, "deepmusic six 9000")
        assert info is not None
        assert info.parsed_addresses() == ["::1"]
    finally:
        await announcement.stop()
        await browser.async_close()
