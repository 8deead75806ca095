"""From trained networks to a bundle: graphs, initial state, golden steps, int8 calibrated on real renders, manifest."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from deepmusic.dsp.gains import BandLayout
from deepmusic.model.manifest import EXCITATIONS, Manifest
from deepmusic_export.bundle import check_place, write_bundle
from deepmusic_export.data import Corpus
from deepmusic_export.features import signal_path
from deepmusic_export.graph import StepInputs, export_style, export_transfer, folded, halve, quantise, rounded
from deepmusic_export.nets.segments import SegmentNet, as_played
from deepmusic_export.nets.style_net import StyleNet
from deepmusic_export.nets.transfer import TransferNet

#: Frames that the golden file holds at most, 1.4 s at 48 kHz, but for segments, of which it holds three.
GOLDEN_FRAMES, GOLDEN_SEGMENTS = 256, 3
#: Steps of each clip that calibrate int8, spread over the clip.
CALIBRATION_STEPS_A_CLIP = 24
#: Samples of a step at the rates of a corpus: clips are whole steps.
_CLIP_GRAIN = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class PackingPlan:
    """What a bundle says of itself and which files it gets."""

    name: str
    version: str
    profile: str
    """What it is for: live, lite or studio."""
    half: bool = False
    """Weights as float16 in the float files."""
    int8: bool = True
    """Whether to add the int8 file."""
    full_range: bool = False
    """Eight-bit weights in the int8 file; only for hosts with VNNI."""
    calibration_clips: int = 24
    clip_samples: int = 196608
    """Length of a clip of the calibration and of the golden steps, a multiple of 1024."""
    training: dict[str, Any] = field(default_factory=dict)
    """data, steps, hours, seed, host, note: the manifest's training note."""
    metrics: dict[str, float] = field(default_factory=dict)
    licence: str = "MIT"

    def __post_init__(self) -> None:
        if self.clip_samples < _CLIP_GRAIN or self.clip_samples % _CLIP_GRAIN:
            raise ValueError(f"expected clip_samples to be a multiple of {_CLIP_GRAIN}, got {self.clip_samples}")


def pack(transfer: TransferNet, style: StyleNet, corpus: Corpus, plan: PackingPlan, folder: Path) -> Manifest:
    """Writes the bundle of two trained networks.

    Args:
        transfer: The transfer network, normalisation still in it.
        style: The style encoder.
        corpus: Renders for the calibration of int8 and for the golden steps.
        plan: Name, precision, notes.
        folder: Where the bundle goes; an old one there is replaced whole.

    Returns:
        The manifest as the runtime reads it.

    Raises:
        RequestError: Something is in the way that is no bundle.
    """
    check_place(folder)
    net, style = folded(transfer), folded(style)
    if plan.half:
        net, style = rounded(net), rounded(style)
    transfer = as_played(net)
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        export_transfer(transfer, work / "float.onnx")
        export_style(style, work / "style_float.onnx")
        files: dict[str, bytes | Path] = {
            "transfer.onnx": work / "float.onnx",
            "style_encoder.onnx": work / "style_float.onnx",
        }
        if plan.half:
            halve(work / "float.onnx", work / "half.onnx")
            halve(work / "style_float.onnx", work / "style_half.onnx")
            files |= {"transfer.onnx": work / "half.onnx", "style_encoder.onnx": work / "style_half.onnx"}
        if plan.int8:
            steps = calibration_steps(work / "float.onnx", transfer, style, corpus, plan)
            quantise(work / "float.onnx", work / "int8.onnx", steps, full_range=plan.full_range)
            files["transfer.int8.onnx"] = work / "int8.onnx"
        np.save(work / "state.npy", transfer.initial_state()[0].numpy())
        np.savez(work / "golden.npz", **_golden(transfer, style, corpus, plan))
        files |= {"initial_state.npy": work / "state.npy", "golden.npz": work / "golden.npz"}
        return write_bundle(folder, _manifest_fields(transfer, style, plan), files)


def calibration_steps(
    graph: Path, transfer: TransferNet | SegmentNet, style: StyleNet, corpus: Corpus, plan: PackingPlan, seed: int = 7
) -> Iterator[StepInputs]:
    """Inputs of real steps with the states that a stream has there; later steps of a clip count as much as its start.

    The exported graph runs the stream: it is many times faster than torch at one step a call.
    """
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(seed)
    for _ in range(plan.calibration_clips):
        bands, vector = (value.numpy() for value in _example(style, corpus, plan.clip_samples, rng))
        frames = transfer.step_frames
        n_steps = bands.shape[1] // frames
        chosen = set(rng.choice(n_steps, size=min(CALIBRATION_STEPS_A_CLIP, n_steps), replace=False).tolist())
        state = transfer.initial_state().numpy()
        for step in range(n_steps):
            part = np.ascontiguousarray(bands[:, frames * step : frames * (step + 1)])
            inputs = {"bands": part, "style": vector, "freeze": np.zeros((1, 1), np.float32), "state": state}
            if step in chosen:
                yield inputs
            _, state = session.run(None, inputs)


def _example(
    style: StyleNet, corpus: Corpus, n_samples: int, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Bands of a content (1, frames, 3, bands) and the vector of a style (1, n_style)."""
    batch = corpus.batch(rng, 1, n_samples)
    path = signal_path(batch.sample_rate_hz, BandLayout(n_bands=style.n_bands))
    with torch.no_grad():
        bands = path.excite(batch.content).bands
        vector = style(path.band_magnitudes(path.spectra(batch.style)))
    return bands, vector


def _golden(
    transfer: TransferNet | SegmentNet, style: StyleNet, corpus: Corpus, plan: PackingPlan
) -> dict[str, np.ndarray]:
    bands, vector = _example(style, corpus, plan.clip_samples, np.random.default_rng(11))
    wanted = max(GOLDEN_FRAMES // transfer.step_frames, GOLDEN_SEGMENTS)
    n_steps = min(wanted, bands.shape[1] // transfer.step_frames)
    steps = torch.split(bands[:, : n_steps * transfer.step_frames], transfer.step_frames, dim=1)
    state, gains = transfer.initial_state(), list[torch.Tensor]()
    with torch.no_grad():
        for step in steps:
            gain_db, state = transfer(step, vector, torch.zeros(1, 1), state)
            gains.append(gain_db)
    return {"bands": torch.stack(steps).numpy(), "style": vector.numpy(), "gain_db": torch.stack(gains).numpy()}


def _tensor(name: str, *shape: int | str) -> dict[str, Any]:
    return {"name": name, "dtype": "float32", "shape": list(shape)}


def _manifest_fields(transfer: TransferNet | SegmentNet, style: StyleNet, plan: PackingPlan) -> dict[str, Any]:
    layout = BandLayout(n_bands=transfer.config.n_bands)
    segment, frames = transfer.config.segment, transfer.step_frames
    bands, n_style, n_state = transfer.config.n_bands, style.size, transfer.initial_state().shape[1]
    inputs = [
        _tensor("bands", "sessions", frames, 3, bands),
        _tensor("style", "sessions", n_style),
        _tensor("freeze", "sessions", 1),
        _tensor("state", "sessions", n_state),
    ]
    outputs = [_tensor("gain_db", "sessions", frames, 4, bands), _tensor("state_out", "sessions", n_state)]
    tensors = {"inputs": inputs, "outputs": outputs}
    return {
        "format": 1,
        "name": plan.name,
        "version": plan.version,
        "kind": "stream" if segment is None else "segment",
        "profile": plan.profile,
        "features": {
            "n_bands": layout.n_bands,
            "low_hz": layout.low_hz,
            "high_hz": layout.high_hz,
            "scale": "mel-htk",
            "step_frames": frames,
            "excitations": list(EXCITATIONS),
        },
        **({} if segment is None else {"segment": {"look_ahead_frames": segment.look_ahead_frames}}),
        "style": {
            "file": "style_encoder.onnx",
            "size": n_style,
            "inputs": [_tensor("bands", 1, "frames", bands)],
            "outputs": [_tensor("style", 1, n_style)],
        },
        "transfer": {"file": "transfer.onnx", "precision": "float16" if plan.half else "float32", **tensors},
        "transfer_int8": {"file": "transfer.int8.onnx", "precision": "int8", **tensors} if plan.int8 else None,
        "state": {"size": n_state, "file": "initial_state.npy"},
        "golden": {"file": "golden.npz"},
        "statistics_time_constant_s": transfer.config.time_constant_s,
        "training": plan.training,
        "licence": plan.licence,
        "metrics": plan.metrics,
    }
