"""Where a model may run: what was asked for, what this machine has, and what that comes to."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal

from deepmusic.errors import BadConfig, install_extra

Device = Literal["auto", "cpu", "cuda"]
DEVICES: Final[tuple[Device, ...]] = ("auto", "cpu", "cuda")
CPU_PROVIDER: Final = "CPUExecutionProvider"
CUDA_PROVIDER: Final = "CUDAExecutionProvider"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderChoice:
    """Which providers to ask ONNX Runtime for, best first, and why not the one that was wished for."""

    providers: tuple[str, ...]
    note: str
    """Empty where the wish was granted."""


def choose_providers(device: Device, available: Collection[str], *, has_driver: bool) -> ProviderChoice:
    """Decides from facts alone.

    Args:
        device: what was asked for; "auto" takes CUDA where it is there and says nothing where it is not.
        available: providers that the installed ONNX Runtime was built with.
        has_driver: whether NVIDIA's driver library can be loaded.

    Raises:
        BadConfig: `device` is none of `DEVICES`.
    """
    if device not in DEVICES:
        raise BadConfig(f"expected a device out of {', '.join(DEVICES)}, got {device!r:.40}", field="device")
    if device == "cpu":
        return ProviderChoice(providers=(CPU_PROVIDER,), note="")
    if CUDA_PROVIDER not in available:
        reason = f"this ONNX Runtime was built without CUDA; {install_extra('cuda')}"
    elif not has_driver:
        reason = "no NVIDIA driver was found"
    else:
        return ProviderChoice(providers=(CUDA_PROVIDER, CPU_PROVIDER), note="")
    return ProviderChoice(
        providers=(CPU_PROVIDER,), note="" if device == "auto" else f"cuda was asked for, but {reason}"
    )


def has_nvidia_driver() -> bool:
    """Whether the driver's library loads: a matter of microseconds where it is missing."""
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True
