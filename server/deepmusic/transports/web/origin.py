"""Which requests are meant for this server: a page of somebody else, open in the musician's browser, sends none.

A browser says in ``Origin`` whose page asks; other programs say nothing. And a page whose own name was made to point at
this machine asks under that name: so ``Host`` has to be an address, or a name that no stranger can own.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from aiohttp import web

LOCAL_SUFFIXES = (".local", ".lan", ".internal", ".home.arpa")
"""Ends of names that nobody can own on the internet: mDNS, routers, RFC 8375. Nor is one label alone a name of it."""


def is_ours(request: web.Request) -> bool:
    """Whether a request comes from a page of this server, or from no page."""
    origin = request.headers.get("Origin")
    return is_own_name(request.host) and (origin is None or urlsplit(origin).netloc == request.host)


def is_own_name(host: str) -> bool:
    """Whether a Host header names an address, this machine, or a machine of the local network."""
    name = (urlsplit(f"//{host}").hostname or "").removesuffix(".")
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return "." not in name or name.endswith(LOCAL_SUFFIXES)
    return True
