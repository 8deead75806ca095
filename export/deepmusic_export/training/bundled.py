"""The networks of a bundle, back from its ONNX files: training goes on from what ships, without a checkpoint.

A bundle has its normalisations folded into the convolutions before them. `networks_of_bundle` gives networks that
compute what its files compute, to the rounding, with normalisations that do nothing; `renormalise` gives these the
moments of what training hears, and the scales that undo them.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from deepmusic.errors import BundleInvalid
from deepmusic.model.bundle import Bundle
from deepmusic.model.golden import golden_snr_db
from deepmusic.model.manifest import MANIFEST_NAME, Manifest
from deepmusic.model.runtime import StyleEncoder
from deepmusic_export.nets.segment_plan import SegmentPlan
from deepmusic_export.nets.step_model import TorchStepModel
from deepmusic_export.nets.streaming import RunningNorm
from deepmusic_export.nets.style_net import RunningStandard, StyleNet
from deepmusic_export.nets.transfer import TransferConfig, TransferNet
from deepmusic_export.training.system import TransferRecipe, TransferSystem, load_system, recipe_from_dict

#: What the networks must reach against a bundle's golden steps, dB, and against its styles, of their largest number.
LEAST_SNR_DB, MOST_STYLE_ERROR = 60.0, 1e-3
#: Frames that the style encoder is held against.
_N_FRAMES = 96

Weights = dict[str, npt.NDArray[np.float32]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Networks:
    """Networks that a run starts from, or is taught by."""

    system: TransferSystem
    """In evaluation mode."""
    recipe: TransferRecipe
    """Sizes, and of a checkpoint how it was trained."""
    is_folded: bool
    """Whether the normalisations do nothing; see `renormalise`."""


def read_networks(path: Path) -> Networks:
    """The networks of a bundle (a folder or a zip) or the averaged ones of a checkpoint.

    Raises:
        BundleInvalid: It is a bundle, and a damaged one or none of `deepmusic-export onnx`.
        ValueError: It is neither.
    """
    if path.is_dir() or _is_zipped_bundle(path):
        return networks_of_bundle(path)
    system, data = load_system(path)
    return Networks(system=system, recipe=recipe_from_dict(data["recipe"]), is_folded=False)


def _is_zipped_bundle(path: Path) -> bool:
    """Torch's checkpoints are zips too."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(Path(name).name == MANIFEST_NAME for name in archive.namelist())


def networks_of_bundle(path: Path) -> Networks:
    """The networks of a bundle, with a recipe of their sizes.

    Args:
        path: Folder or zip.

    Raises:
        BundleInvalid: It is none, or its files are not what `deepmusic-export onnx` of this version writes.
    """
    bundle = Bundle.open(path)
    manifest = bundle.manifest
    style_model = onnx.load_model_from_string(bundle.read(manifest.style.file))
    transfer_model = onnx.load_model_from_string(bundle.read(manifest.transfer.file))
    try:
        style_weights, transfer_weights = _weights(style_model), _weights(transfer_model)
        recipe = _recipe(manifest, style_weights, transfer_weights)
        system = TransferSystem(recipe).eval()
        _fill(system.style, style_weights)
        _fill(system.transfer, transfer_weights)
        _fill_start(system.transfer, bundle.initial_state())
    except (KeyError, RuntimeError, ValueError) as error:
        raise BundleInvalid(
            f"{path}: expected the networks that deepmusic-export onnx of this version writes, got others; "
            "start from the checkpoint that it was made of",
            field="transfer",
        ) from error
    _check(system, bundle)
    return Networks(system=system, recipe=recipe, is_folded=True)


def renormalise(system: TransferSystem, heard: Iterable[tuple[Tensor, Tensor]], *, is_style_held: bool = False) -> None:
    """Puts the moments of what its convolutions give into the normalisations of a bundle's networks.

    Scale and shift undo them, so that in evaluation mode the networks compute what they did before; in training mode
    they normalise as any others do.

    Args:
        system: Networks whose normalisations do nothing; changed in place.
        heard: Pairs of content bands (batch, frames, 3, bands) and style bands (batch, frames, bands).
        is_style_held: Leave the style encoder as it is.
    """
    trained = system.transfer if is_style_held else system
    norms = [module for module in trained.modules() if isinstance(module, nn.BatchNorm2d)]
    sums = {norm: torch.zeros(3, norm.num_features, dtype=torch.float64) for norm in norms}

    def add(norm: nn.Module, inputs: tuple[Tensor]) -> None:
        x = inputs[0].detach().double().transpose(0, 1).flatten(1)
        sums[norm] += torch.stack([torch.full_like(x[:, 0], x.shape[1]), x.sum(1), x.square().sum(1)]).cpu()

    hooks = [norm.register_forward_pre_hook(add) for norm in norms]
    is_training = system.training
    system.eval()
    with torch.no_grad():
        for content_bands, style_bands in heard:
            system.gains(content_bands, style_bands)
        for norm, (count, total, square) in sums.items():
            assert isinstance(norm, nn.BatchNorm2d)
            mean = total / count
            variance = (square / count - mean.square()).clamp(min=0.0)
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(variance)
            norm.weight.copy_(torch.sqrt(variance + norm.eps))
            norm.bias.copy_(mean)
    for hook in hooks:
        hook.remove()
    system.train(is_training)


def _weights(model: onnx.ModelProto) -> Weights:
    """Every initialiser by the name of the parameter that it was, and what the export's constant folding hid."""
    weights: Weights = {}
    for initialiser in model.graph.initializer:
        name = initialiser.name.removesuffix(".half").removeprefix("net.")
        weights[name] = numpy_helper.to_array(initialiser)
    for node in model.graph.node:
        if node.op_type in ("Conv", "Gemm"):  # biases of one value, as fresh ones are, share an array or are dropped
            weight, *bias = (name.removeprefix("net.") for name in node.input[1:])
            zeros = np.zeros(len(weights[weight]), np.float32)
            weights[f"{weight.removesuffix('.weight')}.bias"] = weights[bias[0]] if bias else zeros
        if node.op_type == "Sub" and node.input[1].endswith(".mean"):  # of `RunningStandard`: x - mean, then the scale
            scaling = next(user for user in model.graph.node if node.output[0] in user.input)
            (scale,) = (name for name in scaling.input if name != node.output[0])
            standard = node.input[1].removeprefix("net.").removesuffix(".mean")
            weights[f"{standard}.variance"] = weights[scale.removeprefix("net.")] ** -2.0 - 1e-4
    equalisers = [
        value
        for name, value in weights.items()
        if value.shape == (1, 4, 1, 1) and not name.startswith(("gain", "rise"))
    ]
    if len(equalisers) == 1:
        weights["equaliser"] = equalisers[0].reshape(4)
    return weights


def _recipe(manifest: Manifest, style: Weights, transfer: Weights) -> TransferRecipe:
    """The sizes that the arrays have."""
    n_bands = manifest.features.n_bands
    network = TransferConfig(
        n_bands=n_bands,
        width=len(transfer["encoder.0.conv.conv.weight"]),
        n_embedding=len(style["head.3.weight"]),
        n_modulation=len(transfer["project.1.weight"]),
        time_constant_s=manifest.statistics_time_constant_s,
    )
    if look_ahead := manifest.look_ahead_frames:
        n_inner = sum(TransferNet(network).state_sizes)
        n_joined = manifest.state.size - n_inner - 3 * look_ahead * n_bands
        overlap = n_joined // (4 * n_bands)
        plan = SegmentPlan(
            segment_frames=manifest.features.step_frames, overlap_frames=overlap, context_frames=look_ahead - overlap
        )
        network = replace(network, segment=plan)
    return TransferRecipe(network=network, style_width=len(style["convs.0.weight"]))


def _fill(net: StyleNet | TransferNet, weights: Weights) -> None:
    """Puts a bundle's arrays into a network; its normalisations do nothing then."""
    elsewhere = ["start", "start_level_db", "start_profile"]  # in the bundle's initial state
    for prefix, module in net.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_var.fill_(1.0 - module.eps)
            elsewhere += [f"{prefix}.{name}" for name in module.state_dict()]
        if isinstance(module, RunningStandard):
            module.n_batches.fill_(1 << 20)  # what it has heard counts for more than the next batches
            elsewhere.append(f"{prefix}.n_batches")
        if isinstance(module, RunningNorm):
            elsewhere.append(f"{prefix}.start")
    for name, value in net.state_dict().items():
        if name not in elsewhere:
            value.copy_(torch.from_numpy(weights[name].astype(np.float32)))


def _fill_start(net: TransferNet, state: npt.NDArray[np.float32]) -> None:
    """The training means in a bundle's initial state; a segment's own part of it comes first."""
    size = sum(net.state_sizes)
    _, level, profile, *moments = torch.split(torch.from_numpy(state[-size:].copy()), net.state_sizes)[:6]
    net.start_level_db.copy_(level)
    net.start_profile.copy_(profile)
    for adain, start in zip((net.adain4, net.adain3, net.adain2), moments, strict=True):
        adain.norm.start.copy_(start)


def _check(system: TransferSystem, bundle: Bundle) -> None:
    """Holds the networks against what the bundle's own files compute."""
    golden = bundle.golden()
    snr_db = golden_snr_db(
        TorchStepModel(system.transfer, bundle.manifest, bundle.digest), bundle.initial_state(), golden
    )
    bands = golden.bands[:, 0, :, 0].reshape(-1, golden.bands.shape[-1])[:_N_FRAMES].copy()
    expected = StyleEncoder.load(bundle).encode(bands).values
    with torch.no_grad():
        error = float(np.abs(system.style(torch.from_numpy(bands)[None])[0].numpy() - expected).max())
    if snr_db < LEAST_SNR_DB or error > MOST_STYLE_ERROR * max(1.0, float(np.abs(expected).max())):
        raise BundleInvalid(
            f"{bundle.path}: expected networks that compute what the bundle does, got some that reach its golden steps "
            f"to {snr_db:.0f} dB and its styles to {error:.2g}; start from the checkpoint that it was made of",
            field="golden",
        )
