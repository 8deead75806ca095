from deepmusic.v1 import style_pb2 as _style_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ParameterKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PARAMETER_KIND_UNSPECIFIED: _ClassVar[ParameterKind]
    PARAMETER_KIND_NUMBER: _ClassVar[ParameterKind]
    PARAMETER_KIND_SWITCH: _ClassVar[ParameterKind]
    PARAMETER_KIND_STYLE: _ClassVar[ParameterKind]
    PARAMETER_KIND_STYLE_WEIGHTS: _ClassVar[ParameterKind]
PARAMETER_KIND_UNSPECIFIED: ParameterKind
PARAMETER_KIND_NUMBER: ParameterKind
PARAMETER_KIND_SWITCH: ParameterKind
PARAMETER_KIND_STYLE: ParameterKind
PARAMETER_KIND_STYLE_WEIGHTS: ParameterKind

class ParameterInfo(_message.Message):
    __slots__ = ("name", "kind", "unit", "minimum", "maximum", "default_value", "smoothing_ms", "description")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_FIELD_NUMBER: _ClassVar[int]
    MAXIMUM_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_VALUE_FIELD_NUMBER: _ClassVar[int]
    SMOOTHING_MS_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: ParameterKind
    unit: str
    minimum: float
    maximum: float
    default_value: float
    smoothing_ms: float
    description: str
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[_Union[ParameterKind, str]] = ..., unit: _Optional[str] = ..., minimum: _Optional[float] = ..., maximum: _Optional[float] = ..., default_value: _Optional[float] = ..., smoothing_ms: _Optional[float] = ..., description: _Optional[str] = ...) -> None: ...

class ParameterValue(_message.Message):
    __slots__ = ("name", "number", "on", "style", "mix")
    NAME_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    ON_FIELD_NUMBER: _ClassVar[int]
    STYLE_FIELD_NUMBER: _ClassVar[int]
    MIX_FIELD_NUMBER: _ClassVar[int]
    name: str
    number: float
    on: bool
    style: str
    mix: _style_pb2.StyleMix
    def __init__(self, name: _Optional[str] = ..., number: _Optional[float] = ..., on: _Optional[bool] = ..., style: _Optional[str] = ..., mix: _Optional[_Union[_style_pb2.StyleMix, _Mapping]] = ...) -> None: ...

class ControlChange(_message.Message):
    __slots__ = ("parameter", "at_sample", "ramp_samples")
    PARAMETER_FIELD_NUMBER: _ClassVar[int]
    AT_SAMPLE_FIELD_NUMBER: _ClassVar[int]
    RAMP_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    parameter: ParameterValue
    at_sample: int
    ramp_samples: int
    def __init__(self, parameter: _Optional[_Union[ParameterValue, _Mapping]] = ..., at_sample: _Optional[int] = ..., ramp_samples: _Optional[int] = ...) -> None: ...
