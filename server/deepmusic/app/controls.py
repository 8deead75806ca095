"""What plays on the streams from beside them: OSC, what describes it, MIDI, and the set that these step through."""

from __future__ import annotations

import asyncio
import socket
import time
from dataclasses import dataclass

from deepmusic.app.listening import listen
from deepmusic.config import Address, ServerConfig
from deepmusic.stage.performer import Performer
from deepmusic.stage.set_list import SetList
from deepmusic.transports.midi.port import MidiInput
from deepmusic.transports.osc.endpoint import OscServer
from deepmusic.transports.osc.ports import SessionDirectory, SessionOpener, StyleList
from deepmusic.transports.web.announcement import OSC, OSCQUERY, Announcement, Service
from deepmusic.transports.web.server import HttpServer

DEFAULT_OSC, DEFAULT_HTTP = ServerConfig().osc, ServerConfig().http
"""Addresses that nobody has asked for by name."""

_ANYWHERE = ("0.0.0.0", "::")  # noqa: S104 (compared, not bound)


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlAddresses:
    """Where they listen."""

    osc: str
    """Address of OSC with the real port; empty where it is not served."""
    http: str
    """Address of HTTP with the real port; empty where it is not served."""


class Controls:
    """Everything that plays on streams, as a server or a rig has it. All methods are [loop], its making too.

    Args:
        sessions: The streams that run.
        styles: The styles that they can change to.
        cues: The set.
        config: Where to listen, and whom to hear.
        opener: Opens sessions for audio over OSC; ``None`` where none is served.
    """

    def __init__(
        self,
        sessions: SessionDirectory,
        styles: StyleList,
        cues: SetList,
        config: ServerConfig,
        *,
        opener: SessionOpener | None = None,
    ) -> None:
        self._styles, self._cues, self._config = styles, cues, config
        self._performer = performer = Performer(sessions, cues, time.monotonic())
        self._osc = OscServer(sessions, styles, opener=opener, networks=config.osc_allowed, performer=performer)
        self._http = HttpServer(self._osc.query)
        self._midi = MidiInput(performer, cues.midi)
        self._announcement: Announcement | None = None

    def place(self) -> str:
        """Where the set is, for people; empty where there is none."""
        cues, bpm = self._performer.cues, self._performer.metronome.tempo.bpm
        if not len(cues):
            return ""
        name = cues.current.name if cues.current is not None else "before the first"
        return f"{cues.number} of {len(cues)}: {name}; {bpm:.1f} beats per minute"

    async def start(self, notes: list[str]) -> ControlAddresses:
        """Listens.

        Args:
            notes: Gets a line for what a person should know.

        Raises:
            PortInUse: Somebody listens already at an address that was asked for by name.
            BadConfig: There is no such MIDI port.
        """
        if missing := await self._missing_styles():
            names = ", ".join(missing)
            notes.append(f"the set names styles that are not in the library: {names}; deepmusic styles add NAME FILE")
        osc = await self._start_osc(notes)
        http = await self._start_http(notes) if osc else ""
        await self._announce(osc, http)
        if self._config.midi:
            notes.append(f"listening to the MIDI port {await self._midi.start(self._config.midi)}")
        return ControlAddresses(osc=osc, http=http)

    async def stop(self) -> None:
        """Listens no more."""
        if self._announcement is not None:
            await self._announcement.stop()
        await self._http.stop()
        await self._midi.stop()
        await self._osc.stop()

    async def _missing_styles(self) -> list[str]:
        if not self._cues.style_names:
            return []
        known = {style.name for style in await asyncio.to_thread(self._styles.listings)}
        return [name for name in self._cues.style_names if name not in known]

    async def _start_osc(self, notes: list[str]) -> str:
        """Listens for OSC; the address, empty where there is none."""
        address = self._config.osc_address
        if address is None:
            return ""
        is_asked_for = self._config.osc != DEFAULT_OSC
        served = await listen(self._osc.start, address, is_asked_for=is_asked_for, what="OSC", notes=notes)
        if served and not address.is_loopback:
            heard = ", ".join(self._config.osc_networks) or "no network; see --osc-network"
            notes.append(f"OSC at {address} is heard from this machine and from {heard}, without a password")
        return served

    async def _start_http(self, notes: list[str]) -> str:
        """Serves HTTP beside OSC; the address, empty where there is none."""
        address, osc = self._config.http_address, self._config.osc_address
        if address is None or osc is None:
            return ""
        if osc.host not in (address.host, *_ANYWHERE):
            self._osc.query.osc_ip = osc.host
        is_asked_for = self._config.http != DEFAULT_HTTP
        served = await listen(self._http.start, address, is_asked_for=is_asked_for, what="OSCQuery", notes=notes)
        if served and not address.is_loopback:
            notes.append(f"HTTP at {address} answers those whom OSC hears (--osc-network), without encryption")
        return served

    async def _announce(self, osc: str, http: str) -> None:
        if not self._config.announce:
            return
        kinds = ((OSC, osc), (OSCQUERY, http))
        found = [(kind, Address.parse(text, field="announce")) for kind, text in kinds if text]
        port = found[0][1].port if found else 0
        self._announcement = Announcement(f"deepmusic {socket.gethostname()} {port}")
        await self._announcement.start([Service(kind=kind, host=at.host, port=at.port) for kind, at in found])
