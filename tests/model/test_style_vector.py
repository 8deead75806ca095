"""Style vectors and their blends."""

from __future__ import annotations

import numpy as np
import pytest

from deepmusic.errors import BadParameter
from deepmusic.model.style_vector import StyleVector, blend


def _style(*values: float, digest: str = "d", name: str = "s") -> StyleVector:
    return StyleVector(values=np.asarray(values, np.float32), bundle_digest=digest, name=name)


def test_a_style_keeps_its_own_copy_that_nobody_can_change() -> None:
    values = np.zeros(3, np.float32)
    style = StyleVector(values=values, bundle_digest="d", name="s")
    values[0] = 1.0
    assert style.values[0] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        style.values[0] = 1.0


def test_a_blend_is_the_weighted_mean_whatever_the_sum_of_the_weights() -> None:
    mixed = blend([(_style(0.0, 8.0, name="a"), 3.0), (_style(4.0, 0.0, name="b"), 1.0)])
    np.testing.assert_allclose(mixed.values, [1.0, 6.0])
    assert mixed.name == "a 75% + b 25%"
    assert mixed.bundle_digest == "d"


def test_a_blend_with_one_weight_above_zero_is_that_style_to_the_bit() -> None:
    first = _style(0.1, 0.2)
    assert blend([(first, 0.3), (_style(9.0, 9.0), 0.0)]) is first


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [(_style(1.0), -1.0)],
        [(_style(1.0), float("nan"))],
        [(_style(1.0), 0.0)],
        [(_style(1.0), 1.0), (_style(1.0, digest="other"), 1.0)],
        [(_style(1.0), 1.0), (_style(1.0, 2.0), 1.0)],
    ],
)
def test_styles_that_do_not_mix_are_refused(parts: list[tuple[StyleVector, float]]) -> None:
    with pytest.raises(BadParameter):
        blend(parts)


@pytest.mark.parametrize(
    "values",
    [np.zeros((1, 3), np.float32), np.zeros(0, np.float32), np.zeros(3), np.float32([np.nan]), np.float32([np.inf])],
)
def test_values_that_are_no_style_are_refused(values: np.ndarray) -> None:
    with pytest.raises(BadParameter):
        StyleVector(values=values, bundle_digest="d", name="s")


def test_a_renamed_style_is_the_same_style() -> None:
    style = _style(1.0).renamed("new")
    assert style.name == "new"
    np.testing.assert_array_equal(style.values, [1.0])
