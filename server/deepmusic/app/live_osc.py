"""OSC beside the sound card: the same bridge as a server's, with one stream to drive."""

from __future__ import annotations

from deepmusic.app.listening import listen
from deepmusic.config import ServerConfig
from deepmusic.transports.osc.endpoint import OscServer
from deepmusic.transports.osc.ports import SessionDirectory, StyleList

DEFAULT_OSC = ServerConfig().osc
"""Address that nobody has asked for by name."""


class LiveOsc:
    """OSC of one rig. All methods are [loop], its making too.

    Args:
        sessions: The rig's stream.
        styles: The styles that it can change to.
        config: Where to listen, and whom to hear.
    """

    def __init__(self, sessions: SessionDirectory, styles: StyleList, config: ServerConfig) -> None:
        self._server = OscServer(sessions, styles, networks=config.osc_allowed)
        self._config = config
        self.notes: list[str] = []

    async def start(self) -> str:
        """Listens; the address, empty where OSC is off, or where the default port is another program's.

        Raises:
            PortInUse: An address that was asked for by name is taken.
        """
        address = self._config.osc_address
        if address is None:
            return ""
        is_asked_for = self._config.osc != DEFAULT_OSC
        return await listen(self._server.start, address, is_asked_for=is_asked_for, what="OSC", notes=self.notes)

    async def stop(self) -> None:
        """Listens no more."""
        await self._server.stop()
