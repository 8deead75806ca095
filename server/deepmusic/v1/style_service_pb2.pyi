from deepmusic.v1 import audio_pb2 as _audio_pb2
from deepmusic.v1 import style_pb2 as _style_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CreateStyleRequest(_message.Message):
    __slots__ = ("header", "pcm")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    PCM_FIELD_NUMBER: _ClassVar[int]
    header: StyleUpload
    pcm: bytes
    def __init__(self, header: _Optional[_Union[StyleUpload, _Mapping]] = ..., pcm: _Optional[bytes] = ...) -> None: ...

class StyleUpload(_message.Message):
    __slots__ = ("name", "format", "bundle", "temporary")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    TEMPORARY_FIELD_NUMBER: _ClassVar[int]
    name: str
    format: _audio_pb2.AudioFormat
    bundle: str
    temporary: bool
    def __init__(self, name: _Optional[str] = ..., format: _Optional[_Union[_audio_pb2.AudioFormat, _Mapping]] = ..., bundle: _Optional[str] = ..., temporary: _Optional[bool] = ...) -> None: ...

class CreateStyleResponse(_message.Message):
    __slots__ = ("style",)
    STYLE_FIELD_NUMBER: _ClassVar[int]
    style: _style_pb2.Style
    def __init__(self, style: _Optional[_Union[_style_pb2.Style, _Mapping]] = ...) -> None: ...

class ListStylesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListStylesResponse(_message.Message):
    __slots__ = ("styles",)
    STYLES_FIELD_NUMBER: _ClassVar[int]
    styles: _containers.RepeatedCompositeFieldContainer[_style_pb2.Style]
    def __init__(self, styles: _Optional[_Iterable[_Union[_style_pb2.Style, _Mapping]]] = ...) -> None: ...

class GetStyleRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetStyleResponse(_message.Message):
    __slots__ = ("style",)
    STYLE_FIELD_NUMBER: _ClassVar[int]
    style: _style_pb2.Style
    def __init__(self, style: _Optional[_Union[_style_pb2.Style, _Mapping]] = ...) -> None: ...

class DeleteStyleRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DeleteStyleResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ExportStyleRequest(_message.Message):
    __slots__ = ("name", "bundle")
    NAME_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    name: str
    bundle: str
    def __init__(self, name: _Optional[str] = ..., bundle: _Optional[str] = ...) -> None: ...

class ExportStyleResponse(_message.Message):
    __slots__ = ("vector",)
    VECTOR_FIELD_NUMBER: _ClassVar[int]
    vector: _style_pb2.StyleVector
    def __init__(self, vector: _Optional[_Union[_style_pb2.StyleVector, _Mapping]] = ...) -> None: ...

class ImportStyleRequest(_message.Message):
    __slots__ = ("vector", "bundle", "temporary")
    VECTOR_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    TEMPORARY_FIELD_NUMBER: _ClassVar[int]
    vector: _style_pb2.StyleVector
    bundle: str
    temporary: bool
    def __init__(self, vector: _Optional[_Union[_style_pb2.StyleVector, _Mapping]] = ..., bundle: _Optional[str] = ..., temporary: _Optional[bool] = ...) -> None: ...

class ImportStyleResponse(_message.Message):
    __slots__ = ("style",)
    STYLE_FIELD_NUMBER: _ClassVar[int]
    style: _style_pb2.Style
    def __init__(self, style: _Optional[_Union[_style_pb2.Style, _Mapping]] = ...) -> None: ...
