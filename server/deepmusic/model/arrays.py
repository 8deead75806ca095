"""Arrays as bytes. Out of .npy and .npz that are not trusted, the shape is checked before memory is taken for it."""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from typing import Final

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy_format

from deepmusic.errors import BundleInvalid

FloatArray = npt.NDArray[np.float32]
#: An axis of any length from 1 on.
ANY: Final = -1
#: No array of a bundle has more elements: 64 MiB of float32.
_MAX_ELEMENTS: Final = 16 << 20


def float_bytes(values: FloatArray) -> bytes:
    """Values end to end as little-endian float32, as messages and receipts hold them."""
    return values.astype("<f4").tobytes()


def floats_from_bytes(data: bytes) -> FloatArray:
    """What `float_bytes` wrote, `(n,)`, an array of its own.

    Raises:
        ValueError: no whole number of float32.
    """
    return np.frombuffer(data, "<f4").astype(np.float32)


def read_npy(data: bytes, shape: tuple[int, ...], *, what: str) -> FloatArray:
    """Reads one float32 array.

    Args:
        data: a .npy file.
        shape: what its shape must be; `ANY` for an axis that may vary.
        what: the array's name, for messages.

    Raises:
        BundleInvalid: no .npy, another dtype or shape, too large, cut off, or values that are not finite.
    """
    stream = io.BytesIO(data)
    try:
        version = npy_format.read_magic(stream)
        read_header = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
        found_shape, is_fortran, dtype = read_header(stream)
    except Exception as error:
        # The header is a Python literal; on random bytes numpy raises more kinds than it documents.
        raise BundleInvalid(f"{what}: expected a .npy array, got something else; export again", field=what) from error
    matches = len(found_shape) == len(shape) and all(
        length >= 1 and wanted in (ANY, length) for length, wanted in zip(found_shape, shape, strict=True)
    )
    if dtype != np.dtype("<f4") or is_fortran or not matches:
        wanted_text = ", ".join("any" if length == ANY else str(length) for length in shape)
        found_text = f"{dtype} of ({', '.join(map(str, found_shape))})"
        raise BundleInvalid(f"{what}: expected float32 of ({wanted_text}), got {found_text:.100}", field=what)
    n_elements = math.prod(found_shape)
    if n_elements > _MAX_ELEMENTS or len(data) - stream.tell() != 4 * n_elements:
        raise BundleInvalid(f"{what}: the array is cut off, too long or too large; export again", field=what)
    array = np.frombuffer(data, np.float32, n_elements, stream.tell()).reshape(found_shape).copy()
    if not np.isfinite(array).all():
        raise BundleInvalid(f"{what}: expected finite values, got NaN or infinity; export again", field=what)
    return array


def read_npz(data: bytes, shapes: dict[str, tuple[int, ...]], *, what: str) -> dict[str, FloatArray]:
    """Reads an archive of exactly the named float32 arrays; errors as in `read_npy`."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {info.filename: info for info in archive.infolist()}
            if set(members) != {f"{name}.npy" for name in shapes}:
                raise BundleInvalid(f"{what}: expected the arrays {', '.join(shapes)}, got others", field=what)
            limit = 4 * _MAX_ELEMENTS + npy_format.MAGIC_LEN + 10_000
            contents: dict[str, bytes] = {}
            for name in shapes:
                with archive.open(members[f"{name}.npy"]) as member:
                    contents[name] = member.read(limit)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise BundleInvalid(f"{what}: expected a .npz archive, got something else; export again", field=what) from error
    return {name: read_npy(contents[name], shape, what=f"{what}: {name}") for name, shape in shapes.items()}
