"""ONNX Runtime, wrapped: sessions with stated threads and honest providers, models with explicit state.

The only module that imports onnxruntime.
"""

from __future__ import annotations

from typing import Any, Final, Literal, Self, cast

import numpy as np
import onnxruntime

from deepmusic.errors import BadConfig, BundleInvalid, InferenceFailed, install_extra
from deepmusic.model.arrays import FloatArray
from deepmusic.model.bundle import Bundle
from deepmusic.model.golden import Golden, golden_snr_db
from deepmusic.model.manifest import EXCITATIONS, TensorSpec, TransferFile
from deepmusic.model.providers import CUDA_PROVIDER, Device, choose_providers, has_nvidia_driver
from deepmusic.model.style_vector import StyleVector

Precision = Literal["auto", "float", "int8"]
PRECISIONS: Final[tuple[Precision, ...]] = ("auto", "float", "int8")
#: Below this ratio to the golden steps an int8 file is not used (DESIGN, The bundle): x86 without VNNI saturates.
MIN_INT8_SNR_DB: Final = 20.0
#: A gain above this is a fault of the model, not a sound: training bounds gains to some 40 dB.
MAX_GAIN_DB: Final = 100.0
#: ONNX Runtime reports what it raises; its log would repeat that on stderr. 4 is "fatal only".
_LOG_FATAL: Final = 4

#: ONNX Runtime comes without types; what leaves this module is typed again.
_ort: Any = onnxruntime


class TransferModel:
    """The network that turns features into gains; all its state goes in and comes out. Safe from any thread."""

    def __init__(
        self,
        bundle: Bundle,
        session: Any,
        *,
        precision: str,
        precision_note: str,
        requested_device: Device,
        device_note: str,
        intra_op_threads: int,
    ) -> None:
        self._session = session
        self._initial_state = bundle.initial_state()
        self.manifest = bundle.manifest
        self.bundle_digest = bundle.digest
        #: Precision of the weights that run: float32, float16 or int8.
        self.precision = precision
        #: Why the precision is not the one that was asked for or expected; empty where it is.
        self.precision_note = precision_note
        self.requested_device: Device = requested_device
        #: Why the model does not run where it was asked to; empty where it does.
        self.device_note = device_note
        #: The provider that runs the graph, by ONNX Runtime's name.
        self.provider: str = self._session.get_providers()[0]
        #: Threads within one step.
        self.intra_op_threads = intra_op_threads

    @classmethod
    def load(
        cls,
        bundle: Bundle,
        precision: Precision = "auto",
        device: Device = "auto",
        intra_op_threads: int = 1,
    ) -> Self:
        """Loads a bundle's transfer file.

        Args:
            bundle: an opened bundle.
            precision: "auto" takes int8 where the bundle has it, the model runs on the CPU and it stays within 20 dB of
                the golden steps; otherwise the float file, and `precision_note` says why.
            device: "auto" takes CUDA where there is one. A wish that cannot be granted falls back to the CPU, and
                `device_note` says why.
            intra_op_threads: threads one step may use, the caller's among them. Steps are so small that two raise the
                total cost.

        Raises:
            BadConfig: a choice that does not exist, or int8 from a bundle without it.
            BundleInvalid: ONNX Runtime refuses the file or its tensors are not the manifest's.
        """
        if precision not in PRECISIONS:
            raise BadConfig(
                f"expected a precision out of {', '.join(PRECISIONS)}, got {precision!r:.40}", field="precision"
            )
        int8 = bundle.manifest.transfer_int8
        if precision == "int8" and int8 is None:
            raise BadConfig(f"bundle {bundle.manifest.name!r} has no int8 file; use auto or float", field="precision")
        note = ""
        if precision == "int8" or (precision == "auto" and int8 is not None):
            model = cls._load_file(bundle, cast("TransferFile", int8), device, intra_op_threads)
            if precision == "int8":
                return model
            note = _doubt_about_int8(model, bundle.golden())
            if not note:
                return model
        return cls._load_file(bundle, bundle.manifest.transfer, device, intra_op_threads, precision_note=note)

    @classmethod
    def _load_file(
        cls, bundle: Bundle, file: TransferFile, device: Device, threads: int, *, precision_note: str = ""
    ) -> Self:
        expected = bundle.manifest.transfer_tensors()
        session, device_note = _open_session(bundle, file.file, device, threads, expected)
        return cls(
            bundle,
            session,
            precision=file.precision,
            precision_note=precision_note,
            requested_device=device,
            device_note=device_note,
            intra_op_threads=threads,
        )

    @property
    def device(self) -> str:
        """Where it runs: "cpu" or "cuda"."""
        return "cuda" if self.provider == CUDA_PROVIDER else "cpu"

    def initial_state(self) -> FloatArray:
        """A new copy of the state before the first step, shape (n_state,)."""
        return self._initial_state.copy()

    def step(
        self, bands: FloatArray, style: FloatArray, freeze: FloatArray, state: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """[any] Runs one step for S streams at once.

        Args:
            bands: band magnitudes [s, f, e, b] of content, odd and even excitation, shape (S, F, 3, n_bands).
            style: style vectors, shape (S, D).
            freeze: 1 where the running statistics are held, else 0; shape (S, 1).
            state: packed states, shape (S, n_state).

        Returns:
            Gains in dB, shape (S, F, 4, n_bands), finite, those of a segment bundle for the frames of
            `look_ahead_frames` before; and the next states, shape (S, n_state).

        Raises:
            InferenceFailed: the step raised, or gave gains or states that are not finite or gains above 100 dB.
        """
        feeds = {"bands": bands, "style": style, "freeze": freeze, "state": state}
        gain_db, next_state = _run(self._session, ["gain_db", "state_out"], feeds, self.manifest.name)
        if gain_db.shape != (*bands.shape[:2], len(EXCITATIONS), bands.shape[3]) or next_state.shape != state.shape:
            raise InferenceFailed(f"bundle {self.manifest.name!r} gave gains or a state of the wrong shape")
        # NaN passes neither comparison, so that one pass over each array finds it as well as infinities.
        if not (gain_db.max() <= MAX_GAIN_DB and gain_db.min() > -np.inf):
            raise InferenceFailed(
                f"bundle {self.manifest.name!r} gave gains that are not finite or above {MAX_GAIN_DB:g} dB"
            )
        if not (next_state.max() < np.inf and next_state.min() > -np.inf):
            raise InferenceFailed(f"bundle {self.manifest.name!r} gave a state that is not finite")
        return gain_db, next_state


class StyleEncoder:
    """The network that learns a style. Safe from any thread."""

    def __init__(self, bundle: Bundle, session: Any) -> None:
        self._session = session
        self.manifest = bundle.manifest
        self.bundle_digest = bundle.digest
        #: The provider that runs the graph, by ONNX Runtime's name.
        self.provider: str = self._session.get_providers()[0]

    @classmethod
    def load(cls, bundle: Bundle, device: Device = "cpu", intra_op_threads: int = 1) -> Self:
        """Loads a bundle's style encoder; errors as in `TransferModel.load`.

        It runs once for each style, so that the CPU is the default: a GPU would take longer to start than it saves.
        """
        file, expected = bundle.manifest.style.file, bundle.manifest.style_tensors()
        session, _ = _open_session(bundle, file, device, intra_op_threads, expected)
        return cls(bundle, session)

    def encode(self, bands: FloatArray, *, name: str = "") -> StyleVector:
        """[any] Learns a style.

        Args:
            bands: band magnitudes of the recording's frames, shape (T, n_bands), T at least 1.
            name: what to call the style.

        Raises:
            InferenceFailed: the encoder raised or gave values that are not finite.
        """
        feeds = {"bands": np.ascontiguousarray(bands, np.float32)[np.newaxis]}
        (style,) = _run(self._session, ["style"], feeds, self.manifest.name)
        if style.shape != (1, self.manifest.style.size) or not np.isfinite(style).all():
            raise InferenceFailed(f"the style encoder of bundle {self.manifest.name!r} gave no finite style vector")
        return StyleVector(values=style[0], bundle_digest=self.bundle_digest, name=name)


def runtime_version() -> str:
    """The version of ONNX Runtime."""
    return str(_ort.__version__)


def available_providers() -> tuple[str, ...]:
    """The providers that the installed ONNX Runtime was built with."""
    return tuple(cast("list[str]", _ort.get_available_providers()))


def _doubt_about_int8(model: TransferModel, golden: Golden) -> str:
    if model.device != "cpu":
        return f"float instead of int8: int8 is for CPUs, this runs on {model.device}"
    snr_db = golden_snr_db(model, model.initial_state(), golden)
    if snr_db >= MIN_INT8_SNR_DB:
        return ""
    return f"float instead of int8: int8 reaches {snr_db:.1f} dB on this machine, {MIN_INT8_SNR_DB:g} dB is wanted"


def _open_session(
    bundle: Bundle,
    file: str,
    device: Device,
    threads: int,
    expected: tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]],
) -> tuple[Any, str]:
    if threads < 1:
        raise BadConfig(f"expected at least 1 thread, got {threads}", field="intra_op_threads")
    choice = choose_providers(device, available_providers(), has_driver=device != "cpu" and has_nvidia_driver())
    if CUDA_PROVIDER in choice.providers:
        _ort.preload_dlls()
    try:
        # From bytes, so that what runs is what was checked, and no path exists for external data to start from.
        session = _ort.InferenceSession(bundle.read(file), _options(threads), providers=list(choice.providers))
    except BundleInvalid:
        raise
    except Exception as error:
        # ONNX Runtime raises several unrelated classes here, MemoryError's relatives among them.
        raise BundleInvalid(f"{file}: ONNX Runtime refuses the model; export it again", field=file) from error
    _check_tensors(file, session.get_inputs(), expected[0])
    _check_tensors(file, session.get_outputs(), expected[1])
    note = choice.note
    if CUDA_PROVIDER in choice.providers and session.get_providers()[0] != CUDA_PROVIDER:
        note = f"CUDA could not start, its libraries may be missing; {install_extra('cuda')}"
    return session, note


def _options(threads: int) -> Any:
    options = _ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = _ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = _ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.use_deterministic_compute = True
    options.log_severity_level = _LOG_FATAL
    # A step takes a millisecond or two every twenty: threads that spin between steps would eat the machine.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return options


def _check_tensors(file: str, found: list[Any], expected: tuple[TensorSpec, ...]) -> None:
    by_name = {tensor.name: tensor for tensor in found}
    if set(by_name) != {spec.name for spec in expected}:
        wanted = ", ".join(spec.name for spec in expected)
        raise BundleInvalid(f"{file}: expected the tensors {wanted}, got {', '.join(sorted(by_name)):.100}", field=file)
    for spec in expected:
        tensor = by_name[spec.name]
        shape: list[Any] = list(tensor.shape)
        fits = len(shape) == len(spec.shape) and all(
            (size == wanted) if isinstance(wanted, int) else not isinstance(size, int)
            for size, wanted in zip(shape, spec.shape, strict=True)
        )
        if tensor.type != "tensor(float)" or not fits:
            raise BundleInvalid(
                f"{file}: {spec.name}: expected float32 of {list(spec.shape)}, got {tensor.type} of {shape!r:.100}",
                field=file,
            )


def _run(session: Any, outputs: list[str], feeds: dict[str, FloatArray], name: str) -> list[FloatArray]:
    try:
        return session.run(outputs, feeds)
    except Exception as error:
        # ONNX Runtime's exception classes share no base of their own.
        raise InferenceFailed(f"a step of bundle {name!r} failed inside ONNX Runtime") from error
