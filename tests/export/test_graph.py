"""ONNX files against the torch networks that they came from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from deepmusic_export.graph import OPSET, StepInputs, export_style, export_transfer, folded, halve, quantise, rounded
from deepmusic_export.metrics import signal_to_noise_db
from deepmusic_export.nets.style_net import StyleNet
from deepmusic_export.nets.transfer import STEP_FRAMES, TransferConfig, TransferNet
from tests.export.worn import worn

#: What torch.onnx.export of torch 2.13 says of itself: a call that torch.utils._pytree deprecates, and that all inputs
#: share their free axis, as they should.
pytestmark = [
    pytest.mark.filterwarnings(r"ignore:`isinstance\(treespec, LeafSpec\)` is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:# The axis name:UserWarning"),
    pytest.mark.timeout(300),  # one export takes half a minute of processor time, and the cores may be shared
]

CONFIG = TransferConfig(n_bands=24, width=4, n_embedding=8, n_modulation=6)
N_STEPS = 24

ONNX_TOLERANCE_DB = 1e-3
"""float32 in another order; gains are up to 110 dB."""

INT8_SNR_DB = 20.0
"""What the runtime asks of an int8 file before it takes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """One small network and its files."""

    net: TransferNet
    """Folded."""
    style_net: StyleNet
    float32: Path
    float16: Path
    int8: Path
    style: Path
    steps: list[StepInputs]
    """The steps of a stream, states included."""
    gain_db: np.ndarray
    """What the float32 file answered, (1, frames, 4, bands)."""


def a_style_net() -> StyleNet:
    return StyleNet(CONFIG.n_bands, 4, CONFIG.n_embedding)


def stream_of_bands(seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    bands = torch.rand(1, N_STEPS * STEP_FRAMES, 3, CONFIG.n_bands, generator=generator) * 0.1
    return bands * torch.rand(1, N_STEPS * STEP_FRAMES, 1, 1, generator=generator)


def session_of(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def streamed(path: Path, bands: Tensor, style: Tensor, state: np.ndarray) -> tuple[np.ndarray, list[StepInputs]]:
    session, gains, steps = session_of(path), [], []
    for first in range(0, bands.shape[1], STEP_FRAMES):
        steps.append(
            {
                "bands": bands[:, first : first + STEP_FRAMES].numpy(),
                "style": style.numpy(),
                "freeze": np.zeros((len(bands), 1), np.float32),
                "state": state,
            }
        )
        gain, state = session.run(["gain_db", "state_out"], steps[-1])
        gains.append(gain)
    return np.concatenate(gains, axis=1), steps


def whole(net: TransferNet, bands: Tensor, style: Tensor) -> np.ndarray:
    with torch.no_grad():
        state = net.initial_state().repeat(len(bands), 1)
        return net(bands, style, torch.zeros(len(bands), 1), state)[0].numpy()


def a_style(batch: int = 1) -> Tensor:
    return torch.rand(batch, CONFIG.n_style, generator=torch.Generator().manual_seed(3))


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = tmp_path_factory.mktemp("graphs")
    torch.manual_seed(0)
    net = folded(worn(TransferNet(CONFIG)))
    style_net = folded(worn(a_style_net()))
    assert isinstance(net, TransferNet)
    assert isinstance(style_net, StyleNet)
    export_transfer(net, folder / "transfer.onnx")
    export_style(style_net, folder / "style_encoder.onnx")
    halve(folder / "transfer.onnx", folder / "transfer.half.onnx")
    gain_db, steps = streamed(folder / "transfer.onnx", stream_of_bands(), a_style(), net.initial_state().numpy())
    quantise(folder / "transfer.onnx", folder / "transfer.int8.onnx", steps)
    return Exported(
        net=net,
        style_net=style_net,
        float32=folder / "transfer.onnx",
        float16=folder / "transfer.half.onnx",
        int8=folder / "transfer.int8.onnx",
        style=folder / "style_encoder.onnx",
        steps=steps,
        gain_db=gain_db,
    )


@pytest.mark.parametrize(
    ("make", "run"),
    [
        (lambda: TransferNet(CONFIG), lambda net: torch.from_numpy(whole(net, stream_of_bands(), a_style()))),
        (
            lambda: StyleNet(CONFIG.n_bands, 4, CONFIG.n_embedding),
            lambda net: net(stream_of_bands()[:, :, 0]),
        ),
    ],
    ids=["transfer", "style"],
)
def test_folding_the_normalisation_changes_nothing(
    make: Callable[[], nn.Module], run: Callable[[nn.Module], Tensor]
) -> None:
    torch.manual_seed(0)
    net = worn(make())
    before = {name: value.clone() for name, value in net.state_dict().items()}
    small = folded(net)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in small.modules())
    with torch.no_grad():
        torch.testing.assert_close(run(small), run(net), atol=ONNX_TOLERANCE_DB, rtol=1e-4)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_rounded_weights_are_what_float16_holds() -> None:
    net = TransferNet(CONFIG)
    values = rounded(net).state_dict()
    for name, value in net.named_parameters():
        if value.numel() >= 64:
            assert torch.equal(values[name], value.half().float())
        else:
            assert torch.equal(values[name], value)


def test_the_streamed_file_equals_the_whole_pass_in_torch(exported: Exported) -> None:
    expected = whole(exported.net, stream_of_bands(), a_style())
    np.testing.assert_allclose(exported.gain_db, expected, atol=ONNX_TOLERANCE_DB)
    assert expected.std(axis=1).mean() > 0.5


def test_many_sessions_share_a_call(exported: Exported) -> None:
    bands = torch.cat([stream_of_bands(seed) for seed in range(3)])[:, : 4 * STEP_FRAMES]
    style = a_style(3)
    gains, _ = streamed(exported.float32, bands, style, exported.net.initial_state().repeat(3, 1).numpy())
    np.testing.assert_allclose(gains, whole(exported.net, bands, style), atol=ONNX_TOLERANCE_DB)


def test_the_file_states_its_tensors_and_opset(exported: Exported) -> None:
    model = onnx.load(exported.float32)
    shapes = {
        value.name: [dimension.dim_param or dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
        for value in [*model.graph.input, *model.graph.output]
    }
    n_state = exported.net.initial_state().shape[1]
    assert shapes == {
        "bands": ["sessions", STEP_FRAMES, 3, CONFIG.n_bands],
        "style": ["sessions", CONFIG.n_style],
        "freeze": ["sessions", 1],
        "state": ["sessions", n_state],
        "gain_db": ["sessions", STEP_FRAMES, 4, CONFIG.n_bands],
        "state_out": ["sessions", n_state],
    }
    assert [entry.version for entry in model.opset_import if not entry.domain] == [OPSET]
    assert not model.metadata_props


@pytest.mark.parametrize("n_frames", [8, 96, 333])
def test_the_style_file_takes_any_number_of_frames(exported: Exported, n_frames: int) -> None:
    bands = stream_of_bands()[:, :, 0].repeat(1, 4, 1)[:, :n_frames]
    (style,) = session_of(exported.style).run(["style"], {"bands": bands.numpy()})
    with torch.no_grad():
        expected = exported.style_net(bands).numpy()
    np.testing.assert_allclose(style, expected, atol=1e-4)


def test_a_halved_file_computes_what_rounded_weights_compute(exported: Exported) -> None:
    gains, _ = streamed(exported.float16, stream_of_bands(), a_style(), exported.net.initial_state().numpy())
    of_rounded = whole(rounded(exported.net), stream_of_bands(), a_style())
    np.testing.assert_allclose(gains, of_rounded, atol=ONNX_TOLERANCE_DB)
    assert np.abs(gains - exported.gain_db).max() > 0
    assert exported.float16.stat().st_size < 0.8 * exported.float32.stat().st_size


def test_a_halved_file_keeps_the_ramp_over_bands_exact(tmp_path: Path) -> None:
    ramp, weight = np.linspace(-1, 1, 96, dtype=np.float32), np.ones(96, np.float32)
    tensors = [numpy_helper.from_array(ramp, "linspace"), numpy_helper.from_array(weight, "conv.weight")]
    node = onnx.helper.make_node("Add", ["linspace", "conv.weight"], ["sum"])
    value = onnx.helper.make_tensor_value_info("sum", onnx.TensorProto.FLOAT, [96])
    graph = onnx.helper.make_graph([node], "ramp", [], [value], tensors)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)]), tmp_path / "float")
    halve(tmp_path / "float", tmp_path / "half")
    kept = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(tmp_path / "half").graph.initializer}
    np.testing.assert_array_equal(kept["linspace"], ramp)
    assert kept["conv.weight.half"].dtype == np.float16


def test_the_int8_file_stays_close_also_on_a_stream_that_it_was_not_calibrated_on(exported: Exported) -> None:
    state = exported.net.initial_state().numpy()
    for seed in (0, 5):
        exact, _ = streamed(exported.float32, stream_of_bands(seed), a_style(), state)
        gains, _ = streamed(exported.int8, stream_of_bands(seed), a_style(), state)
        assert INT8_SNR_DB < signal_to_noise_db(gains, exact) < 80


def test_the_first_and_the_last_convolution_stay_float(exported: Exported) -> None:
    model = onnx.load(exported.int8)
    made_by = {name: node.op_type for node in model.graph.node for name in node.output}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    quantised = [made_by.get(node.input[1]) == "DequantizeLinear" for node in convolutions]
    assert len(convolutions) == 17
    assert quantised == [False, *[True] * 15, False]
