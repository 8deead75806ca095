"""A MIDI port: the one place where python-rtmidi is called.

Messages wait in rtmidi's own queue until the loop takes them. Its callback would be Python on a thread of the driver's,
which JACK cancels when a port is closed: one that waits for the interpreter's lock just then takes the lock along, and
the process stands still for good.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import os
import time
from typing import Any

from deepmusic.errors import BadConfig, install_extra
from deepmusic.stage.performer import Performer
from deepmusic.stage.set_list import MidiMap
from deepmusic.transports.midi.driver_time import DriverTime
from deepmusic.transports.midi.pedalboard import Pedalboard

_log = logging.getLogger(__name__)

MAX_WAITING_MESSAGES = 1024
"""Messages that wait for the loop: a second of what a cable carries. One more is dropped."""

TAKE_S = 0.004
"""Between two looks whether messages wait. When each one came the driver says, so a clock is followed no worse."""

LOOK_S = 1.0
"""Between two looks whether the port is still there, or there again."""


class MidiInput:
    """Listens to one port, and finds it again when it was gone. All methods are [loop], its making too.

    Args:
        performer: Has the beat and the set.
        switches: Which controller does what.
    """

    def __init__(self, performer: Performer, switches: MidiMap) -> None:
        self._pedalboard = Pedalboard(performer, switches, time.monotonic)
        self._driver_time = DriverTime()
        self._port: Any = None
        self._is_stopping = asyncio.Event()
        self._running: tuple[asyncio.Task[None], ...] = ()

    async def start(self, name: str) -> str:
        """Listens.

        Args:
            name: A part of the port's name, in any case.

        Returns:
            The port's name.

        Raises:
            BadConfig: No port is named so, or python-rtmidi is not installed.
        """
        self._port, found = await asyncio.to_thread(_open, name)
        playing = asyncio.create_task(self._pedalboard.run(), name="deepmusic-midi")
        taking = asyncio.create_task(self._take(), name="deepmusic-midi-take")
        watching = asyncio.create_task(self._watch(name, found), name="deepmusic-midi-watch")
        self._running = (playing, taking, watching)
        return found

    async def stop(self) -> None:
        """Ends it; what waits is dropped."""
        self._is_stopping.set()
        if self._running:
            *others, watching = self._running
            await asyncio.gather(watching, return_exceptions=True)  # by itself: a port that it just opens is closed too
            await self._let_go()
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

    async def _watch(self, name: str, found: str) -> None:
        """Lets a port go that has vanished, and opens the next one of the name."""
        while not self._is_stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._is_stopping.wait(), LOOK_S)
            if self._port is None:
                with contextlib.suppress(BadConfig):
                    self._driver_time = DriverTime()
                    self._port, found = await asyncio.to_thread(_open, name)
                    _log.warning("the MIDI port %s is there again", found)
            elif not await asyncio.to_thread(_is_there, self._port, found):
                _log.warning("the MIDI port %s has gone; it is taken again when it comes back", found)
                await self._let_go()
                self._pedalboard.let_go()

    async def _let_go(self) -> None:
        if self._port is not None:
            port, self._port = self._port, None
            await asyncio.to_thread(_close, port)

    async def _take(self) -> None:
        """Takes what waits, over and over."""
        while True:
            await asyncio.sleep(TAKE_S)
            heard_s = time.monotonic()
            while self._port is not None and (message := self._port.get_message()) is not None:
                data, since_last_s = message
                try:
                    self._pedalboard.take(bytes(data), self._driver_time.at(since_last_s, heard_s))
                except Exception:
                    _log.exception("a MIDI message failed; the next one is heard all the same")


def _open(name: str) -> tuple[Any, str]:
    try:
        rtmidi: Any = importlib.import_module("rtmidi")
    except ImportError as error:
        raise BadConfig(
            f"expected python-rtmidi for --midi, it is not installed; {install_extra('midi')}", field="midi"
        ) from error
    os.environ.setdefault("JACK_NO_START_SERVER", "1")  # one that is not there is not to be started for a look
    there: list[str] = []
    for api in rtmidi.get_compiled_api():
        try:
            port = rtmidi.MidiIn(api, name="deepmusic", queue_size_limit=MAX_WAITING_MESSAGES)
        except rtmidi.SystemError:  # no ALSA sequencer, or no JACK server: the next one may be there
            continue
        try:
            names: list[str] = port.get_ports()
            there += names
            for index, found in enumerate(names):
                if name.lower() in found.lower():
                    port.ignore_types(sysex=True, timing=False, active_sense=True)
                    port.open_port(index, "in")
                    return port, found
        except Exception as error:  # a cable that has just come loose; rtmidi has no common class of errors
            port.delete()
            raise BadConfig(
                f"expected a MIDI port with {name[:64]!r} in its name to open, it does not; is it plugged in?",
                field="midi",
            ) from error
        port.delete()
    listed = ", ".join(there)[:400] or "none"
    raise BadConfig(
        f"expected a MIDI port with {name[:64]!r} in its name, there are: {listed}; mend --midi", field="midi"
    )


def _is_there(port: Any, name: str) -> bool:
    try:
        return name in port.get_ports()
    except Exception:  # rtmidi has no common class of errors; whatever it is, nothing comes from there
        return False


def _close(port: Any) -> None:
    port.close_port()
    port.delete()
