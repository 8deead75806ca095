"""A server as a process of its own, and what a DAW has of the plug-in."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pedalboard

from deepmusic.audio import Audio, AudioFormat
from deepmusic.model.catalog import BundleCatalog, LoadedBundle
from deepmusic.session.config import SessionConfig, Setting
from deepmusic.session.events import Control
from deepmusic.session.offline import render
from deepmusic.styles.library import StyleLibrary
from deepmusic.transports.rpc.client import RpcClient
from tests.daw.build import VST3
from tests.daw.certificates import Certificate
from tests.support.bundles import passthrough_bundle, slow_bundle

STYLES = ("brass", "strings")
STYLE_RATE_HZ = 48000

BUNDLES: Mapping[str, Callable[[Path], Path]] = {
    "passthrough": passthrough_bundle,
    # A step of 21 ms takes 43 ms and more: half of real time.
    "slow": lambda path: slow_bundle(path, n_products=430),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A folder with bundles and styles, from which servers are started."""

    folder: Path

    @classmethod
    def build(cls, folder: Path) -> Stage:
        """Writes the bundles and has a server learn the styles."""
        for name, write in BUNDLES.items():
            write(folder / "bundles" / name)
        stage = cls(folder=folder)
        with stage.serving() as (address, _):
            asyncio.run(_learn(address))
        return stage

    @contextlib.contextmanager
    def serving(
        self,
        *,
        bundle: str = "live",
        address: str = "127.0.0.1:0",
        max_streams: int = 64,
        certificate: Certificate | None = None,
    ) -> Iterator[tuple[str, subprocess.Popen[str]]]:
        """A server that is ready, encrypted where it has a certificate; its address, and the process."""
        config = self.folder / "server.toml"
        config.write_text(
            f'grpc = "{address}"\nosc = ""\nbundle = "{bundle}"\ndevice = "cpu"\nmax_streams = {max_streams}\n'
            f'grace_s = 0.0\nbundles = "{self.folder}/bundles"\nstyles = "{self.folder}/styles"\n'
            + ("" if certificate is None else f'tls_certificate = "{certificate.certificate}"\n')
            + ("" if certificate is None else f'tls_key = "{certificate.key}"\n')
        )
        command = [sys.executable, "-m", "deepmusic", "serve", "--config", str(config), "--json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            try:
                assert process.stdout is not None
                yield json.loads(process.stdout.readline())["grpc"], process
            finally:
                process.kill()

    def plugin(
        self, server: str, *, styles: Iterable[str] = STYLES, bundle: str = "", root_certificate: str = ""
    ) -> pedalboard.VST3Plugin:
        """A new plug-in, told by the environment where to play."""
        os.environ["DEEPMUSIC_SERVER"] = server
        os.environ["DEEPMUSIC_ROOT_CERTIFICATE"] = root_certificate
        os.environ["DEEPMUSIC_STYLES"] = ";".join(styles)
        os.environ["DEEPMUSIC_BUNDLE"] = bundle
        return pedalboard.VST3Plugin(str(VST3))

    def engine(
        self,
        audio: Audio,
        rate_hz: int,
        *,
        bundle: str = "live",
        style: str = STYLES[0],
        settings: Iterable[Setting] = (),
        controls: Iterable[Control] = (),
    ) -> Audio:
        """What the engine makes of a recording offline, with no server and no plug-in."""
        loaded = _loaded(self.folder / "bundles", bundle)
        vector = StyleLibrary(self.folder / "styles").vector(style, loaded.encoder)
        audio_format = AudioFormat(sample_rate_hz=rate_hz, n_channels=audio.shape[0])
        config = SessionConfig(audio_format=audio_format, settings=tuple(settings))
        return render(config, loaded.transfer, vector, audio, controls)


@functools.cache
def _loaded(bundles: Path, name: str) -> LoadedBundle:
    return BundleCatalog(bundles, device="cpu").get(name)


def noise(n_samples: int, n_channels: int = 2, seed: int = 1) -> Audio:
    """Noise at -20 dBFS."""
    return (0.1 * np.random.default_rng(seed).standard_normal((n_channels, n_samples))).astype(np.float32)


async def _learn(address: str) -> None:
    seconds = np.arange(2 * STYLE_RATE_HZ) / STYLE_RATE_HZ
    async with RpcClient(address) as client:
        for name, pitch_hz in zip(STYLES, (110.0, 440.0), strict=True):
            tone = (0.2 * np.sign(np.sin(2 * np.pi * pitch_hz * seconds))).astype(np.float32)
            await client.create_style(name, np.stack([tone, tone]), STYLE_RATE_HZ)
