"""The address space as OSCQuery's tree of JSON objects, made from the registry of parameters.

::

    /deepmusic/<parameter>                      all streams; its value is that of the stream that opened first
    /deepmusic/session/<stream>/<parameter>     one stream

Source: the OSCQuery proposal (Vidvox), third revision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from deepmusic.session.parameters import PARAMETERS, Parameter, ParameterKind
from deepmusic.transports.osc.codec import Argument
from deepmusic.transports.osc.namespace import LONGEST_RAMP_MS, ROOT, SESSION, stream_part
from deepmusic.transports.osc.ports import LiveSession

Json = dict[str, object]
"""A JSON object."""

READ_AND_WRITE, CONTAINER = 3, 0
"""Of ``ACCESS``: the value may be asked for and set; there is none."""

_UNITS = {"dB": "gain.db", "Hz": "time.hz"}  # the proposal's names for ours
_N_MORPHED = 2
_TYPES = {
    ParameterKind.NUMBER: "f",
    ParameterKind.SWITCH: "i",  # the proposal gives T and F no value in JSON
    ParameterKind.STYLE: "s",
    ParameterKind.STYLE_WEIGHTS: "sf" * _N_MORPHED,  # a type is fixed: of up to 16 styles, a pad's two ends
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamState:
    """What one stream was last asked for, as of one moment."""

    part: str
    """Its name as it stands in addresses."""
    values: Mapping[str, float | str]
    """By parameter."""
    shares: tuple[tuple[str, float], ...] = ()
    """Names and weights of the styles that are heard."""


NO_STREAM = StreamState(part="", values={})
"""Stands for the stream that opened first where none runs."""


def state_of(session: LiveSession) -> StreamState:
    """[loop] A stream as it is now."""
    return StreamState(part=stream_part(session.name), values=dict(session.values), shares=session.shares)


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A value as OSC carries it."""

    types: str
    """A type tag for each argument."""
    arguments: tuple[Argument, ...]
    """In order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """The address space at one moment. All methods are [any]."""

    streams: Sequence[StreamState]
    """Those that run, in the order of their opening."""
    styles: Sequence[str] = field(default=())
    """Names of the styles of the library."""
    _by_part: dict[str, StreamState] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_part", {stream.part: stream for stream in reversed(self.streams)})

    def value(self, path: str) -> Value | None:
        """The value of a method; ``None`` where there is none at that path."""
        before, *parts = path.split("/")
        if before:
            return None
        if len(parts) == 2 and parts[0] == ROOT and parts[1] in PARAMETERS:
            return value_of(PARAMETERS[parts[1]], self.streams[0] if self.streams else NO_STREAM)
        if len(parts) == 4 and parts[:2] == [ROOT, SESSION] and parts[3] in PARAMETERS:
            stream = self._by_part.get(parts[2])
            return None if stream is None else value_of(PARAMETERS[parts[3]], stream)
        return None

    def node(self, path: str) -> Json | None:
        """The description of a method, or of a container with all that is in it; ``None`` where there is neither."""
        node: Json | None = self._root()
        for part in path.split("/"):
            if part and node is not None:
                contents = cast("Json", node.get("CONTENTS", {}))
                node = cast("Json | None", contents.get(part))
        return node

    def _root(self) -> Json:
        first = self.streams[0] if self.streams else NO_STREAM
        base = f"/{ROOT}/{SESSION}"
        streams = {
            stream.part: _container(
                f"{base}/{stream.part}", "One stream.", self._parameters(f"{base}/{stream.part}", stream)
            )
            for stream in self.streams
            if self._by_part[stream.part] is stream  # of two that have one name, the first
        }
        everything = self._parameters(f"/{ROOT}", first) | {
            SESSION: _container(base, "The streams that run, by name.", streams)
        }
        ours = _container(
            f"/{ROOT}", "All streams that run; values are those of the one that opened first.", everything
        )
        return _container("/", "deepmusic: live neural style transfer.", {ROOT: ours})

    def _parameters(self, base: str, stream: StreamState) -> Json:
        return {name: self._method(f"{base}/{name}", parameter, stream) for name, parameter in PARAMETERS.items()}

    def _method(self, path: str, parameter: Parameter, stream: StreamState) -> Json:
        value = value_of(parameter, stream)
        method: Json = {
            "FULL_PATH": path,
            "DESCRIPTION": parameter.doc,
            "ACCESS": READ_AND_WRITE,
            "TYPE": value.types,
            "VALUE": list(value.arguments),
            "RANGE": [self._range(parameter, kind) for kind in value.types],
            "CLIPMODE": ["none" if kind == "s" else "both" for kind in value.types],
        }
        if unit := _UNITS.get(parameter.unit):
            method["UNIT"] = [unit]
        if parameter.smoothing_ms and parameter.kind is not ParameterKind.SWITCH:
            ramp: Json = {"MIN": 0.0, "MAX": LONGEST_RAMP_MS}
            method["OVERLOADS"] = [
                {
                    "TYPE": value.types + "f",
                    "DESCRIPTION": "The same, over so many milliseconds.",
                    "RANGE": [*(self._range(parameter, kind) for kind in value.types), ramp],
                }
            ]
        return method

    def _range(self, parameter: Parameter, kind: str) -> Json:
        if kind == "s":
            return {"VALS": list(self.styles)}
        if parameter.kind is ParameterKind.SWITCH:
            return {"MIN": 0, "MAX": 1, "VALS": [0, 1]}
        return {"MIN": parameter.minimum, "MAX": parameter.maximum}


def value_of(parameter: Parameter, stream: StreamState) -> Value:
    """What a stream was last asked for; the first value where no stream runs, and no name where none has a style."""
    types = _TYPES[parameter.kind]
    match parameter.kind:
        case ParameterKind.NUMBER:
            return Value(types=types, arguments=(float(stream.values.get(parameter.name, parameter.default)),))
        case ParameterKind.SWITCH:
            return Value(types=types, arguments=(int(stream.values.get(parameter.name, parameter.default)),))
        case ParameterKind.STYLE:
            return Value(types=types, arguments=(str(stream.values.get(parameter.name, "")),))
        case ParameterKind.STYLE_WEIGHTS:
            shares = stream.shares[:_N_MORPHED]
            only = shares[0][0] if shares else ""
            filled = [*shares, *[(only, 0.0)] * (_N_MORPHED - len(shares))]
            return Value(types=types, arguments=tuple(item for share in filled for item in share))


def _container(path: str, description: str, contents: Mapping[str, object]) -> Json:
    return {"FULL_PATH": path, "DESCRIPTION": description, "ACCESS": CONTAINER, "CONTENTS": contents}
