"""Networks to ONNX files: normalisation folded, weights rounded, graphs exported, int8 by static quantisation."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import quantization
from torch import nn

from deepmusic_export.nets.segments import SegmentNet
from deepmusic_export.nets.style_net import StyleNet
from deepmusic_export.nets.transfer import ConvUnit, TransferNet

#: ONNX operator set of every file that we write.
OPSET = 18
#: Initialisers shorter than this stay float32 in a float16 file: they are cheap and some are sensitive.
SMALLEST_HALF = 64

StepInputs = dict[str, np.ndarray]


def folded(net: nn.Module) -> nn.Module:
    """A copy in evaluation mode whose batch normalisations are folded into the convolutions before them."""
    net = copy.deepcopy(net).eval()
    for module in net.modules():
        if isinstance(module, ConvUnit) and isinstance(module.norm, nn.BatchNorm2d):
            _fold(module.conv.conv, module.norm)
            module.norm = nn.Identity()
        if isinstance(module, StyleNet):
            for index, (conv, norm) in enumerate(zip(module.convs, module.norms, strict=True)):
                if isinstance(norm, nn.BatchNorm2d):
                    _fold(conv, norm)
                    module.norms[index] = nn.Identity()
    return net


def rounded(net: nn.Module) -> nn.Module:
    """A copy whose parameters hold values that float16 can hold: what a float16 file computes with."""
    net = copy.deepcopy(net)
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.numel() >= SMALLEST_HALF:
                parameter.copy_(parameter.half().float())
    return net


def export_transfer(net: TransferNet | SegmentNet, path: Path) -> None:
    """Writes the transfer graph for one step; `sessions` is the one free dimension."""
    sessions = 2
    inputs = (
        torch.rand(sessions, net.step_frames, 3, net.config.n_bands) * 0.1,
        torch.rand(sessions, net.config.n_style),
        torch.zeros(sessions, 1),
        net.initial_state().repeat(sessions, 1),
    )
    _export(net, inputs, ["bands", "style", "freeze", "state"], ["gain_db", "state_out"], {0: "sessions"}, path)


def export_style(net: StyleNet, path: Path) -> None:
    """Writes the style encoder's graph; `frames` is the one free dimension."""
    _export(net, (torch.rand(1, 96, net.n_bands) * 0.1,), ["bands"], ["style"], {1: "frames"}, path)


def halve(source: Path, target: Path) -> None:
    """Stores the weights of a graph as float16 with a cast behind each; the arithmetic stays float32.

    Constants stay as they are: `rounded` knows parameters alone, and the ramp over bands is no float16.
    """
    model = onnx.load(source)
    graph = model.graph
    casts: list[onnx.NodeProto] = []
    for initialiser in list(graph.initializer):
        values = numpy_helper.to_array(initialiser)
        is_weight = initialiser.name.endswith((".weight", ".bias"))
        if not is_weight or values.dtype != np.float32 or values.size < SMALLEST_HALF:
            continue
        half_name = f"{initialiser.name}.half"
        graph.initializer.append(numpy_helper.from_array(values.astype(np.float16), half_name))
        casts.append(helper.make_node("Cast", [half_name], [initialiser.name], to=TensorProto.FLOAT))
        graph.initializer.remove(initialiser)
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    _save(model, target)


def quantise(source: Path, target: Path, calibration: Iterable[StepInputs], full_range: bool = False) -> None:
    """Writes the int8 graph: QDQ, unsigned activations, signed weights per channel, convolutions only.

    The first and the last convolution stay float32, as does all AdaIN arithmetic. Weights use seven bits unless
    `full_range`: x86 without VNNI adds pairs of 8-bit products in 16 bits and would saturate.

    Args:
        source: The float32 graph.
        target: Where the int8 graph goes.
        calibration: Inputs of real steps, states included.
        full_range: Eight-bit weights, for hosts that are known to have VNNI.
    """
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quantization.quant_pre_process(source, prepared, skip_symbolic_shape=True)
        convolutions = [node.name for node in onnx.load(prepared).graph.node if node.op_type == "Conv"]
        written = Path(folder) / "int8.onnx"
        quantization.quantize_static(
            prepared,
            written,
            _Calibration(calibration),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=[convolutions[0], convolutions[-1]],
            per_channel=True,
            reduce_range=not full_range,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
        _save(onnx.load(written), target)


class _Calibration(quantization.CalibrationDataReader):
    def __init__(self, steps: Iterable[StepInputs]) -> None:
        self._steps: Iterator[StepInputs] = iter(steps)

    def get_next(self) -> StepInputs | None:
        return next(self._steps, None)


def _fold(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    with torch.no_grad():
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        conv.weight.mul_(scale[:, None, None, None])
        conv.bias.sub_(norm.running_mean).mul_(scale).add_(norm.bias)


def _export(
    net: nn.Module,
    inputs: tuple[torch.Tensor, ...],
    input_names: list[str],
    output_names: list[str],
    free: dict[int, str],
    path: Path,
) -> None:
    dimensions = {axis: torch.export.Dim(name, min=1, max=1 << 20) for axis, name in free.items()}
    program = torch.onnx.export(
        net,
        inputs,
        dynamo=True,
        opset_version=OPSET,
        input_names=input_names,
        output_names=output_names,
        dynamic_shapes=tuple(dimensions for _ in inputs),
        external_data=False,
        verbose=False,
    )
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    _save(program.model_proto, path)


def _save(model: onnx.ModelProto, path: Path) -> None:
    del model.metadata_props[:]
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in [*model.graph.input, *model.graph.output, *model.graph.value_info, *model.graph.initializer]:
        del value.metadata_props[:]
    model.producer_name, model.doc_string = "deepmusic-export", ""
    onnx.checker.check_model(model)
    onnx.save(model, path)
