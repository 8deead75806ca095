"""Models on ONNX Runtime: explicit state, honest providers, guarded gains, the choice between int8 and float."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import helper, numpy_helper

from deepmusic.errors import BadConfig, BundleInvalid, InferenceFailed
from deepmusic.model.bundle import Bundle
from deepmusic.model.golden import golden_snr_db
from deepmusic.model.providers import CPU_PROVIDER, CUDA_PROVIDER, choose_providers
from deepmusic.model.runtime import (
    MIN_INT8_SNR_DB,
    StyleEncoder,
    TransferModel,
    _options,
    available_providers,
    runtime_version,
)
from tests.support.bundles import (
    GOLDEN_STEPS,
    N_BANDS,
    OFF_DB,
    PLAYING_BUNDLES,
    STATE_SIZE,
    STEP_FRAMES,
    STYLE_SIZE,
    counting_bundle,
    custom_bundle,
    failing_bundle,
    gain_bundle,
    int8_bundle,
    nan_bundle,
    passthrough_bundle,
    passthrough_transfer,
    style_gain_bundle,
)

Arrays = dict[str, npt.NDArray[np.float32]]


def _inputs(n_sessions: int = 1, *, seed: int = 1) -> Arrays:
    random = np.random.default_rng(seed)
    return {
        "bands": random.uniform(0.0, 0.1, (n_sessions, STEP_FRAMES, 3, N_BANDS)).astype(np.float32),
        "style": random.normal(size=(n_sessions, STYLE_SIZE)).astype(np.float32),
        "freeze": random.integers(0, 2, (n_sessions, 1)).astype(np.float32),
        "state": np.abs(random.normal(size=(n_sessions, STATE_SIZE))).astype(np.float32),
    }


def _load(path: Path, **wishes: str) -> TransferModel:
    return TransferModel.load(Bundle.open(path), **wishes)  # type: ignore[arg-type]


def _snr_db(model: TransferModel, bundle: Bundle) -> float:
    return golden_snr_db(model, model.initial_state(), bundle.golden())


def test_the_pass_through_plays_the_content_and_counts_its_steps(tmp_path: Path) -> None:
    model = _load(passthrough_bundle(tmp_path / "b"))
    inputs = _inputs() | {"state": model.initial_state()[np.newaxis], "freeze": np.ones((1, 1), np.float32)}
    gain_db, state = model.step(**inputs)
    assert gain_db.shape == (1, STEP_FRAMES, 4, N_BANDS)
    assert gain_db.dtype == state.dtype == np.float32
    assert (gain_db[:, :, 0] == 0.0).all()
    assert (gain_db[:, :, 1:] == OFF_DB).all()
    np.testing.assert_allclose(state[0, :3], [1.0, 0.0, inputs["bands"][:, :, 0].mean()], rtol=1e-5)


def test_value_0_of_the_style_sets_the_gain_where_a_bundle_says_so(tmp_path: Path) -> None:
    inputs = _inputs()
    gain_db, _ = _load(style_gain_bundle(tmp_path / "s")).step(**inputs)
    assert (gain_db[:, :, 0] == inputs["style"][0, 0]).all()
    gain_db, _ = _load(gain_bundle(tmp_path / "g", -7.5)).step(**inputs)
    assert (gain_db[:, :, 0] == -7.5).all()


def test_the_initial_state_is_a_new_copy_each_time(tmp_path: Path) -> None:
    model = _load(passthrough_bundle(tmp_path / "b"))
    model.initial_state()[:] = 9.0
    assert (model.initial_state() == 0.0).all()


@pytest.mark.parametrize("make", PLAYING_BUNDLES.values(), ids=PLAYING_BUNDLES)
def test_streams_that_share_a_call_get_what_they_get_alone(make: Callable[[Path], Path], tmp_path: Path) -> None:
    model = _load(make(tmp_path / "b"))
    inputs = _inputs(5)
    together = model.step(**inputs)
    for i in range(5):
        alone = model.step(**{name: array[i : i + 1] for name, array in inputs.items()})
        for shared, single in zip(together, alone, strict=True):
            # A sum over bands may be taken in another order where streams share a call.
            np.testing.assert_allclose(shared[i : i + 1], single, atol=1e-6)


@pytest.mark.parametrize("make", PLAYING_BUNDLES.values(), ids=PLAYING_BUNDLES)
def test_steps_change_no_argument_and_repeat_to_the_bit(make: Callable[[Path], Path], tmp_path: Path) -> None:
    model = _load(make(tmp_path / "b"))
    inputs = _inputs()
    for array in inputs.values():
        array.flags.writeable = False
    first, second = model.step(**inputs), model.step(**inputs)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("make", PLAYING_BUNDLES.values(), ids=PLAYING_BUNDLES)
def test_the_golden_steps_come_out_again(make: Callable[[Path], Path], tmp_path: Path) -> None:
    bundle = Bundle.open(make(tmp_path / "b"))
    assert _snr_db(TransferModel.load(bundle), bundle) > 100.0


def test_gains_that_are_not_finite_are_an_error_and_not_a_sound(tmp_path: Path) -> None:
    model = _load(nan_bundle(tmp_path / "b", after_steps=1))
    inputs = _inputs() | {"state": model.initial_state()[np.newaxis]}
    _, state = model.step(**inputs)
    with pytest.raises(InferenceFailed, match="not finite"):
        model.step(**inputs | {"state": state})


@pytest.mark.parametrize("gain_db", [np.inf, -np.inf, 1e30, 101.0])
def test_gains_beyond_reason_are_an_error(tmp_path: Path, gain_db: float) -> None:
    transfer = passthrough_transfer()
    base = next(tensor for tensor in transfer.graph.initializer if tensor.name == "base")
    base.CopyFrom(numpy_helper.from_array(np.full((1, STEP_FRAMES, 4, N_BANDS), gain_db, np.float32), "base"))
    model = _load(custom_bundle(tmp_path / "b", transfer.SerializeToString()))
    with pytest.raises(InferenceFailed):
        model.step(**_inputs())


def test_a_state_that_is_not_finite_is_an_error(tmp_path: Path) -> None:
    model = _load(passthrough_bundle(tmp_path / "b"))
    inputs = _inputs()
    inputs["bands"][0, 0, 0, 0] = np.inf
    with pytest.raises(InferenceFailed, match="state"):
        model.step(**inputs)


def test_what_onnx_runtime_raises_becomes_our_error_without_its_text(tmp_path: Path) -> None:
    model = _load(failing_bundle(tmp_path / "b", after_steps=1))
    inputs = _inputs() | {"state": model.initial_state()[np.newaxis]}
    _, state = model.step(**inputs)
    with pytest.raises(InferenceFailed) as caught:
        model.step(**inputs | {"state": state})
    assert "Gather" not in caught.value.message
    with pytest.raises(InferenceFailed):
        model.step(**inputs | {"bands": inputs["bands"][:, :2]})


def test_the_report_names_what_was_asked_and_what_runs(tmp_path: Path) -> None:
    model = _load(passthrough_bundle(tmp_path / "b"), device="cpu")
    assert (model.provider, model.device, model.requested_device) == (CPU_PROVIDER, "cpu", "cpu")
    assert (model.precision, model.precision_note, model.device_note) == ("float32", "", "")
    assert CPU_PROVIDER in available_providers()
    assert runtime_version()


@pytest.mark.parametrize(
    ("device", "available", "has_driver", "first", "note"),
    [
        ("cpu", (CUDA_PROVIDER, CPU_PROVIDER), True, CPU_PROVIDER, ""),
        ("auto", (CUDA_PROVIDER, CPU_PROVIDER), True, CUDA_PROVIDER, ""),
        ("auto", (CUDA_PROVIDER, CPU_PROVIDER), False, CPU_PROVIDER, ""),
        ("auto", (CPU_PROVIDER,), True, CPU_PROVIDER, ""),
        ("cuda", (CUDA_PROVIDER, CPU_PROVIDER), True, CUDA_PROVIDER, ""),
        ("cuda", (CUDA_PROVIDER, CPU_PROVIDER), False, CPU_PROVIDER, "driver"),
        ("cuda", (CPU_PROVIDER,), True, CPU_PROVIDER, "pip install"),
    ],
)
def test_a_wish_for_a_device_is_granted_or_answered_with_a_reason(
    device: str, available: tuple[str, ...], has_driver: bool, first: str, note: str
) -> None:
    choice = choose_providers(device, available, has_driver=has_driver)  # type: ignore[arg-type]
    assert choice.providers[0] == first
    assert choice.providers[-1] == CPU_PROVIDER
    assert note in choice.note
    assert bool(note) == bool(choice.note)


def test_cuda_that_cannot_start_is_said_and_the_cpu_plays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deepmusic.model.runtime.has_nvidia_driver", lambda: False)
    model = _load(passthrough_bundle(tmp_path / "b"), device="cuda")
    assert (model.provider, model.requested_device) == (CPU_PROVIDER, "cuda")
    assert "no NVIDIA driver" in model.device_note


def test_a_driver_without_a_working_cuda_is_said_and_the_cpu_plays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if CUDA_PROVIDER not in available_providers():
        monkeypatch.setattr("deepmusic.model.runtime.available_providers", lambda: (CUDA_PROVIDER, CPU_PROVIDER))
    monkeypatch.setattr("deepmusic.model.runtime.has_nvidia_driver", lambda: True)
    model = _load(passthrough_bundle(tmp_path / "b"), device="cuda")
    assert (model.device == "cuda") == (model.device_note == "")
    assert model.device == "cuda" or "could not start" in model.device_note


def test_threads_are_as_many_as_asked_for_and_do_not_spin(tmp_path: Path) -> None:
    options = _options(3)
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (3, 1)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert options.get_session_config_entry("session.inter_op.allow_spinning") == "0"
    with pytest.raises(BadConfig, match="at least 1 thread"):
        TransferModel.load(Bundle.open(passthrough_bundle(tmp_path / "b")), intra_op_threads=0)


def test_int8_is_taken_where_it_is_close_to_the_golden_steps(tmp_path: Path) -> None:
    model = _load(int8_bundle(tmp_path / "b", int8_error_db=0.3))
    assert (model.precision, model.precision_note) == ("int8", "")


def test_int8_that_is_far_from_the_golden_steps_gives_way_to_float_and_says_so(tmp_path: Path) -> None:
    bundle = Bundle.open(int8_bundle(tmp_path / "b", int8_error_db=3.0))
    model = TransferModel.load(bundle)
    assert model.precision == "float32"
    assert "float instead of int8" in model.precision_note
    forced = TransferModel.load(bundle, "int8")
    assert forced.precision == "int8"
    assert _snr_db(forced, bundle) < MIN_INT8_SNR_DB
    assert TransferModel.load(bundle, "float").precision_note == ""


def test_a_model_that_fails_on_the_golden_steps_is_infinitely_far_from_them(tmp_path: Path) -> None:
    bundle = Bundle.open(failing_bundle(tmp_path / "b", after_steps=GOLDEN_STEPS - 1))
    assert _snr_db(TransferModel.load(bundle), bundle) == -np.inf


def test_choices_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    path = passthrough_bundle(tmp_path / "b")
    with pytest.raises(BadConfig, match="no int8 file"):
        _load(path, precision="int8")
    with pytest.raises(BadConfig, match="precision out of"):
        _load(path, precision="int4")
    with pytest.raises(BadConfig, match="device out of"):
        _load(path, device="tpu")


def _rename_output(model: onnx.ModelProto) -> None:
    model.graph.output[0].name = "content_db"
    del model.graph.output[0].type.tensor_type.shape.dim[:]


def _fix_sessions(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def _resize_state(model: onnx.ModelProto) -> None:
    model.graph.input[3].type.tensor_type.shape.dim[1].dim_value = STATE_SIZE + 1


def _add_unknown_operator(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("NoSuchOperator", ["state"], ["z"]))


@pytest.mark.parametrize("spoil", [_rename_output, _fix_sessions, _resize_state, _add_unknown_operator])
def test_a_model_whose_tensors_or_operators_are_others_is_refused(
    spoil: Callable[[onnx.ModelProto], None], tmp_path: Path
) -> None:
    transfer = passthrough_transfer()
    spoil(transfer)
    bundle = Bundle.open(custom_bundle(tmp_path / "b", transfer.SerializeToString()))
    with pytest.raises(BundleInvalid, match=r"transfer\.onnx"):
        TransferModel.load(bundle)


def test_a_bundle_that_is_exchanged_after_opening_is_not_loaded(tmp_path: Path) -> None:
    bundle = Bundle.open(passthrough_bundle(tmp_path / "b"))
    gain_bundle(tmp_path / "b", -3.0)
    with pytest.raises(BundleInvalid, match="sha256"):
        TransferModel.load(bundle)


def test_the_encoder_gives_a_style_of_its_bundle(tmp_path: Path) -> None:
    path = passthrough_bundle(tmp_path / "b")
    encoder = StyleEncoder.load(Bundle.open(path))
    quiet = encoder.encode(np.full((30, N_BANDS), 0.001, np.float32), name="quiet")
    loud = encoder.encode(np.full((1, N_BANDS), 0.1, np.float32))
    assert quiet.name == "quiet"
    assert quiet.bundle_digest == Bundle.open(path).digest == encoder.bundle_digest
    assert quiet.values.shape == (STYLE_SIZE,)
    assert quiet.values[0] < loud.values[0]
    assert encoder.provider == CPU_PROVIDER


def test_the_encoder_refuses_what_is_not_finite(tmp_path: Path) -> None:
    encoder = StyleEncoder.load(Bundle.open(passthrough_bundle(tmp_path / "b")))
    with pytest.raises(InferenceFailed):
        encoder.encode(np.full((2, N_BANDS), np.nan, np.float32))


def test_state_goes_on_from_step_to_step_as_if_it_were_one_run(tmp_path: Path) -> None:
    model = _load(counting_bundle(tmp_path / "b", db_per_step=-0.25))
    inputs = _inputs() | {"state": model.initial_state()[np.newaxis]}
    heard = []
    for _ in range(5):
        gain_db, inputs["state"] = model.step(**inputs)
        heard.append(float(gain_db[0, 0, 0, 0]))
    assert heard == [0.0, -0.25, -0.5, -0.75, -1.0]
