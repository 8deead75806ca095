"""Styles' vectors as they travel, so that a project can keep them."""

from __future__ import annotations

import re

import numpy as np

from deepmusic.errors import StyleDamaged
from deepmusic.model.arrays import float_bytes, floats_from_bytes
from deepmusic.model.style_share import check_name
from deepmusic.model.style_vector import StyleVector
from deepmusic.v1 import style_pb2

MAX_VECTOR_BYTES = 65536
"""Longest vector, 16384 values; the shipped bundle's has 512."""

_DIGEST = re.compile(r"[0-9a-f]{64}")


def write_style_vector(vector: StyleVector) -> style_pb2.StyleVector:
    """A vector as a message."""
    return style_pb2.StyleVector(
        name=vector.name,
        bundle_digest=vector.bundle_digest,
        values=float_bytes(vector.values),
        digest=vector.digest,
    )


def read_style_vector(message: style_pb2.StyleVector) -> StyleVector:
    """A vector as ours; whether its bundle is here, and wants so many values, is still to be judged.

    Raises:
        BadName: Its name is none.
        StyleDamaged: It is too long, has values that are not finite, or is not what its digest says.
    """
    name = check_name(message.name, field="vector.name")
    if not _DIGEST.fullmatch(message.bundle_digest):
        raise StyleDamaged(
            "expected a bundle's digest of 64 hexadecimal digits, got something else; export the style again",
            field="vector.bundle_digest",
        )
    data = message.values
    if not 4 <= len(data) <= MAX_VECTOR_BYTES or len(data) % 4:
        raise StyleDamaged(
            f"expected 4 to {MAX_VECTOR_BYTES} bytes of float32, got {len(data)}; export the style again",
            field="vector.values",
        )
    values = floats_from_bytes(data)
    if not np.isfinite(values).all():
        raise StyleDamaged(
            "expected a vector of finite values, got NaN or infinity; export the style again", field="vector.values"
        )
    vector = StyleVector(values=values, bundle_digest=message.bundle_digest, name=name)
    if vector.digest != message.digest:
        raise StyleDamaged(
            "expected values with the digest that comes with them, got others; export the style again",
            field="vector.digest",
        )
    return vector
