"""A MIDI port: the one place where python-rtmidi is called, whose callback runs on a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import os
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from deepmusic.errors import BadConfig
from deepmusic.stage.performer import Performer
from deepmusic.stage.set_list import MidiMap
from deepmusic.transports.midi.driver_time import DriverTime
from deepmusic.transports.midi.pedalboard import Pedalboard

_log = logging.getLogger(__name__)

MAX_WAITING_MESSAGES = 1024
"""Messages that wait for the loop: a second of what a cable carries. One more is dropped."""


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
        self._loop = asyncio.get_running_loop()
        self._driver_time = DriverTime()
        self._waiting: deque[tuple[bytes, float]] = deque()  # bounded by MAX_WAITING_MESSAGES
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
        self._port, found = await asyncio.to_thread(_open, name, self._heard)
        playing = self._loop.create_task(self._pedalboard.run(), name="deepmusic-midi")
        watching = self._loop.create_task(self._watch(name, found), name="deepmusic-midi-watch")
        self._running = (playing, watching)
        return found

    async def stop(self) -> None:
        """Ends it; what waits is dropped."""
        self._is_stopping.set()
        if self._running:
            playing, watching = self._running
            await asyncio.gather(watching, return_exceptions=True)  # by itself: a port that it just opens is closed too
            await self._let_go()
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)

    async def _watch(self, name: str, found: str) -> None:
        """Lets a port go that has vanished, and opens the next one of the name."""
        while not self._is_stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._is_stopping.wait(), LOOK_S)
            if self._port is None:
                with contextlib.suppress(BadConfig):
                    self._driver_time = DriverTime()
                    self._port, found = await asyncio.to_thread(_open, name, self._heard)
                    _log.warning("the MIDI port %s is there again", found)
            elif not await asyncio.to_thread(_is_there, self._port, found):
                _log.warning("the MIDI port %s has gone; it is taken again when it comes back", found)
                await self._let_go()
                self._pedalboard.let_go()

    async def _let_go(self) -> None:
        if self._port is not None:
            port, self._port = self._port, None
            await asyncio.to_thread(_close, port)

    def _heard(self, message: tuple[list[int], float], _: object) -> None:
        """[rtmidi's thread] A message has come."""
        data, since_last_s = message
        at_s = self._driver_time.at(since_last_s, time.monotonic())
        if len(self._waiting) < MAX_WAITING_MESSAGES:
            self._waiting.append((bytes(data), at_s))
            with contextlib.suppress(RuntimeError):  # the loop is closed already
                self._loop.call_soon_threadsafe(self._take)

    def _take(self) -> None:
        while self._waiting:
            self._pedalboard.take(*self._waiting.popleft())


def _open(name: str, heard: Callable[[tuple[list[int], float], object], None]) -> tuple[Any, str]:
    try:
        rtmidi: Any = importlib.import_module("rtmidi")
    except ImportError as error:
        raise BadConfig(
            "expected python-rtmidi for --midi, it is not installed; pip install 'deepmusic[midi]'", field="midi"
        ) from error
    os.environ.setdefault("JACK_NO_START_SERVER", "1")  # one that is not there is not to be started for a look
    there: list[str] = []
    for api in rtmidi.get_compiled_api():
        try:
            port = rtmidi.MidiIn(api, name="deepmusic")
        except rtmidi.SystemError:  # no ALSA sequencer, or no JACK server: the next one may be there
            continue
        try:
            names: list[str] = port.get_ports()
            there += names
            for index, found in enumerate(names):
                if name.lower() in found.lower():
                    port.ignore_types(sysex=True, timing=False, active_sense=True)
                    port.set_callback(heard)
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
    port.cancel_callback()
    port.close_port()
    port.delete()
