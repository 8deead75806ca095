"""The error tree is total, and what its docstring draws is what the code holds."""

from __future__ import annotations

import re

import pytest

from deepmusic import errors
from deepmusic.errors import Code, DeepmusicError

GRPC_STATUS_NAMES = {
    "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED",
}  # fmt: skip


def every_class(root: type[DeepmusicError] = DeepmusicError) -> list[type[DeepmusicError]]:
    below = [leaf for child in root.__subclasses__() for leaf in every_class(child)]
    return [child for child in dict.fromkeys([*root.__subclasses__(), *below]) if child.__module__ == errors.__name__]


def test_every_code_is_a_status_of_grpc() -> None:
    assert {code.name for code in Code} <= GRPC_STATUS_NAMES
    assert all(code.name == code.value for code in Code)


def test_every_class_has_a_code_and_a_reason_of_its_own() -> None:
    reasons = [error.reason for error in every_class()]
    assert len(reasons) == len(set(reasons))
    for error in every_class():
        assert isinstance(error.code, Code), error
        assert re.fullmatch(r"[A-Z]+(_[A-Z]+)*", error.reason), error
        assert "reason" in vars(error), f"{error.__name__} inherits its reason"


def test_the_tree_in_the_docstring_is_the_tree_in_the_code() -> None:
    drawn = {
        match["name"]: (match["code"], match["reason"])
        for line in (errors.__doc__ or "").splitlines()
        if (match := re.search(r"[├└]── (?P<name>\w+) .*  +(?P<code>[A-Z_]+) +(?P<reason>[A-Z_]+)$", line))
    }
    assert drawn == {error.__name__: (error.code.value, error.reason) for error in every_class()}


def test_every_class_hangs_below_one_of_the_four_faults() -> None:
    faults = {errors.RequestError, errors.BundleError, errors.CapacityError, errors.InternalError}
    assert set(DeepmusicError.__subclasses__()) == faults


@pytest.mark.parametrize("error", every_class(), ids=lambda error: error.__name__)
def test_an_error_carries_its_message_and_what_belongs_to_it(error: type[DeepmusicError]) -> None:
    raised = error("expected a, got b; do c", field="f", resource="r", retry_after_s=0.5)
    assert str(raised) == raised.message == "expected a, got b; do c"
    assert (raised.field, raised.resource, raised.retry_after_s) == ("f", "r", 0.5)
    plain = error("expected a, got b; do c")
    assert (plain.field, plain.resource, plain.retry_after_s) == (None, None, None)
