"""Proof that a bundle is what it says: torch = ONNX offline = ONNX streamed, int8 near float, for every file."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from deepmusic.audio import Audio, AudioFormat
from deepmusic.model.bundle import Bundle
from deepmusic.model.runtime import Precision, StyleEncoder, TransferModel
from deepmusic.session.config import SessionConfig, model_facts
from deepmusic.session.events import AudioIn, AudioOut, Finish
from deepmusic.session.offline import render, run_to_end
from deepmusic.session.session import Session
from deepmusic.styles.learn import learn
from deepmusic_export.graph import folded, rounded
from deepmusic_export.metrics import signal_to_noise_db
from deepmusic_export.nets.step_model import TorchStepModel
from deepmusic_export.nets.style_net import StyleNet
from deepmusic_export.nets.transfer import TransferNet

#: Largest difference of audio that counts as equal.
TOLERANCE = 1e-4
#: The int8 file's audio must stay this close to the float file's, dB.
INT8_SNR_DB = 20.0
#: Block sizes that the stream is split into.
BLOCK_SAMPLES = (64, 300, 1024, 8193)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One comparison."""

    what: str
    """File and comparison."""
    value: float
    """Largest absolute difference, or a ratio in dB."""
    limit: float
    unit: str
    """`max abs` (value at most limit) or `dB` (value at least limit)."""

    @property
    def passed(self) -> bool:
        """Whether the bundle may ship with this."""
        return self.value <= self.limit if self.unit == "max abs" else self.value >= self.limit


def chords(seconds: float, sample_rate_hz: int, seed: int = 0) -> Audio:
    """Decaying chords over a noise floor, stereo float32 (2, samples), peaking at -1 dBFS."""
    rng = np.random.default_rng(seed)
    n_samples = round(seconds * sample_rate_hz)
    t = np.arange(n_samples) / sample_rate_hz
    out = 1e-3 * rng.standard_normal((2, n_samples))
    for start in np.arange(0, seconds, 0.45):
        local = np.maximum(t - start, 0)
        envelope = (t >= start) * np.exp(-3 * local) * np.minimum(1, local / 0.005)
        root = 440 * 2 ** (rng.integers(-24, 12) / 12)
        for ratio in (1.0, 1.26, 1.5):
            for harmonic in range(1, 9):
                tone = np.sin(2 * np.pi * root * ratio * harmonic * t + harmonic) / harmonic**1.3
                out += envelope * tone * rng.uniform(0.5, 1.0, size=(2, 1))
    return (out * (10 ** (-1 / 20) / np.abs(out).max())).astype(np.float32)


def verify(
    folder: Path, networks: tuple[TransferNet, StyleNet] | None = None, seconds: float = 6.0, rate_hz: int = 48000
) -> list[Finding]:
    """Compares a bundle with the networks it was made of, with itself streamed, and int8 with float.

    Args:
        folder: The bundle.
        networks: Transfer network and style encoder as trained; without them torch is left out.
        seconds: Length of the test signal.
        rate_hz: Its sample rate.

    Raises:
        BundleInvalid: The bundle does not hold together.
    """
    bundle = Bundle.open(folder)
    audio = chords(seconds, rate_hz)
    encoder = StyleEncoder.load(bundle)
    style = learn(chords(4.0, rate_hz, seed=1)[:1], rate_hz, encoder)
    config = SessionConfig(audio_format=AudioFormat(sample_rate_hz=rate_hz, n_channels=2))
    float_model = TransferModel.load(bundle, precision="float")
    float_audio = render(config, float_model, style, audio)
    findings: list[Finding] = []

    def equal(what: str, other: np.ndarray, reference: np.ndarray) -> None:
        value = float(np.abs(other - reference).max())
        findings.append(Finding(what=what, value=value, limit=TOLERANCE, unit="max abs"))

    if networks is not None:
        transfer, style_net = (cast("Any", folded(net)) for net in networks)
        if float_model.precision == "float16":
            transfer, style_net = rounded(transfer), rounded(style_net)
        torch_model = cast("TransferModel", TorchStepModel(transfer, float_model.manifest, float_model.bundle_digest))
        equal("transfer.onnx against torch, audio", render(config, torch_model, style, audio), float_audio)
        bands = np.random.default_rng(3).random((1, 200, transfer.config.n_bands), dtype=np.float32) * 0.1
        with torch.no_grad():
            expected = style_net(torch.from_numpy(bands))[0].numpy()
        equal("style_encoder.onnx against torch, vector", encoder.encode(bands[0]).values, expected)
    precisions: list[Precision] = ["float"] if bundle.manifest.transfer_int8 is None else ["float", "int8"]
    for precision in precisions:
        model = TransferModel.load(bundle, precision=precision)
        offline = float_audio if precision == "float" else render(config, model, style, audio)
        for block in BLOCK_SAMPLES:
            streamed = _stream(config, model, style, audio, itertools.repeat(block))
            equal(f"{precision}: blocks of {block} against offline, audio", streamed, offline)
        streamed = _stream(config, model, style, audio, _random_sizes())
        equal(f"{precision}: random blocks against offline, audio", streamed, offline)
        if precision == "int8":
            ratio = signal_to_noise_db(offline, float_audio)
            findings.append(Finding(what="int8 against float, audio", value=ratio, limit=INT8_SNR_DB, unit="dB"))
    return findings


def drift_db(folder: Path, minutes: float, window_s: float = 10.0, rate_hz: int = 48000) -> list[float]:
    """Ratio of the float file's audio to its difference from the int8 file's, for each window of a long run, in dB.

    The first window, which begins with the stream's latency, is left out; there are two at least.
    """
    bundle = Bundle.open(folder)
    encoder = StyleEncoder.load(bundle)
    style = learn(chords(4.0, rate_hz, seed=1)[:1], rate_hz, encoder)
    audio = chords(window_s, rate_hz)[:1]
    config = SessionConfig(
        audio_format=AudioFormat(sample_rate_hz=rate_hz, n_channels=1),
        max_block_samples=audio.shape[1],
        backlog_s=np.inf,
    )
    precisions: tuple[Precision, ...] = ("float", "int8")
    models = [TransferModel.load(bundle, precision=precision) for precision in precisions]
    sessions = [Session(config, model_facts(model), style) for model in models]
    ratios: list[float] = []
    for window in range(max(2, round(minutes * 60 / window_s))):
        block = AudioIn(block=audio, first_sample=window * audio.shape[1])
        reference, output = (_sound(run_to_end(session, block)) for session in sessions)
        if window:
            ratios.append(signal_to_noise_db(output, reference))
    return ratios


def _stream(config: SessionConfig, model: TransferModel, style: Any, audio: Audio, sizes: Iterator[int]) -> Audio:
    session = Session(replace(config, backlog_s=np.inf), model_facts(model), style)
    pieces: list[Audio] = []
    first = 0
    while first < audio.shape[1]:
        block = audio[:, first : first + next(sizes)]
        pieces.append(_sound(run_to_end(session, AudioIn(block=block, first_sample=first))))
        first += block.shape[1]
    pieces.append(_sound(run_to_end(session, Finish())))
    out = np.concatenate(pieces, axis=1)
    return out[:, session.latency_samples : session.latency_samples + audio.shape[1]]


def _random_sizes() -> Iterator[int]:
    rng = np.random.default_rng(5)
    while True:
        yield int(rng.integers(1, 3000))


def _sound(events: list[Any]) -> Audio:
    blocks = [event.block for event in events if isinstance(event, AudioOut)]
    return np.concatenate(blocks, axis=1) if blocks else np.zeros((2, 0), np.float32)
