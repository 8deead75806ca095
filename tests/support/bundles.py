"""Small real bundles, built with the onnx package alone, whose transfer models do what a test can predict.

All of them have the state of `STATE_SIZE` floats a stream: [0] counts steps, [1] counts steps that were not frozen,
[2] holds the mean of the last step's content bands, the rest stay 0. All of them have a style of `STYLE_SIZE` values,
and an encoder that puts 40 + 20*log10 of the mean band magnitude, limited to -24 .. 24, into value 0.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from deepmusic_export.bundle import write_bundle

N_BANDS = 96
STEP_FRAMES = 4
#: A step of the segment bundles, and how many frames late their gains are.
SEGMENT_FRAMES, LOOK_AHEAD_FRAMES = 16, 8
#: A frame whose content is louder than this, as a mean over bands, is ducked by `ducking_bundle`.
DUCKED_LEVEL = 1e-4
STYLE_SIZE = 8
STATE_SIZE = 16
#: Gain of an excitation that is to be silent, in dB.
OFF_DB = -120.0
GOLDEN_STEPS = 4

_Nodes = list[onnx.NodeProto]
_Constants = dict[str, npt.NDArray[Any]]


def passthrough_bundle(path: Path, *, name: str = "passthrough") -> Path:
    """Content at 0 dB, everything else off, whatever the style."""
    return _write(path, name, _transfer_model(content_db=0.0))


def gain_bundle(path: Path, gain_db: float, *, name: str = "gain") -> Path:
    """Content at `gain_db`, everything else off, whatever the style."""
    return _write(path, name, _transfer_model(content_db=gain_db), content_db=gain_db)


def style_gain_bundle(path: Path, *, name: str = "style-gain") -> Path:
    """Value 0 of the style is the content's gain in dB, so that two styles differ sample by sample."""
    return _write(path, name, _transfer_model(content_db=0.0, style_sets_gain=True), style_gain=True)


def noise_bundle(path: Path, gain_db: float = 0.0, *, name: str = "noise") -> Path:
    """All four excitations at `gain_db`: the output depends on the excitation bank and its seed."""
    levels = [gain_db] * 4
    return _write(path, name, _transfer_model(levels_db=levels), levels_db=levels)


def counting_bundle(path: Path, *, db_per_step: float = -0.5, name: str = "counting") -> Path:
    """The content's gain is the count of steps times `db_per_step`: shows lost, repeated and reset state."""
    return _write(path, name, _transfer_model(content_db=0.0, db_per_step=db_per_step), db_per_step=db_per_step)


def segment_bundle(path: Path, gain_db: float = 0.0, *, name: str = "segment") -> Path:
    """A pass-through of the kind segment: steps of `SEGMENT_FRAMES`, gains that are `LOOK_AHEAD_FRAMES` late."""
    return _write_segment(path, name, levels_db=(gain_db, OFF_DB, OFF_DB, OFF_DB))


def segment_style_bundle(path: Path, *, name: str = "segment-style") -> Path:
    """A segment bundle where value 0 of the style is the content's gain in dB."""
    return _write_segment(path, name, style_sets_gain=True)


def segment_noise_bundle(path: Path, *, name: str = "segment-noise") -> Path:
    """A segment bundle with all four excitations at 0 dB."""
    return _write_segment(path, name, levels_db=[0.0] * 4)


def ducking_bundle(path: Path, duck_db: float = -12.0, *, name: str = "ducking") -> Path:
    """A segment bundle that turns the content down in loud frames, so that gains show which frame they belong to."""
    return _write_segment(path, name, duck_db=duck_db)


def ducking_stream_bundle(path: Path, duck_db: float = -12.0, *, name: str = "ducking-stream") -> Path:
    """A stream bundle with the very gains of `ducking_bundle`."""
    return _write(path, name, _transfer_model(duck_db=duck_db))


def counting_segment_bundle(path: Path, *, db_per_step: float = -0.5, name: str = "counting-segment") -> Path:
    """A segment bundle where the content's gain is the count of steps times `db_per_step`."""
    return _write_segment(path, name, db_per_step=db_per_step)


def failing_segment_bundle(path: Path, *, after_steps: int = 0, name: str = "failing-segment") -> Path:
    """A segment bundle whose step raises once the state has counted `after_steps` steps."""
    return _write_segment(path, name, fails_after=after_steps)


def remembering_bundle(path: Path, *, name: str = "remembering") -> Path:
    """The content's gain is the style's value 0 less 0.25 dB for each step of the state, over some noise: every lost,
    repeated or reset state, and every style, is heard in every sample."""
    levels = [0.0, OFF_DB, OFF_DB, -20.0]
    transfer = _transfer_model(levels_db=levels, style_sets_gain=True, db_per_step=-0.25)
    return _write(path, name, transfer, levels_db=levels, style_gain=True, db_per_step=-0.25)


def slow_bundle(path: Path, *, n_products: int = 2000, name: str = "slow") -> Path:
    """A pass-through that multiplies 128 x 128 matrices `n_products` times a step (about 0.1 ms each on one core)."""
    return _write(path, name, _transfer_model(content_db=0.0, n_products=n_products))


def failing_bundle(path: Path, *, after_steps: int = 0, name: str = "failing") -> Path:
    """A pass-through whose step raises inside ONNX Runtime once the state has counted `after_steps` steps."""
    return _write(path, name, _transfer_model(content_db=0.0, fails_after=after_steps))


def nan_bundle(path: Path, *, after_steps: int = 0, name: str = "nan") -> Path:
    """A pass-through whose gains are NaN once the state has counted `after_steps` steps."""
    return _write(path, name, _transfer_model(content_db=0.0, nan_after=after_steps))


def int8_bundle(path: Path, *, int8_error_db: float = 0.0, name: str = "with-int8") -> Path:
    """A pass-through with a second transfer file, called int8, that is wrong by `int8_error_db`."""
    return _write(path, name, _transfer_model(content_db=0.0), int8=_transfer_model(content_db=int8_error_db))


def custom_bundle(path: Path, transfer: bytes, *, name: str = "custom") -> Path:
    """A pass-through bundle with these bytes as its transfer file, under a manifest whose digests are right."""
    return _write(path, name, transfer)


def passthrough_transfer() -> onnx.ModelProto:
    """The pass-through's transfer model, for tests that damage it."""
    return onnx.load_from_string(_transfer_model(content_db=0.0))


def manifest_fields(name: str = "passthrough", *, int8: bool = False, look_ahead: int = 0) -> dict[str, Any]:
    """The manifest's members without ``files``; with a look-ahead they are those of a segment bundle."""
    step_frames, state_size = (SEGMENT_FRAMES if look_ahead else STEP_FRAMES), STATE_SIZE + look_ahead
    transfer_tensors = {
        "inputs": [
            _tensor("bands", "sessions", step_frames, 3, N_BANDS),
            _tensor("style", "sessions", STYLE_SIZE),
            _tensor("freeze", "sessions", 1),
            _tensor("state", "sessions", state_size),
        ],
        "outputs": [
            _tensor("gain_db", "sessions", step_frames, 4, N_BANDS),
            _tensor("state_out", "sessions", state_size),
        ],
    }
    return {
        "format": 1,
        "name": name,
        "version": "1",
        "kind": "segment" if look_ahead else "stream",
        "profile": "studio" if look_ahead else "live",
        **({"segment": {"look_ahead_frames": look_ahead}} if look_ahead else {}),
        "features": {
            "n_bands": N_BANDS,
            "low_hz": 30.0,
            "high_hz": 18000.0,
            "scale": "mel-htk",
            "step_frames": step_frames,
            "excitations": ["content", "odd", "even", "noise"],
        },
        "style": {
            "file": "style_encoder.onnx",
            "size": STYLE_SIZE,
            "inputs": [_tensor("bands", 1, "frames", N_BANDS)],
            "outputs": [_tensor("style", 1, STYLE_SIZE)],
        },
        "transfer": {"file": "transfer.onnx", "precision": "float32", **transfer_tensors},
        "transfer_int8": {"file": "transfer.int8.onnx", "precision": "int8", **transfer_tensors} if int8 else None,
        "state": {"size": state_size, "file": "initial_state.npy"},
        "golden": {"file": "golden.npz"},
        "statistics_time_constant_s": 1.5,
        "training": {"data": "none", "steps": 0, "hours": 0.0, "seed": 0, "host": "none", "note": "built by a test"},
        "licence": "MIT",
        "metrics": {},
    }


def bundle_files(transfer: bytes | None = None) -> dict[str, bytes]:
    """The files of a pass-through bundle, with another transfer file if given."""
    return {
        "transfer.onnx": _transfer_model(content_db=0.0) if transfer is None else transfer,
        "style_encoder.onnx": _style_encoder(),
        "initial_state.npy": _npy(np.zeros(STATE_SIZE, np.float32)),
        "golden.npz": _golden([0.0, OFF_DB, OFF_DB, OFF_DB]),
    }


def _write(
    path: Path,
    name: str,
    transfer: bytes,
    *,
    int8: bytes | None = None,
    content_db: float = 0.0,
    levels_db: Sequence[float] | None = None,
    style_gain: bool = False,
    db_per_step: float = 0.0,
) -> Path:
    files = bundle_files(transfer)
    levels = [content_db, OFF_DB, OFF_DB, OFF_DB] if levels_db is None else levels_db
    files["golden.npz"] = _golden(levels, style_gain=style_gain, db_per_step=db_per_step)
    if int8 is not None:
        files["transfer.int8.onnx"] = int8
    write_bundle(path, manifest_fields(name, int8=int8 is not None), files)
    return path


def _write_segment(
    path: Path, name: str, *, levels_db: Sequence[float] = (0.0, OFF_DB, OFF_DB, OFF_DB), **moving: Any
) -> Path:
    sizes = {"step_frames": SEGMENT_FRAMES, "look_ahead": LOOK_AHEAD_FRAMES}
    transfer = _transfer_model(levels_db=levels_db, **moving, **sizes)
    state = np.zeros(STATE_SIZE + LOOK_AHEAD_FRAMES, np.float32)
    golden = _golden(levels_db, style_gain=moving.get("style_sets_gain", False), step_frames=SEGMENT_FRAMES)
    files = {**bundle_files(transfer), "initial_state.npy": _npy(state), "golden.npz": golden}
    write_bundle(path, manifest_fields(name, look_ahead=LOOK_AHEAD_FRAMES), files)
    return path


def _golden(
    levels_db: Sequence[float],
    *,
    style_gain: bool = False,
    db_per_step: float = 0.0,
    step_frames: int = STEP_FRAMES,
) -> bytes:
    random = np.random.default_rng(7)
    style = random.normal(size=(1, STYLE_SIZE)).astype(np.float32)
    bands = random.uniform(0.0, 0.1, (GOLDEN_STEPS, 1, step_frames, 3, N_BANDS)).astype(np.float32)
    gain_db = np.empty((GOLDEN_STEPS, 1, step_frames, 4, N_BANDS), np.float32)
    gain_db[:] = np.asarray(levels_db, np.float32)[:, np.newaxis]
    gain_db[:, :, :, 0] += np.arange(GOLDEN_STEPS, dtype=np.float32)[:, None, None, None] * db_per_step
    if style_gain:
        gain_db[:, :, :, 0] += style[0, 0]
    buffer = io.BytesIO()
    np.savez(buffer, bands=bands, style=style, gain_db=gain_db)
    return buffer.getvalue()


def _transfer_model(
    *,
    content_db: float = 0.0,
    levels_db: Sequence[float] | None = None,
    style_sets_gain: bool = False,
    db_per_step: float = 0.0,
    n_products: int = 0,
    fails_after: int | None = None,
    nan_after: int | None = None,
    duck_db: float = 0.0,
    step_frames: int = STEP_FRAMES,
    look_ahead: int = 0,
) -> bytes:
    levels = [content_db, OFF_DB, OFF_DB, OFF_DB] if levels_db is None else levels_db
    base = np.empty((1, step_frames, 4, N_BANDS), np.float32)
    base[:] = np.asarray(levels, np.float32)[:, np.newaxis]
    content_only = np.zeros((1, 1, 4, 1), np.float32)
    content_only[0, 0, 0] = 1.0
    constants: _Constants = {
        "base": base,
        "content_only": content_only,
        "style_scale": np.float32([1.0 if style_sets_gain else 0.0]),
        "count_scale": np.float32([db_per_step]),
        "zero_index": np.int64([0]),
        "one_index": np.int64([1]),
        "column_axis": np.int64([1]),
        "per_session": np.int64([-1, 1, 1, 1]),
    }
    nodes: _Nodes = [
        helper.make_node("Slice", ["style", "zero_index", "one_index", "column_axis"], ["style_gain"]),
        helper.make_node("Slice", ["state", "zero_index", "one_index", "column_axis"], ["count"]),
        helper.make_node("Mul", ["style_gain", "style_scale"], ["style_db"]),
        helper.make_node("Mul", ["count", "count_scale"], ["count_db"]),
        helper.make_node("Add", ["style_db", "count_db"], ["moving_db"]),
    ]
    moving = "moving_db"
    if nan_after is not None:
        moving = _poisoned(nodes, constants, moving, nan_after)
    if fails_after is not None:
        moving = _failing(nodes, constants, moving, fails_after)
    if n_products:
        moving = _laboured(nodes, constants, moving, n_products)
    nodes.append(helper.make_node("Reshape", [moving, "per_session"], ["moving_db_4d"]))
    moving = _ducked(nodes, constants, step_frames, look_ahead, duck_db) if duck_db or look_ahead else "moving_db_4d"
    nodes += [
        helper.make_node("Mul", [moving, "content_only"], ["content_db"]),
        helper.make_node("Add", ["base", "content_db"], ["gain_db"]),
    ]
    _counting_state(nodes, constants, STATE_SIZE + look_ahead, "counted_state" if look_ahead else "state_out")
    if look_ahead:
        nodes.append(helper.make_node("Add", ["counted_state", "heard_part"], ["state_out"]))
    inputs = [
        _value("bands", "sessions", step_frames, 3, N_BANDS),
        _value("style", "sessions", STYLE_SIZE),
        _value("freeze", "sessions", 1),
        _value("state", "sessions", STATE_SIZE + look_ahead),
    ]
    outputs = [
        _value("gain_db", "sessions", step_frames, 4, N_BANDS),
        _value("state_out", "sessions", STATE_SIZE + look_ahead),
    ]
    return _model(nodes, inputs, outputs, constants)


def _ducked(nodes: _Nodes, constants: _Constants, step_frames: int, look_ahead: int, duck_db: float) -> str:
    """Remembers the levels of the look-ahead behind the counting state, and ducks the loud frames of before."""
    constants |= {
        "ducked_level": np.float32([DUCKED_LEVEL]),
        "duck_db": np.float32([duck_db]),
        "no_duck": np.float32([0.0]),
        "per_frame": np.int64([0, step_frames, 1, 1]),
    }
    nodes += [
        helper.make_node("Slice", ["bands", "zero_index", "one_index", "excitation_axis"], ["frames_content"]),
        helper.make_node("ReduceMean", ["frames_content"], ["frame_levels"], axes=[2, 3], keepdims=0),
    ]
    own = "frame_levels"
    if look_ahead:
        own = "own"
        keep = np.zeros((look_ahead, STATE_SIZE + look_ahead), np.float32)
        keep[:, STATE_SIZE:] = np.eye(look_ahead)
        constants |= {
            "heard_index": np.int64([STATE_SIZE]),
            "heard_end": np.int64([STATE_SIZE + look_ahead]),
            "segment_index": np.int64([step_frames]),
            "window_end": np.int64([step_frames + look_ahead]),
            "heard_columns": keep,
        }
        nodes += [
            helper.make_node("Slice", ["state", "heard_index", "heard_end", "column_axis"], ["heard"]),
            helper.make_node("Concat", ["heard", "frame_levels"], ["window"], axis=1),
            helper.make_node("Slice", ["window", "zero_index", "segment_index", "column_axis"], [own]),
            helper.make_node("Slice", ["window", "segment_index", "window_end", "column_axis"], ["heard_next"]),
            helper.make_node("MatMul", ["heard_next", "heard_columns"], ["heard_part"]),
        ]
    nodes += [
        helper.make_node("Greater", [own, "ducked_level"], ["is_loud"]),
        helper.make_node("Where", ["is_loud", "duck_db", "no_duck"], ["frame_duck"]),
        helper.make_node("Reshape", ["frame_duck", "per_frame"], ["frame_duck_4d"]),
        helper.make_node("Add", ["moving_db_4d", "frame_duck_4d"], ["ducked_db"]),
    ]
    return "ducked_db"


def _counting_state(nodes: _Nodes, constants: _Constants, size: int, output: str) -> None:
    def column(index: int) -> npt.NDArray[np.float32]:
        row = np.zeros((1, size), np.float32)
        row[0, index] = 1.0
        return row

    constants |= {
        "keep": np.where(np.arange(size) < STATE_SIZE, 1.0 - column(2), 0.0).astype(np.float32),
        "count_step": column(0),
        "count_moving": column(1),
        "level_column": column(2),
        "one": np.float32([1.0]),
        "content_index": np.int64([0]),
        "content_end": np.int64([1]),
        "excitation_axis": np.int64([2]),
        "session_column": np.int64([-1, 1]),
    }
    nodes += [
        helper.make_node("Slice", ["bands", "content_index", "content_end", "excitation_axis"], ["content_bands"]),
        helper.make_node("ReduceMean", ["content_bands"], ["level_4d"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Reshape", ["level_4d", "session_column"], ["level"]),
        helper.make_node("Mul", ["level", "level_column"], ["level_part"]),
        helper.make_node("Sub", ["one", "freeze"], ["moving"]),
        helper.make_node("Mul", ["moving", "count_moving"], ["moving_part"]),
        helper.make_node("Mul", ["state", "keep"], ["kept"]),
        helper.make_node("Add", ["kept", "count_step"], ["counted"]),
        helper.make_node("Add", ["counted", "moving_part"], ["counted_both"]),
        helper.make_node("Add", ["counted_both", "level_part"], [output]),
    ]


def _poisoned(nodes: _Nodes, constants: _Constants, name: str, after_steps: int) -> str:
    constants |= {"nan": np.float32([np.nan]), "nan_limit": np.float32([after_steps - 0.5])}
    nodes += [
        helper.make_node("Greater", ["count", "nan_limit"], ["is_poisoned"]),
        helper.make_node("Where", ["is_poisoned", "nan", name], ["poisoned"]),
    ]
    return "poisoned"


def _failing(nodes: _Nodes, constants: _Constants, name: str, after_steps: int) -> str:
    """Looks the count up in a table that is one entry too short; ONNX Runtime refuses the index."""
    constants["table"] = np.zeros(max(after_steps, 1), np.float32)
    constants["table_shift"] = np.float32([1.0 if after_steps == 0 else 0.0])
    nodes += [
        helper.make_node("Add", ["count", "table_shift"], ["shifted_count"]),
        helper.make_node("Cast", ["shifted_count"], ["table_index"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "table_index"], ["looked_up"]),
        helper.make_node("Add", [name, "looked_up"], ["checked"]),
    ]
    return "checked"


def _laboured(nodes: _Nodes, constants: _Constants, name: str, n_products: int) -> str:
    size = 128
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["square", "rotation"], ["next_square"]),
            helper.make_node("Identity", ["go_on"], ["go_on_out"]),
        ],
        "labour",
        [
            helper.make_tensor_value_info("iteration", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            _value("square", size, size),
        ],
        [helper.make_tensor_value_info("go_on_out", TensorProto.BOOL, []), _value("next_square", size, size)],
    )
    constants |= {
        "rotation": np.eye(size, dtype=np.float32)[::-1].copy(),
        "unit": np.ones((size, size), np.float32),
        "trip_count": np.int64(n_products),
        "true": np.bool_(True),
        "nothing": np.float32([0.0]),
    }
    nodes += [
        helper.make_node("ReduceMax", ["count"], ["any_count"], keepdims=1),
        helper.make_node("Mul", ["unit", "any_count"], ["start_square"]),
        helper.make_node("Loop", ["trip_count", "true", "start_square"], ["end_square"], body=body),
        helper.make_node("ReduceMean", ["end_square"], ["labour_mean"], keepdims=1),
        helper.make_node("Mul", ["labour_mean", "nothing"], ["labour_zero"]),
        helper.make_node("Add", [name, "labour_zero"], ["laboured"]),
    ]
    return "laboured"


def _style_encoder() -> bytes:
    constants: _Constants = {
        "floor": np.float32([1e-5]),
        "db_per_log": np.float32([20.0 / np.log(10.0)]),
        "middle_db": np.float32([40.0]),
        "low": np.float32(-24.0),
        "high": np.float32(24.0),
        "first": np.eye(1, STYLE_SIZE, dtype=np.float32),
        "row": np.int64([1, 1]),
    }
    nodes = [
        helper.make_node("ReduceMean", ["bands"], ["mean_3d"], axes=[1, 2], keepdims=1),
        helper.make_node("Reshape", ["mean_3d", "row"], ["mean"]),
        helper.make_node("Add", ["mean", "floor"], ["above_floor"]),
        helper.make_node("Log", ["above_floor"], ["log"]),
        helper.make_node("Mul", ["log", "db_per_log"], ["level_db"]),
        helper.make_node("Add", ["level_db", "middle_db"], ["moved_db"]),
        helper.make_node("Clip", ["moved_db", "low", "high"], ["limited_db"]),
        helper.make_node("Mul", ["limited_db", "first"], ["style"]),
    ]
    return _model(nodes, [_value("bands", 1, "frames", N_BANDS)], [_value("style", 1, STYLE_SIZE)], constants)


def _model(
    nodes: _Nodes,
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    constants: _Constants,
) -> bytes:
    initializers = [numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()]
    graph = helper.make_graph(nodes, "deepmusic_test", inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def _value(name: str, *shape: int | str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))


def _tensor(name: str, *shape: int | str) -> dict[str, Any]:
    return {"name": name, "dtype": "float32", "shape": list(shape)}


def _npy(array: npt.NDArray[np.float32]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


#: Every stream bundle that plays, by what it is called; for tests that go over all of them.
PLAYING_BUNDLES: dict[str, Callable[[Path], Path]] = {
    "passthrough": passthrough_bundle,
    "style-gain": style_gain_bundle,
    "noise": noise_bundle,
    "counting": counting_bundle,
}
