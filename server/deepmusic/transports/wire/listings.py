"""Bundles, styles and parameters as they are listed, to messages and back."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from deepmusic.session.parameters import Parameter, ParameterKind
from deepmusic.v1 import model_pb2, parameters_pb2, style_pb2


class BundleState(enum.Enum):
    """Whether a bundle can be used."""

    AVAILABLE = "AVAILABLE"
    LOADING = "LOADING"
    INVALID = "INVALID"


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleListing:
    """A bundle as it is listed."""

    name: str
    """Its name."""
    state: BundleState
    """Whether it can be used."""
    problem: str = ""
    """Why it cannot be used."""
    version: str = ""
    """Version of the model."""
    digest: str = ""
    """SHA-256 of its manifest, hexadecimal."""
    kind: str = ""
    """"stream" or "segment"."""
    profile: str = ""
    """What it is made for."""
    style_size: int = 0
    """Length of a style vector."""
    is_default: bool = False
    """Whether streams use it when they name none."""
    licence: str = ""
    """Its licence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleListing:
    """A style as it is listed."""

    name: str
    """Its name."""
    bundle_digests: tuple[str, ...] = ()
    """Bundles that it has been learned for."""
    source_s: float = 0.0
    """Length of the kept source excerpt in seconds."""
    temporary: bool = False
    """Whether it lives in memory only."""


_PARAMETER_KINDS = {
    ParameterKind.NUMBER: parameters_pb2.PARAMETER_KIND_NUMBER,
    ParameterKind.SWITCH: parameters_pb2.PARAMETER_KIND_SWITCH,
    ParameterKind.STYLE: parameters_pb2.PARAMETER_KIND_STYLE,
    ParameterKind.STYLE_WEIGHTS: parameters_pb2.PARAMETER_KIND_STYLE_WEIGHTS,
}
_STATES = {
    BundleState.AVAILABLE: model_pb2.BUNDLE_STATE_AVAILABLE,
    BundleState.LOADING: model_pb2.BUNDLE_STATE_LOADING,
    BundleState.INVALID: model_pb2.BUNDLE_STATE_INVALID,
}
_STATES_BY_NUMBER = {number: state for state, number in _STATES.items()}


def write_bundle_listing(listing: BundleListing) -> model_pb2.Bundle:
    """A listed bundle as a message."""
    return model_pb2.Bundle(
        name=listing.name,
        version=listing.version,
        digest=listing.digest,
        kind=listing.kind,
        profile=listing.profile,
        state=_STATES[listing.state],
        problem=listing.problem,
        style_size=listing.style_size,
        is_default=listing.is_default,
        licence=listing.licence,
    )


def read_bundle_listing(message: model_pb2.Bundle) -> BundleListing:
    """A listed bundle as ours; a state that is not known here counts as invalid."""
    return BundleListing(
        name=message.name,
        version=message.version,
        digest=message.digest,
        kind=message.kind,
        profile=message.profile,
        state=_STATES_BY_NUMBER.get(message.state, BundleState.INVALID),
        problem=message.problem,
        style_size=message.style_size,
        is_default=message.is_default,
        licence=message.licence,
    )


def write_style_listing(listing: StyleListing) -> style_pb2.Style:
    """A listed style as a message."""
    return style_pb2.Style(
        name=listing.name,
        bundle_digests=listing.bundle_digests,
        source_seconds=listing.source_s,
        temporary=listing.temporary,
    )


def read_style_listing(message: style_pb2.Style) -> StyleListing:
    """A listed style as ours."""
    return StyleListing(
        name=message.name,
        bundle_digests=tuple(message.bundle_digests),
        source_s=message.source_seconds,
        temporary=message.temporary,
    )


def write_parameter(parameter: Parameter) -> parameters_pb2.ParameterInfo:
    """An entry of the registry as a message."""
    return parameters_pb2.ParameterInfo(
        name=parameter.name,
        kind=_PARAMETER_KINDS[parameter.kind],
        unit=parameter.unit,
        minimum=parameter.minimum,
        maximum=parameter.maximum,
        default_value=parameter.default,
        smoothing_ms=parameter.smoothing_ms,
        description=parameter.doc,
    )
