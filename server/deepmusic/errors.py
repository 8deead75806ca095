"""Every error that deepmusic raises on purpose, in one tree split by whose fault it is.

::

    DeepmusicError
    ├── RequestError          the caller's request          INVALID_ARGUMENT    BAD_REQUEST
    │   ├── ConfigRequired    audio came before the config  INVALID_ARGUMENT    CONFIG_REQUIRED
    │   ├── ConfigRepeated    a second config               INVALID_ARGUMENT    CONFIG_REPEATED
    │   ├── MalformedMessage  bytes that are no message     INVALID_ARGUMENT    MALFORMED_MESSAGE
    │   ├── BadConfig         a field of the config         INVALID_ARGUMENT    BAD_CONFIG
    │   ├── BadBlockSize      a block of the wrong length   INVALID_ARGUMENT    BAD_BLOCK_SIZE
    │   ├── BadParameter      a parameter in the config     INVALID_ARGUMENT    BAD_PARAMETER
    │   ├── BadName           a name that is not allowed    INVALID_ARGUMENT    BAD_NAME
    │   ├── UnsupportedFormat a file that is no audio       INVALID_ARGUMENT    UNSUPPORTED_FORMAT
    │   ├── DecodeFailed      a file that breaks off        INVALID_ARGUMENT    DECODE_FAILED
    │   ├── AudioTooLong      beyond the length limit       INVALID_ARGUMENT    AUDIO_TOO_LONG
    │   ├── AudioTooShort     too little to work with       INVALID_ARGUMENT    AUDIO_TOO_SHORT
    │   ├── StyleSilent       a style without sound         INVALID_ARGUMENT    STYLE_SILENT
    │   ├── StyleDamaged      a vector that cannot be one   INVALID_ARGUMENT    STYLE_DAMAGED
    │   ├── ModelNotFound     no bundle of that name        NOT_FOUND           MODEL_NOT_FOUND
    │   ├── StyleNotFound     no style of that name         NOT_FOUND           STYLE_NOT_FOUND
    │   ├── AddressUnknown    (OSC) nothing is there        NOT_FOUND           ADDRESS_UNKNOWN
    │   ├── DeviceNotFound    no sound card of that name    NOT_FOUND           DEVICE_NOT_FOUND
    │   ├── StyleExists       a style of that name exists   FAILED_PRECONDITION STYLE_EXISTS
    │   ├── AudioTooFast      more audio than credit        RESOURCE_EXHAUSTED  AUDIO_TOO_FAST
    │   ├── SlowConsumer      the answers are not read      RESOURCE_EXHAUSTED  SLOW_CONSUMER
    │   ├── IdleTimeout       no message for too long       ABORTED             IDLE_TIMEOUT
    │   └── StreamCancelled   ended without ``finish``      CANCELLED           STREAM_CANCELLED
    ├── BundleError           the exported model            FAILED_PRECONDITION BUNDLE_ERROR
    │   ├── BundleInvalid     refused: digest, shape, size  FAILED_PRECONDITION MODEL_INVALID
    │   └── BundleLoading     not ready yet                 UNAVAILABLE         MODEL_LOADING
    ├── CapacityError         the machine is full or going  RESOURCE_EXHAUSTED  CAPACITY_ERROR
    │   ├── NoCapacity        every slot is busy            RESOURCE_EXHAUSTED  NO_CAPACITY
    │   ├── StorageFull       the disk is full              RESOURCE_EXHAUSTED  STORAGE_FULL
    │   ├── StorageDenied     a folder is closed to us      FAILED_PRECONDITION STORAGE_DENIED
    │   ├── ShuttingDown      no new work is taken          UNAVAILABLE         SHUTTING_DOWN
    │   ├── PortInUse         the address is taken          UNAVAILABLE         PORT_IN_USE
    │   ├── DeviceUnavailable no sound from the sound card  UNAVAILABLE         DEVICE_UNAVAILABLE
    │   └── ServerUnreachable (clients) nobody answers      UNAVAILABLE         SERVER_UNREACHABLE
    └── InternalError         our bug                       INTERNAL            INTERNAL_ERROR
        └── InferenceFailed   the model step raised         INTERNAL            INFERENCE_FAILED

A message is one line that says what was expected, what came and what to do. It never carries the text of a
library's exception: that goes to the log, through ``raise ... from error``.
"""

# ruff: noqa: N818  the names say what happened; the tree says that it is an error

from __future__ import annotations

import enum
from typing import ClassVar


def install_extra(name: str) -> str:
    """How one of deepmusic's extras is installed. Never by name: on the public index another project has it."""
    return f"in the folder of deepmusic's source: pip install '.[{name}]'"


class Code(enum.Enum):
    """The canonical gRPC status codes that deepmusic uses; the value is the status' name on the wire."""

    CANCELLED = "CANCELLED"
    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    NOT_FOUND = "NOT_FOUND"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    ABORTED = "ABORTED"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    UNIMPLEMENTED = "UNIMPLEMENTED"
    INTERNAL = "INTERNAL"
    UNAVAILABLE = "UNAVAILABLE"
    DATA_LOSS = "DATA_LOSS"
    UNAUTHENTICATED = "UNAUTHENTICATED"


class DeepmusicError(Exception):
    """The root of the tree; raise one of its leaves.

    Args:
        message: One line: what was expected, what came, what to do.
        field: The request's field at fault, as the caller spells it (becomes ``BadRequest``).
        resource: The name of what was not found or exists already (becomes ``ResourceInfo``).
        retry_after_s: When it is worth trying again, in seconds (becomes ``RetryInfo``).
    """

    code: ClassVar[Code] = Code.INTERNAL
    reason: ClassVar[str] = "INTERNAL_ERROR"

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        resource: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.resource = resource
        self.retry_after_s = retry_after_s


class RequestError(DeepmusicError):
    """The caller asked for something that cannot be; asking again in the same way will not help."""

    code = Code.INVALID_ARGUMENT
    reason = "BAD_REQUEST"


class ConfigRequired(RequestError):
    """The first message of a stream was not its config."""

    reason = "CONFIG_REQUIRED"


class ConfigRepeated(RequestError):
    """A stream sent a second config; a stream is configured once."""

    reason = "CONFIG_REPEATED"


class MalformedMessage(RequestError):
    """The bytes are no message of the contract."""

    reason = "MALFORMED_MESSAGE"


class BadConfig(RequestError):
    """A field of a configuration is out of its range or unknown."""

    reason = "BAD_CONFIG"


class BadBlockSize(RequestError):
    """A block of audio has no samples, a broken frame, the wrong shape, or too many samples."""

    reason = "BAD_BLOCK_SIZE"


class BadParameter(RequestError):
    """A parameter in a configuration is unknown or out of range (on a live stream it is clamped instead)."""

    reason = "BAD_PARAMETER"


class BadName(RequestError):
    """A name of a style, bundle or session holds characters that are not allowed, or is too long."""

    reason = "BAD_NAME"


class UnsupportedFormat(RequestError):
    """A file is none of the audio formats that are read here."""

    reason = "UNSUPPORTED_FORMAT"


class DecodeFailed(RequestError):
    """A file claims to be audio but cannot be decoded to its end."""

    reason = "DECODE_FAILED"


class AudioTooLong(RequestError):
    """The audio is longer than the limit."""

    reason = "AUDIO_TOO_LONG"


class AudioTooShort(RequestError):
    """The audio is too short for what was asked."""

    reason = "AUDIO_TOO_SHORT"


class StyleSilent(RequestError):
    """The recording holds nothing above the gate to learn a style from."""

    reason = "STYLE_SILENT"


class StyleDamaged(RequestError):
    """A style's vector has the wrong size, values that are not finite, or another digest than it says."""

    reason = "STYLE_DAMAGED"


class ModelNotFound(RequestError):
    """No bundle has this name."""

    code = Code.NOT_FOUND
    reason = "MODEL_NOT_FOUND"


class StyleNotFound(RequestError):
    """No style has this name."""

    code = Code.NOT_FOUND
    reason = "STYLE_NOT_FOUND"


class AddressUnknown(RequestError):
    """An OSC address has no command, or names a stream that does not run."""

    code = Code.NOT_FOUND
    reason = "ADDRESS_UNKNOWN"


class DeviceNotFound(RequestError):
    """No sound card or JACK client has this name."""

    code = Code.NOT_FOUND
    reason = "DEVICE_NOT_FOUND"


class StyleExists(RequestError):
    """A style of this name is in the library already."""

    code = Code.FAILED_PRECONDITION
    reason = "STYLE_EXISTS"


class AudioTooFast(RequestError):
    """A stream sent more audio than its credit."""

    code = Code.RESOURCE_EXHAUSTED
    reason = "AUDIO_TOO_FAST"


class SlowConsumer(RequestError):
    """A client did not read its answers for too long."""

    code = Code.RESOURCE_EXHAUSTED
    reason = "SLOW_CONSUMER"


class IdleTimeout(RequestError):
    """A stream sent no message of any kind for too long."""

    code = Code.ABORTED
    reason = "IDLE_TIMEOUT"


class StreamCancelled(RequestError):
    """A stream ended without ``finish``; nothing more is rendered."""

    code = Code.CANCELLED
    reason = "STREAM_CANCELLED"


class BundleError(DeepmusicError):
    """The fault lies in an exported model, not in the request."""

    code = Code.FAILED_PRECONDITION
    reason = "BUNDLE_ERROR"


class BundleInvalid(BundleError):
    """A bundle was refused: manifest, digest, shape, size, or what its graph contains."""

    reason = "MODEL_INVALID"


class BundleLoading(BundleError):
    """A bundle is not ready yet; try again shortly."""

    code = Code.UNAVAILABLE
    reason = "MODEL_LOADING"


class CapacityError(DeepmusicError):
    """The request is sound, but this machine cannot serve it now."""

    code = Code.RESOURCE_EXHAUSTED
    reason = "CAPACITY_ERROR"


class NoCapacity(CapacityError):
    """Every slot is busy."""

    reason = "NO_CAPACITY"


class StorageFull(CapacityError):
    """The disk is full; nothing half-written was left."""

    reason = "STORAGE_FULL"


class StorageDenied(CapacityError):
    """A folder may not be read or written to; its owner has to mend that."""

    code = Code.FAILED_PRECONDITION
    reason = "STORAGE_DENIED"


class ShuttingDown(CapacityError):
    """The server finishes what runs and takes nothing new."""

    code = Code.UNAVAILABLE
    reason = "SHUTTING_DOWN"


class PortInUse(CapacityError):
    """Another process listens at the address."""

    code = Code.UNAVAILABLE
    reason = "PORT_IN_USE"


class DeviceUnavailable(CapacityError):
    """A sound card cannot be opened, or its library is not installed."""

    code = Code.UNAVAILABLE
    reason = "DEVICE_UNAVAILABLE"


class ServerUnreachable(CapacityError):
    """Raised by clients: nobody answers at the address."""

    code = Code.UNAVAILABLE
    reason = "SERVER_UNREACHABLE"


class InternalError(DeepmusicError):
    """A fault of ours. The message names the request, never the exception."""

    code = Code.INTERNAL
    reason = "INTERNAL_ERROR"


class InferenceFailed(InternalError):
    """A model step raised or gave values that are not finite."""

    reason = "INFERENCE_FAILED"
