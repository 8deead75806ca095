"""The whole server: what it is made of, and the order in which it starts and stops.

::

    start   catalog and library -> scheduler -> sessions -> gRPC (answers, health NOT_SERVING) -> OSC -> HTTP
            -> default bundle loads -> health SERVING
    stop    HTTP, OSC -> gRPC takes nothing new, open streams get the grace -> sessions -> scheduler
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from pathlib import Path

from deepmusic.app.controls import Controls
from deepmusic.app.recorder import Recorder
from deepmusic.app.sessions import Sessions
from deepmusic.app.set_file import read_set
from deepmusic.app.shelves import Bundles, Styles
from deepmusic.config import ServerConfig
from deepmusic.errors import BadConfig, DeepmusicError, PortInUse
from deepmusic.model.catalog import BundleCatalog, LoadedBundle, user_bundle_folder
from deepmusic.model.scheduler import StepScheduler
from deepmusic.styles.library import StyleLibrary
from deepmusic.transports.rpc.server import MODELS, STYLES, TRANSFER, RpcServer, TlsFiles
from deepmusic.transports.rpc.terms import StreamLimits

CLOSE_TIMEOUT_S = 2.0
"""Longest wait for a session's thread at the end; a step takes milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """What a server turned out to be, for its ready line."""

    grpc: str
    """Address with the real port."""
    osc: str
    """Address of OSC with the real port; empty where it is not served."""
    http: str
    """Address of HTTP with the real port; empty where it is not served."""
    is_encrypted: bool
    """Whether it wants TLS."""
    bundle: str
    """Name of the default bundle."""
    provider: str
    """Execution provider that runs it; empty where it could not be loaded."""
    precision: str
    """Precision of its file in use."""
    notes: tuple[str, ...]
    """What a person should know: why the bundle is missing, why not the GPU, why not int8."""


class Server:
    """A deepmusic server in this process. All methods are [loop], its making too.

    Args:
        config: What it is told.

    Raises:
        BadConfig: A certificate or the set cannot be read.
    """

    def __init__(self, config: ServerConfig) -> None:
        self._config = config
        tls = _tls_files(
            config
        )  # before any thread starts: a certificate that cannot be read must leave nothing running
        cues = read_set(config.set_list)
        self._recorder = Recorder(Path(config.record), round(config.record_gb * 1e9)) if config.record else None
        folder = Path(config.bundles) if config.bundles else user_bundle_folder()
        self._catalog = BundleCatalog(folder, device=config.device)
        self._scheduler = StepScheduler(config.threads)
        self._bundles = Bundles(self._catalog, config.bundle)
        library = StyleLibrary(Path(config.styles) if config.styles else None)
        styles = Styles(library, lambda name: self._catalog.get(name or config.bundle))
        self._sessions = Sessions(
            self._catalog,
            self._scheduler,
            styles,
            default_bundle=config.bundle,
            max_sessions=config.max_streams,
            recorder=self._recorder,
        )
        self._rpc = RpcServer(
            self._sessions,
            self._bundles,
            styles,
            limits=StreamLimits(idle_s=config.idle_limit_s),
            tls=tls,
            with_reflection=config.reflection,
        )
        self._controls = Controls(self._sessions, styles, cues, config, opener=self._sessions)

    async def start(self) -> ServerFacts:
        """Listens, loads the default bundle, and says that it serves.

        A bundle that cannot be loaded is no reason not to start: streams that want it are told why.

        Raises:
            PortInUse: Somebody listens at the address already.
            BadConfig: There is no such MIDI port, or the key is not the certificate's.
        """
        address = self._config.grpc_address
        try:
            port = await self._rpc.start(str(address))
        except PortInUse:
            if self._config.tls_certificate:
                _check_pair(self._config)
            raise
        await self._rpc.serve({STYLES: True, MODELS: True})
        loaded: LoadedBundle | None = None
        notes: list[str] = []
        controls = await self._controls.start(notes)
        try:
            loaded = await asyncio.to_thread(self._bundles.load_default)
            await self._rpc.serve({TRANSFER: True, "": True})
            notes += [note for note in (loaded.transfer.device_note, loaded.transfer.precision_note) if note]
        except DeepmusicError as error:
            notes.append(f"bundle {self._config.bundle!r} cannot be used: {error.message}")
        if not address.is_loopback and not self._config.tls_certificate:
            notes.append(f"{address} can be reached from other machines, without encryption; see --tls-certificate")
        return ServerFacts(
            grpc=str(type(address)(host=address.host, port=port)),
            osc=controls.osc,
            http=controls.http,
            is_encrypted=bool(self._config.tls_certificate),
            bundle=self._config.bundle,
            provider=loaded.transfer.provider if loaded else "",
            precision=loaded.transfer.precision if loaded else "",
            notes=tuple(notes),
        )

    async def stop(self) -> None:
        """Lets open streams finish within the grace, then ends everything."""
        await self._controls.stop()
        await self._rpc.stop(self._config.grace_s)
        await asyncio.to_thread(self._sessions.close, CLOSE_TIMEOUT_S)
        await asyncio.to_thread(self._scheduler.stop)
        if self._recorder is not None:
            await asyncio.to_thread(self._recorder.stop)


def _tls_files(config: ServerConfig) -> TlsFiles | None:
    if not config.tls_certificate:
        return None
    return TlsFiles(
        certificate_chain=_read_pem(config.tls_certificate, field="tls_certificate"),
        private_key=_read_pem(config.tls_key, field="tls_key"),
    )


def _check_pair(config: ServerConfig) -> None:
    """Refuses a certificate with another's key: gRPC says no more of it than of an address that is taken."""
    try:
        # gRPC cannot ask for a password: an empty one is given, so that nobody is asked here.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(config.tls_certificate, config.tls_key, lambda: "")
    except (OSError, ValueError) as error:
        raise BadConfig(
            f"expected a certificate in {config.tls_certificate} and its key, without a password, in {config.tls_key}, "
            "got no such pair; mend tls_certificate and tls_key",
            field="tls_certificate",
        ) from error


def _read_pem(path: str, *, field: str) -> bytes:
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise BadConfig(f"expected a PEM file at {path}, could not read one; mend {field}", field=field) from error
    if b"-----BEGIN " not in data:
        raise BadConfig(f"expected a PEM file at {path}, got something else; mend {field}", field=field)
    return data
