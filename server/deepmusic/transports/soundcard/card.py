"""The sound card as the live process sees it: blocks come, answers are played, and what vanishes is waited for."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Protocol, cast

from deepmusic import errors
from deepmusic.audio import Audio
from deepmusic.errors import DeepmusicError, DeviceUnavailable
from deepmusic.transports.soundcard.cycle import CYCLE_BYTES, Cycle
from deepmusic.transports.soundcard.device import DeviceFacts, DeviceWish
from deepmusic.transports.soundcard.priority import ordinary_scheduling
from deepmusic.transports.soundcard.rings import Rings, Word, read_ring, write_ring

PROGRAM: Final = (sys.executable, "-m", "deepmusic.transports.soundcard.audio_process")

SILENCE_S = 2.0
"""A device that runs no cycle for so long has vanished: JACK's own limit for a client is half a second."""

OPEN_S = 20.0
"""Longest time to open a device, or to begin to run it; a slow machine loads its libraries for seconds."""

RETRY_S = 0.5
"""Between two looks for a device that has vanished."""

WATCH_S = 0.25
"""Between two looks at whether it still runs."""

END_S = 2.0
"""How long the audio process may take to give its device back."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class CardTerms:
    """What the stream says to a device that has been opened."""

    latency_samples: int
    """From an input to its place in the output stream."""
    cushion_samples: int
    """By how much later the output is played, at least a cycle."""


class CardListener(Protocol):
    """Who the sound card speaks to. All methods are [card], one after another."""

    def opened(self, facts: DeviceFacts) -> CardTerms:
        """A device is open and begins once this returns."""
        ...

    def take(self, block: Audio, cycle: Cycle) -> None:
        """A block came in; must return within a cycle, or the next ones wait."""
        ...

    def gone(self, error: DeepmusicError) -> None:
        """The device has vanished, or could not be opened again; it is looked for until it is there."""
        ...


class SoundCard:
    """One device, from ``start`` to ``stop``, however often it vanishes in between.

    Args:
        wish: Which device.
        listener: Hears of it.
    """

    def __init__(self, wish: DeviceWish, listener: CardListener) -> None:
        self._wish = wish
        self._listener = listener
        self._rings = Rings.create()
        self._position = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._patience_ends_s = 0.0
        self._is_stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, name="deepmusic-card", daemon=True),
            threading.Thread(target=self._watch, name="deepmusic-card-watch", daemon=True),
        ]

    def start(self) -> None:
        """[any] Opens the device, and runs.

        Raises:
            DeepmusicError: It cannot be opened; nothing runs then.
        """
        work, watch = self._threads
        watch.start()
        try:
            self._open()
        except DeepmusicError:
            self.stop()
            raise
        work.start()

    def stop(self) -> None:
        """[any but card] Gives the device back."""
        self._is_stopping.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()
        self._close()
        self._rings.remove()

    def play(self, block: Audio, first_sample: int) -> None:
        """[one thread] Output of the stream from a position on; what is in time is heard."""
        write_ring(self._rings.output, block, first_sample)
        self._rings[Word.WRITTEN_TO] = max(self._rings[Word.WRITTEN_TO], first_sample + block.shape[1])

    @property
    def device_latencies(self) -> tuple[int, int]:
        """[any] What the device says of itself: samples from microphone to us, and from us to loudspeaker."""
        return self._rings[Word.DEVICE_INPUT], self._rings[Word.DEVICE_OUTPUT]

    def _open(self) -> None:
        """Opens the device and lets it run."""
        command = [*PROGRAM, json.dumps(asdict(self._wish)), str(self._rings.path)]
        talks = bool(os.environ.get("DEEPMUSIC_TRACEBACK"))  # libraries talk much, and none of it is ours
        self._patience_ends_s = time.monotonic() + OPEN_S
        with ordinary_scheduling():  # a process that loads is no work for the front row
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=None if talks else subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the live process, which ends this one in good order
            )
        self._process = process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            facts = _read_facts(process.stdout.readline())
            terms = self._listener.opened(facts)
            self._wish = replace(self._wish, input=facts.input, output=facts.output)
        except DeepmusicError:
            self._close()
            raise
        rings = self._rings
        rings.clear()
        rings[Word.START] = rings[Word.WRITTEN_TO] = self._position
        rings[Word.LATENCY], rings[Word.CUSHION] = terms.latency_samples, terms.cushion_samples
        rings[Word.XRUNS] = rings[Word.DEVICE_INPUT] = rings[Word.DEVICE_OUTPUT] = 0
        self._n_channels = facts.n_channels
        self._patience_ends_s = time.monotonic() + OPEN_S
        with contextlib.suppress(OSError, ValueError):  # it has ended already: no record will come, and that says it
            process.stdin.write(b"go\n")
            process.stdin.flush()

    def _work(self) -> None:
        while True:
            try:
                for cycle in self._cycles():
                    self._position = cycle.first_sample + cycle.n_samples
                    block = read_ring(self._rings.input, self._n_channels, cycle.first_sample, cycle.n_samples)
                    self._listener.take(block, cycle)
                    if cycle.n_samples > self._rings[Word.CUSHION]:
                        break  # the device's cycles have become longer than the cushion: begin anew with another
                if self._is_stopping.is_set():
                    return
                self._close()
                self._listener.gone(DeviceUnavailable("the device has vanished"))
                self._find_again()
            except Exception:
                _log.exception("the sound card's thread failed; it begins anew")
                self._close()
                self._is_stopping.wait(RETRY_S)
            if self._is_stopping.is_set():
                return

    def _find_again(self) -> None:
        while not self._is_stopping.is_set():
            try:
                self._open()
            except DeepmusicError as error:
                self._listener.gone(error)
                self._is_stopping.wait(RETRY_S)
            else:
                return

    def _cycles(self) -> Iterator[Cycle]:
        """Records of the audio process until it ends or is to end."""
        if self._process is None:
            return
        assert self._process.stdout is not None
        pipe, rest = self._process.stdout.fileno(), b""
        while not self._is_stopping.is_set() and (data := os.read(pipe, 64 * CYCLE_BYTES)):
            self._patience_ends_s = time.monotonic() + SILENCE_S
            data = rest + data
            whole = len(data) // CYCLE_BYTES * CYCLE_BYTES
            rest = data[whole:]
            for start in range(0, whole, CYCLE_BYTES):
                yield Cycle.unpack(data[start : start + CYCLE_BYTES])

    def _watch(self) -> None:
        """Ends an audio process whose device stands still, and at the end the one that runs: then its pipe ends too."""
        while not self._is_stopping.wait(WATCH_S):
            process = self._process
            if process is not None and time.monotonic() > self._patience_ends_s:
                process.kill()
        if (process := self._process) is not None:
            _end(process)

    def _close(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        _end(process)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    """Asks an audio process to give its device back, and kills one that does not."""
    assert process.stdin is not None
    with contextlib.suppress(OSError):
        process.stdin.close()
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()


def _read_facts(line: bytes) -> DeviceFacts:
    try:
        answer: Any = json.loads(line)
    except ValueError:
        raise DeviceUnavailable(
            "expected a device to open, its library crashed; set DEEPMUSIC_TRACEBACK=1 to see it"
        ) from None
    if "error" in answer:
        kind = getattr(errors, str(answer["error"]), DeviceUnavailable)
        raise cast("type[DeepmusicError]", kind)(str(answer["message"]))
    return DeviceFacts(**answer)
