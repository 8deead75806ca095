from deepmusic.v1 import audio_pb2 as _audio_pb2
from deepmusic.v1 import parameters_pb2 as _parameters_pb2
from deepmusic.v1 import style_pb2 as _style_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class StreamEventKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STREAM_EVENT_KIND_UNSPECIFIED: _ClassVar[StreamEventKind]
    STREAM_EVENT_KIND_UNKNOWN_MESSAGE: _ClassVar[StreamEventKind]
    STREAM_EVENT_KIND_UNKNOWN_PARAMETER: _ClassVar[StreamEventKind]
    STREAM_EVENT_KIND_VALUE_CLAMPED: _ClassVar[StreamEventKind]
    STREAM_EVENT_KIND_VALUE_IGNORED: _ClassVar[StreamEventKind]
    STREAM_EVENT_KIND_CONTROL_LATE: _ClassVar[StreamEventKind]
    STREAM_EVENT_KIND_CONTROL_DROPPED: _ClassVar[StreamEventKind]
    STREAM_EVENT_KIND_STYLE_REFUSED: _ClassVar[StreamEventKind]
    STREAM_EVENT_KIND_STYLE_CHANGED: _ClassVar[StreamEventKind]
    STREAM_EVENT_KIND_BUNDLE_REFUSED: _ClassVar[StreamEventKind]
    STREAM_EVENT_KIND_BUNDLE_CHANGED: _ClassVar[StreamEventKind]
    STREAM_EVENT_KIND_NON_FINITE_REPLACED: _ClassVar[StreamEventKind]
    STREAM_EVENT_KIND_BLOCK_DROPPED: _ClassVar[StreamEventKind]
    STREAM_EVENT_KIND_GAP_FILLED: _ClassVar[StreamEventKind]
    STREAM_EVENT_KIND_STREAM_RESTARTED: _ClassVar[StreamEventKind]
    STREAM_EVENT_KIND_STEP_LATE: _ClassVar[StreamEventKind]
    STREAM_EVENT_KIND_STEP_FAILED: _ClassVar[StreamEventKind]
    STREAM_EVENT_KIND_OUTPUT_DROPPED: _ClassVar[StreamEventKind]
    STREAM_EVENT_KIND_GOING_AWAY: _ClassVar[StreamEventKind]
STREAM_EVENT_KIND_UNSPECIFIED: StreamEventKind
STREAM_EVENT_KIND_UNKNOWN_MESSAGE: StreamEventKind
STREAM_EVENT_KIND_UNKNOWN_PARAMETER: StreamEventKind
STREAM_EVENT_KIND_VALUE_CLAMPED: StreamEventKind
STREAM_EVENT_KIND_VALUE_IGNORED: StreamEventKind
STREAM_EVENT_KIND_CONTROL_LATE: StreamEventKind
STREAM_EVENT_KIND_CONTROL_DROPPED: StreamEventKind
STREAM_EVENT_KIND_STYLE_REFUSED: StreamEventKind
STREAM_EVENT_KIND_STYLE_CHANGED: StreamEventKind
STREAM_EVENT_KIND_BUNDLE_REFUSED: StreamEventKind
STREAM_EVENT_KIND_BUNDLE_CHANGED: StreamEventKind
STREAM_EVENT_KIND_NON_FINITE_REPLACED: StreamEventKind
STREAM_EVENT_KIND_BLOCK_DROPPED: StreamEventKind
STREAM_EVENT_KIND_GAP_FILLED: StreamEventKind
STREAM_EVENT_KIND_STREAM_RESTARTED: StreamEventKind
STREAM_EVENT_KIND_STEP_LATE: StreamEventKind
STREAM_EVENT_KIND_STEP_FAILED: StreamEventKind
STREAM_EVENT_KIND_OUTPUT_DROPPED: StreamEventKind
STREAM_EVENT_KIND_GOING_AWAY: StreamEventKind

class StreamTransferRequest(_message.Message):
    __slots__ = ("config", "audio", "control", "flush", "finish", "keep_alive")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    AUDIO_FIELD_NUMBER: _ClassVar[int]
    CONTROL_FIELD_NUMBER: _ClassVar[int]
    FLUSH_FIELD_NUMBER: _ClassVar[int]
    FINISH_FIELD_NUMBER: _ClassVar[int]
    KEEP_ALIVE_FIELD_NUMBER: _ClassVar[int]
    config: StreamConfig
    audio: _audio_pb2.AudioBlock
    control: _parameters_pb2.ControlChange
    flush: Flush
    finish: Finish
    keep_alive: KeepAlive
    def __init__(self, config: _Optional[_Union[StreamConfig, _Mapping]] = ..., audio: _Optional[_Union[_audio_pb2.AudioBlock, _Mapping]] = ..., control: _Optional[_Union[_parameters_pb2.ControlChange, _Mapping]] = ..., flush: _Optional[_Union[Flush, _Mapping]] = ..., finish: _Optional[_Union[Finish, _Mapping]] = ..., keep_alive: _Optional[_Union[KeepAlive, _Mapping]] = ...) -> None: ...

class StreamConfig(_message.Message):
    __slots__ = ("session_id", "bundle", "bundle_digest", "style", "format", "nominal_block_samples", "parameters", "live", "fast", "seed", "statistics")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    STYLE_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    NOMINAL_BLOCK_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    LIVE_FIELD_NUMBER: _ClassVar[int]
    FAST_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    STATISTICS_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    bundle: str
    bundle_digest: str
    style: _style_pb2.StyleMix
    format: _audio_pb2.AudioFormat
    nominal_block_samples: int
    parameters: _containers.RepeatedCompositeFieldContainer[_parameters_pb2.ParameterValue]
    live: LivePacing
    fast: FastPacing
    seed: int
    statistics: StreamStatistics
    def __init__(self, session_id: _Optional[str] = ..., bundle: _Optional[str] = ..., bundle_digest: _Optional[str] = ..., style: _Optional[_Union[_style_pb2.StyleMix, _Mapping]] = ..., format: _Optional[_Union[_audio_pb2.AudioFormat, _Mapping]] = ..., nominal_block_samples: _Optional[int] = ..., parameters: _Optional[_Iterable[_Union[_parameters_pb2.ParameterValue, _Mapping]]] = ..., live: _Optional[_Union[LivePacing, _Mapping]] = ..., fast: _Optional[_Union[FastPacing, _Mapping]] = ..., seed: _Optional[int] = ..., statistics: _Optional[_Union[StreamStatistics, _Mapping]] = ...) -> None: ...

class StreamStatistics(_message.Message):
    __slots__ = ("bundle_digest", "values", "content_power", "wet_power")
    BUNDLE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    CONTENT_POWER_FIELD_NUMBER: _ClassVar[int]
    WET_POWER_FIELD_NUMBER: _ClassVar[int]
    bundle_digest: str
    values: bytes
    content_power: float
    wet_power: float
    def __init__(self, bundle_digest: _Optional[str] = ..., values: _Optional[bytes] = ..., content_power: _Optional[float] = ..., wet_power: _Optional[float] = ...) -> None: ...

class LivePacing(_message.Message):
    __slots__ = ("deadline_samples",)
    DEADLINE_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    deadline_samples: int
    def __init__(self, deadline_samples: _Optional[int] = ...) -> None: ...

class FastPacing(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Flush(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Finish(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class KeepAlive(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StreamTransferResponse(_message.Message):
    __slots__ = ("ready", "audio", "event", "summary", "statistics")
    READY_FIELD_NUMBER: _ClassVar[int]
    AUDIO_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    STATISTICS_FIELD_NUMBER: _ClassVar[int]
    ready: StreamReady
    audio: _audio_pb2.StyledBlock
    event: StreamEvent
    summary: StreamSummary
    statistics: StreamStatistics
    def __init__(self, ready: _Optional[_Union[StreamReady, _Mapping]] = ..., audio: _Optional[_Union[_audio_pb2.StyledBlock, _Mapping]] = ..., event: _Optional[_Union[StreamEvent, _Mapping]] = ..., summary: _Optional[_Union[StreamSummary, _Mapping]] = ..., statistics: _Optional[_Union[StreamStatistics, _Mapping]] = ...) -> None: ...

class StreamReady(_message.Message):
    __slots__ = ("session_id", "config", "bundle", "bundle_digest", "latency_samples", "step_samples", "max_block_samples", "credit_samples", "idle_limit_s", "duration_limit_s", "provider", "precision", "requested_device")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    LATENCY_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    STEP_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    MAX_BLOCK_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    CREDIT_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    IDLE_LIMIT_S_FIELD_NUMBER: _ClassVar[int]
    DURATION_LIMIT_S_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_DEVICE_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    config: StreamConfig
    bundle: str
    bundle_digest: str
    latency_samples: int
    step_samples: int
    max_block_samples: int
    credit_samples: int
    idle_limit_s: float
    duration_limit_s: float
    provider: str
    precision: str
    requested_device: str
    def __init__(self, session_id: _Optional[str] = ..., config: _Optional[_Union[StreamConfig, _Mapping]] = ..., bundle: _Optional[str] = ..., bundle_digest: _Optional[str] = ..., latency_samples: _Optional[int] = ..., step_samples: _Optional[int] = ..., max_block_samples: _Optional[int] = ..., credit_samples: _Optional[int] = ..., idle_limit_s: _Optional[float] = ..., duration_limit_s: _Optional[float] = ..., provider: _Optional[str] = ..., precision: _Optional[str] = ..., requested_device: _Optional[str] = ...) -> None: ...

class StreamEvent(_message.Message):
    __slots__ = ("kind", "message", "at_sample", "name")
    KIND_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    AT_SAMPLE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    kind: StreamEventKind
    message: str
    at_sample: int
    name: str
    def __init__(self, kind: _Optional[_Union[StreamEventKind, str]] = ..., message: _Optional[str] = ..., at_sample: _Optional[int] = ..., name: _Optional[str] = ...) -> None: ...

class StreamSummary(_message.Message):
    __slots__ = ("samples_in", "samples_out", "late_blocks", "dry_blocks", "concealed_samples", "replaced_samples", "dropped_blocks", "unread_blocks", "steps", "late_steps", "failed_steps", "latency_samples", "bundle")
    SAMPLES_IN_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_OUT_FIELD_NUMBER: _ClassVar[int]
    LATE_BLOCKS_FIELD_NUMBER: _ClassVar[int]
    DRY_BLOCKS_FIELD_NUMBER: _ClassVar[int]
    CONCEALED_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    REPLACED_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    DROPPED_BLOCKS_FIELD_NUMBER: _ClassVar[int]
    UNREAD_BLOCKS_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    LATE_STEPS_FIELD_NUMBER: _ClassVar[int]
    FAILED_STEPS_FIELD_NUMBER: _ClassVar[int]
    LATENCY_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    samples_in: int
    samples_out: int
    late_blocks: int
    dry_blocks: int
    concealed_samples: int
    replaced_samples: int
    dropped_blocks: int
    unread_blocks: int
    steps: int
    late_steps: int
    failed_steps: int
    latency_samples: int
    bundle: str
    def __init__(self, samples_in: _Optional[int] = ..., samples_out: _Optional[int] = ..., late_blocks: _Optional[int] = ..., dry_blocks: _Optional[int] = ..., concealed_samples: _Optional[int] = ..., replaced_samples: _Optional[int] = ..., dropped_blocks: _Optional[int] = ..., unread_blocks: _Optional[int] = ..., steps: _Optional[int] = ..., late_steps: _Optional[int] = ..., failed_steps: _Optional[int] = ..., latency_samples: _Optional[int] = ..., bundle: _Optional[str] = ...) -> None: ...
