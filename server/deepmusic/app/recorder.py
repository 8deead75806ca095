"""Records the streams of a server: a receipt and the dry input of each, in a folder."""

from __future__ import annotations

import logging
import platform
import re
import secrets
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import scipy

from deepmusic import __version__
from deepmusic.app.processor import Processor
from deepmusic.errors import BadConfig, DeepmusicError
from deepmusic.model.catalog import LoadedBundle
from deepmusic.model.runtime import runtime_version
from deepmusic.model.style_vector import StyleVector
from deepmusic.stage.receipt import Circumstances, Receipt
from deepmusic.stage.tape import ReceiptTape
from deepmusic.transports.file.recording import Allowance, Recording
from deepmusic.transports.wire.messages import StreamConfig

WRITE_S = 0.25
"""How often what waits is written: what a crash costs at most, and rarely enough to cost nothing."""

_NOTEWORTHY = ("avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm")

_log = logging.getLogger(__name__)


class Recorder:
    """Opens recordings and writes them, all on one thread of its own.

    Args:
        folder: Where they go; it is made.
        max_bytes: What they may take, with what lies there already.
        wall_clock: Seconds since 1970, for names.

    Raises:
        BadConfig: The folder cannot be made, or may not be written to.
    """

    def __init__(self, folder: Path, max_bytes: int, *, wall_clock: Callable[[], float] = time.time) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tried = folder / f".{secrets.token_hex(4)}.part"
            tried.mkdir()
            tried.rmdir()
            self._allowance = Allowance(folder, max_bytes)
        except OSError as error:
            raise BadConfig(
                f"expected a folder that may be written to, '{folder}' is none; mend --record", field="record"
            ) from error
        self._folder = folder
        self._wall_clock = wall_clock
        self._lock = threading.Lock()
        self._recordings: list[Recording] = []  # bounded by the sessions that run, and by what they left to write
        self._is_stopping = False
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._work, name="deepmusic-recorder", daemon=True)
        self._thread.start()

    def open(
        self,
        config: StreamConfig,
        loaded: LoadedBundle,
        style: StyleVector,
        *,
        latency_samples: int,
        step_samples: int,
    ) -> ReceiptTape | None:
        """[any] A tape for a stream that begins; ``None`` where it cannot be recorded, which costs it nothing else."""
        receipt = self._receipt(config, loaded, style, latency_samples)
        with self._lock:
            name = f"{receipt.started.replace(':', '')}-{_plain(config.session_id)}-{secrets.token_hex(2)}"
            try:
                recording = Recording(self._folder, name, receipt, self._allowance, self._woken.set)
            except DeepmusicError as error:
                _log.warning("a stream is not recorded: %s", error.message)
                return None
            self._recordings.append(recording)
        rate_hz = config.audio_format.sample_rate_hz
        return ReceiptTape(
            recording, sample_rate_hz=rate_hz, step_samples=step_samples, latency_samples=latency_samples
        )

    def write(self) -> None:
        """[any] Writes what waits; recordings that are over leave."""
        with self._lock:
            recordings = tuple(self._recordings)
        for recording in recordings:
            recording.drain()
        with self._lock:
            self._recordings = [recording for recording in self._recordings if not recording.is_over]

    def stop(self) -> None:
        """[any] Writes the rest and ends the thread; to be called once the sessions are over."""
        self._is_stopping = True
        self._woken.set()
        self._thread.join()
        self.write()

    def _work(self) -> None:
        while not self._is_stopping:
            self._woken.wait(WRITE_S)
            self._woken.clear()
            try:
                self.write()
            except Exception:
                _log.exception("recordings could not be written")

    def _receipt(self, config: StreamConfig, loaded: LoadedBundle, style: StyleVector, latency_samples: int) -> Receipt:
        started = datetime.fromtimestamp(self._wall_clock(), UTC)
        return Receipt(
            stream=config.session_id,
            started=started.strftime("%Y-%m-%dT%H:%M:%SZ"),
            version=__version__,
            sample_rate_hz=config.audio_format.sample_rate_hz,
            n_channels=config.audio_format.n_channels,
            latency_samples=latency_samples,
            bundle=loaded.bundle.manifest.name,
            circumstances=circumstances(loaded),
            noise_seed=config.noise_seed,
            deadline_samples=config.deadline_samples,
            settings=config.settings,
            style=style,
            statistics=config.statistics,
        )


def circumstances(loaded: LoadedBundle) -> Circumstances:
    """What the arithmetic of a bundle depends on, here and now."""
    return Circumstances(
        bundle_digest=loaded.bundle.digest,
        precision=loaded.transfer.precision,
        provider=loaded.transfer.provider,
        runtime=runtime_version(),
        numpy=np.__version__,
        scipy=scipy.__version__,
        threads=loaded.transfer.intra_op_threads,
        host=host_note(),
    )


def host_note() -> str:
    """The system, the processor and those of its instruction sets that arithmetic may depend on."""
    processor = Processor.of_this_host()
    found = " ".join(name for name in _NOTEWORTHY if name in processor.instruction_sets)
    return f"{platform.system()} {platform.machine()}, {processor.name}, {found or 'no known sets'}"


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)[:40]
