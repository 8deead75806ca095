from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Style(_message.Message):
    __slots__ = ("name", "bundle_digests", "source_seconds", "temporary")
    NAME_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_DIGESTS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    TEMPORARY_FIELD_NUMBER: _ClassVar[int]
    name: str
    bundle_digests: _containers.RepeatedScalarFieldContainer[str]
    source_seconds: float
    temporary: bool
    def __init__(self, name: _Optional[str] = ..., bundle_digests: _Optional[_Iterable[str]] = ..., source_seconds: _Optional[float] = ..., temporary: _Optional[bool] = ...) -> None: ...

class StyleVector(_message.Message):
    __slots__ = ("name", "bundle_digest", "values", "digest")
    NAME_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    name: str
    bundle_digest: str
    values: bytes
    digest: str
    def __init__(self, name: _Optional[str] = ..., bundle_digest: _Optional[str] = ..., values: _Optional[bytes] = ..., digest: _Optional[str] = ...) -> None: ...

class WeightedStyle(_message.Message):
    __slots__ = ("name", "weight")
    NAME_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    name: str
    weight: float
    def __init__(self, name: _Optional[str] = ..., weight: _Optional[float] = ...) -> None: ...

class StyleMix(_message.Message):
    __slots__ = ("styles",)
    STYLES_FIELD_NUMBER: _ClassVar[int]
    styles: _containers.RepeatedCompositeFieldContainer[WeightedStyle]
    def __init__(self, styles: _Optional[_Iterable[_Union[WeightedStyle, _Mapping]]] = ...) -> None: ...
