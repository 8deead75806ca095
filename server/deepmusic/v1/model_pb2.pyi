from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class BundleState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BUNDLE_STATE_UNSPECIFIED: _ClassVar[BundleState]
    BUNDLE_STATE_AVAILABLE: _ClassVar[BundleState]
    BUNDLE_STATE_LOADING: _ClassVar[BundleState]
    BUNDLE_STATE_INVALID: _ClassVar[BundleState]
BUNDLE_STATE_UNSPECIFIED: BundleState
BUNDLE_STATE_AVAILABLE: BundleState
BUNDLE_STATE_LOADING: BundleState
BUNDLE_STATE_INVALID: BundleState

class Bundle(_message.Message):
    __slots__ = ("name", "version", "digest", "kind", "profile", "state", "problem", "style_size", "is_default", "licence")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    STYLE_SIZE_FIELD_NUMBER: _ClassVar[int]
    IS_DEFAULT_FIELD_NUMBER: _ClassVar[int]
    LICENCE_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    digest: str
    kind: str
    profile: str
    state: BundleState
    problem: str
    style_size: int
    is_default: bool
    licence: str
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., digest: _Optional[str] = ..., kind: _Optional[str] = ..., profile: _Optional[str] = ..., state: _Optional[_Union[BundleState, str]] = ..., problem: _Optional[str] = ..., style_size: _Optional[int] = ..., is_default: _Optional[bool] = ..., licence: _Optional[str] = ...) -> None: ...
