from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SampleFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SAMPLE_FORMAT_UNSPECIFIED: _ClassVar[SampleFormat]
    SAMPLE_FORMAT_F32LE: _ClassVar[SampleFormat]
    SAMPLE_FORMAT_S16LE: _ClassVar[SampleFormat]

class BlockFlag(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BLOCK_FLAG_UNSPECIFIED: _ClassVar[BlockFlag]
    BLOCK_FLAG_CONCEALED: _ClassVar[BlockFlag]
    BLOCK_FLAG_DRY: _ClassVar[BlockFlag]
    BLOCK_FLAG_DISCONTINUITY: _ClassVar[BlockFlag]
    BLOCK_FLAG_LATE: _ClassVar[BlockFlag]
    BLOCK_FLAG_FAILED: _ClassVar[BlockFlag]
    BLOCK_FLAG_CEILING: _ClassVar[BlockFlag]
    BLOCK_FLAG_TAIL: _ClassVar[BlockFlag]
SAMPLE_FORMAT_UNSPECIFIED: SampleFormat
SAMPLE_FORMAT_F32LE: SampleFormat
SAMPLE_FORMAT_S16LE: SampleFormat
BLOCK_FLAG_UNSPECIFIED: BlockFlag
BLOCK_FLAG_CONCEALED: BlockFlag
BLOCK_FLAG_DRY: BlockFlag
BLOCK_FLAG_DISCONTINUITY: BlockFlag
BLOCK_FLAG_LATE: BlockFlag
BLOCK_FLAG_FAILED: BlockFlag
BLOCK_FLAG_CEILING: BlockFlag
BLOCK_FLAG_TAIL: BlockFlag

class AudioFormat(_message.Message):
    __slots__ = ("sample_rate_hz", "n_channels", "sample_format")
    SAMPLE_RATE_HZ_FIELD_NUMBER: _ClassVar[int]
    N_CHANNELS_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_FORMAT_FIELD_NUMBER: _ClassVar[int]
    sample_rate_hz: int
    n_channels: int
    sample_format: SampleFormat
    def __init__(self, sample_rate_hz: _Optional[int] = ..., n_channels: _Optional[int] = ..., sample_format: _Optional[_Union[SampleFormat, str]] = ...) -> None: ...

class AudioBlock(_message.Message):
    __slots__ = ("sequence", "first_sample", "pcm")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    FIRST_SAMPLE_FIELD_NUMBER: _ClassVar[int]
    PCM_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    first_sample: int
    pcm: bytes
    def __init__(self, sequence: _Optional[int] = ..., first_sample: _Optional[int] = ..., pcm: _Optional[bytes] = ...) -> None: ...

class StyledBlock(_message.Message):
    __slots__ = ("sequence", "first_sample", "pcm", "flags", "timing")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    FIRST_SAMPLE_FIELD_NUMBER: _ClassVar[int]
    PCM_FIELD_NUMBER: _ClassVar[int]
    FLAGS_FIELD_NUMBER: _ClassVar[int]
    TIMING_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    first_sample: int
    pcm: bytes
    flags: int
    timing: BlockTiming
    def __init__(self, sequence: _Optional[int] = ..., first_sample: _Optional[int] = ..., pcm: _Optional[bytes] = ..., flags: _Optional[int] = ..., timing: _Optional[_Union[BlockTiming, _Mapping]] = ...) -> None: ...

class BlockTiming(_message.Message):
    __slots__ = ("queue_us", "inference_us")
    QUEUE_US_FIELD_NUMBER: _ClassVar[int]
    INFERENCE_US_FIELD_NUMBER: _ClassVar[int]
    queue_us: int
    inference_us: int
    def __init__(self, queue_us: _Optional[int] = ..., inference_us: _Optional[int] = ...) -> None: ...
