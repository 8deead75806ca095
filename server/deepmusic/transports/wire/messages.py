"""What a stream carries, in both directions, as our own types.

::

    client to server    StreamConfig  AudioMessage  Control  StyleControl  Flush  Finish  KeepAlive  (UnknownMessage)
    server to client    StreamReady  StyledMessage  StreamEvent  Statistics  StreamSummary  (UnknownMessage)

``Control``, ``Flush`` and ``Finish`` are the session's own events, ``Statistics`` are its own too.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from deepmusic.audio import AudioFormat
from deepmusic.errors import BadConfig
from deepmusic.model.style_share import MAX_STYLES, StyleShare, check_name
from deepmusic.session.config import Setting
from deepmusic.session.events import AudioFlag, Control, Finish, Flush, Timing
from deepmusic.session.statistics import Statistics
from deepmusic.session.stats import SessionStats
from deepmusic.transports.wire.pcm import SampleFormat

MAX_SETTINGS = 64
"""Most first values in a config; the registry has far fewer parameters."""

NOISE_SEED_LIMIT = 2**63
"""Seeds lie below it."""

SAMPLES_LIMIT = 2**32
"""Cushions and usual blocks lie below it, in samples: a day at 48 kHz."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamConfig:
    """What a stream is to be; its first message."""

    audio_format: AudioFormat
    """Rate and channels of both directions."""
    styles: tuple[StyleShare, ...]
    """The style, or several with weights; 1 to 16 of them, at least one weight above 0."""
    sample_format: SampleFormat = SampleFormat.F32LE
    """How a sample is written in both directions."""
    bundle: str = ""
    """Name of the bundle; empty for the server's default."""
    bundle_digest: str = ""
    """When given, the bundle must have it."""
    session_id: str = ""
    """Name of the stream; empty lets the server choose."""
    nominal_block_samples: int = 0
    """Usual size of a block in samples; 0 when the client cannot say."""
    settings: tuple[Setting, ...] = ()
    """First values of parameters."""
    deadline_samples: int | None = 0
    """Live: samples after a step's last input until it is late, 0 for one step. ``None``: pacing fast, never late."""
    noise_seed: int = 0
    """Seed of the excitation bank's noise, below 2**63."""
    statistics: Statistics | None = None
    """What is known of the content already, as a frozen stream of the bundle handed it out."""

    def __post_init__(self) -> None:
        if not 1 <= len(self.styles) <= MAX_STYLES or not any(share.weight > 0.0 for share in self.styles):
            raise BadConfig(
                f"expected 1 to {MAX_STYLES} styles, at least one with a weight above 0, got {len(self.styles)}; "
                "name the style to play",
                field="config.style",
            )
        if len(self.settings) > MAX_SETTINGS:
            raise BadConfig(
                f"expected at most {MAX_SETTINGS} parameters, got {len(self.settings)}", field="config.parameters"
            )
        if not 0 <= self.noise_seed < NOISE_SEED_LIMIT:
            raise BadConfig(f"expected a seed below 2**63, got {self.noise_seed}", field="config.seed")
        for n_samples, where in (
            (self.deadline_samples or 0, "config.live.deadline_samples"),
            (self.nominal_block_samples, "config.nominal_block_samples"),
        ):
            if not 0 <= n_samples < SAMPLES_LIMIT:
                raise BadConfig(f"expected 0 to {SAMPLES_LIMIT - 1} samples, got {n_samples}", field=where)
        for name, where in ((self.bundle, "config.bundle"), (self.session_id, "config.session_id")):
            if name:
                check_name(name, field=where)


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioMessage:
    """A block of audio from the client, still as bytes."""

    pcm: bytes
    """Interleaved samples in the stream's format."""
    first_sample: int
    """Position of the first sample in the stream."""
    sequence: int
    """Number that the client gave the block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleControl:
    """Asks for another style or mix; names still have to be looked up."""

    styles: tuple[StyleShare, ...]
    """At least one."""
    at_sample: int | None = None
    """Input sample at which the crossfade begins; ``None``: the next one."""
    fade_samples: int | None = None
    """Length of the crossfade; ``None``: the parameter's own."""


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """The client's transport is stopped, the client is still there."""


@dataclass(frozen=True, slots=True)
class UnknownMessage:
    """A message without a member that this side knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IgnoredControl:
    """A control that makes no sense on its face; the stream goes on and says so."""

    kind: EventKind
    """``UNKNOWN_PARAMETER`` or ``VALUE_IGNORED`` or ``STYLE_REFUSED``."""
    name: str
    """The parameter's name as it came, shortened."""
    message: str
    """One sentence for people."""


class EventKind(enum.Enum):
    """What an event is about: the session's ``NoticeKind`` and what the stream itself adds."""

    UNKNOWN_MESSAGE = "UNKNOWN_MESSAGE"
    UNKNOWN_PARAMETER = "UNKNOWN_PARAMETER"
    VALUE_CLAMPED = "VALUE_CLAMPED"
    VALUE_IGNORED = "VALUE_IGNORED"
    CONTROL_LATE = "CONTROL_LATE"
    CONTROL_DROPPED = "CONTROL_DROPPED"
    STYLE_REFUSED = "STYLE_REFUSED"
    STYLE_CHANGED = "STYLE_CHANGED"
    BUNDLE_REFUSED = "BUNDLE_REFUSED"
    BUNDLE_CHANGED = "BUNDLE_CHANGED"
    NON_FINITE_REPLACED = "NON_FINITE_REPLACED"
    BLOCK_DROPPED = "BLOCK_DROPPED"
    GAP_FILLED = "GAP_FILLED"
    STREAM_RESTARTED = "STREAM_RESTARTED"
    STEP_LATE = "STEP_LATE"
    STEP_FAILED = "STEP_FAILED"
    OUTPUT_DROPPED = "OUTPUT_DROPPED"
    GOING_AWAY = "GOING_AWAY"


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamReady:
    """Everything that the server decided about a stream; its first answer."""

    session_id: str
    """Name of the stream."""
    config: StreamConfig
    """The config with every default filled in."""
    bundle: str
    """Name of the bundle."""
    bundle_digest: str
    """SHA-256 of its manifest, hexadecimal."""
    latency_samples: int
    """From an input sample to its place in the output; constant."""
    step_samples: int
    """Samples of one model step."""
    max_block_samples: int
    """Largest block."""
    credit_samples: int
    """Samples that the client may be ahead of its answers, and on a live stream of real time."""
    idle_limit_s: float
    """Seconds without a message after which the stream ends; 0 for never."""
    duration_limit_s: float
    """Longest stream; 0 for no limit."""
    provider: str
    """Execution provider that really runs the model."""
    precision: str
    """Precision of the model file in use."""
    requested_device: str
    """Device that the server was asked to use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StyledMessage:
    """A block of audio from the server, still as bytes."""

    pcm: bytes
    """Interleaved samples in the stream's format."""
    first_sample: int
    """Position of the first sample."""
    sequence: int
    """Number of the client's block that it answers."""
    flags: AudioFlag = AudioFlag.NONE
    """What is special about it."""
    timing: Timing = field(default_factory=Timing)
    """Where the time of its last model step went."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEvent:
    """Something that the client should know, while the stream goes on."""

    kind: EventKind
    """What it is about."""
    message: str
    """One sentence for people."""
    at_sample: int | None = None
    """Input position that it is about."""
    name: str = ""
    """Parameter, style or bundle that it is about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSummary:
    """What became of a stream that was finished; its last answer."""

    stats: SessionStats
    """Counters of the session; those that do not travel are 0 at the client."""
    unread_blocks: int
    """Answers dropped because the client did not read them in time."""
    latency_samples: int
    """As in ``StreamReady``."""
    bundle: str
    """Bundle that played last."""


StreamRequest = (
    StreamConfig | AudioMessage | Control | StyleControl | IgnoredControl | Flush | Finish | KeepAlive | UnknownMessage
)
StreamResponse = StreamReady | StyledMessage | StreamEvent | Statistics | StreamSummary | UnknownMessage
