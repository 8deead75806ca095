"""What a client sends: ``StreamTransferRequest`` to our types and back."""

from __future__ import annotations

from deepmusic.audio import AudioFormat
from deepmusic.errors import BadConfig, BadParameter, RequestError
from deepmusic.model.style_share import MAX_NAME_CHARACTERS, MAX_STYLES, StyleShare, shortened
from deepmusic.session.config import Setting
from deepmusic.session.events import Control, Finish, Flush
from deepmusic.session.parameters import PARAMETERS, ParameterKind
from deepmusic.transports.wire.messages import (
    AudioMessage,
    EventKind,
    IgnoredControl,
    KeepAlive,
    StreamConfig,
    StreamRequest,
    StyleControl,
    UnknownMessage,
)
from deepmusic.transports.wire.pcm import SampleFormat
from deepmusic.transports.wire.statistics import read_statistics, write_statistics
from deepmusic.v1 import audio_pb2, parameters_pb2, style_pb2, transfer_service_pb2

_FORMATS = {
    SampleFormat.F32LE: audio_pb2.SAMPLE_FORMAT_F32LE,
    SampleFormat.S16LE: audio_pb2.SAMPLE_FORMAT_S16LE,
}
_FORMATS_BY_NUMBER = {number: sample_format for sample_format, number in _FORMATS.items()}


def read_request(message: transfer_service_pb2.StreamTransferRequest) -> StreamRequest:
    """A message of the client as one of ours.

    Raises:
        RequestError: A config is wrong. Nothing else that a client sends raises: it becomes ``IgnoredControl``,
            ``UnknownMessage``, or is judged by the stream.
    """
    match message.WhichOneof("message"):
        case "audio":
            audio = message.audio
            return AudioMessage(pcm=audio.pcm, first_sample=audio.first_sample, sequence=audio.sequence)
        case "control":
            return _read_control(message.control)
        case "config":
            return read_config(message.config)
        case "flush":
            return Flush()
        case "finish":
            return Finish()
        case "keep_alive":
            return KeepAlive()
        case _:
            return UnknownMessage()


def write_request(request: StreamRequest) -> transfer_service_pb2.StreamTransferRequest:
    """One of our messages as the client sends it."""
    match request:
        case AudioMessage():
            block = audio_pb2.AudioBlock(sequence=request.sequence, first_sample=request.first_sample, pcm=request.pcm)
            return transfer_service_pb2.StreamTransferRequest(audio=block)
        case Control():
            value = parameters_pb2.ParameterValue(name=request.name, number=request.value)
            change = _change(value, request.at_sample, request.ramp_samples)
            return transfer_service_pb2.StreamTransferRequest(control=change)
        case StyleControl():
            value = parameters_pb2.ParameterValue(name="style_weights", mix=_write_mix(request.styles))
            change = _change(value, request.at_sample, request.fade_samples)
            return transfer_service_pb2.StreamTransferRequest(control=change)
        case StreamConfig():
            return transfer_service_pb2.StreamTransferRequest(config=write_config(request))
        case Flush():
            return transfer_service_pb2.StreamTransferRequest(flush=transfer_service_pb2.Flush())
        case Finish():
            return transfer_service_pb2.StreamTransferRequest(finish=transfer_service_pb2.Finish())
        case KeepAlive():
            return transfer_service_pb2.StreamTransferRequest(keep_alive=transfer_service_pb2.KeepAlive())
        case IgnoredControl() | UnknownMessage():
            return transfer_service_pb2.StreamTransferRequest()


def read_format(message: audio_pb2.AudioFormat, *, field: str) -> tuple[int, int, SampleFormat]:
    """Rate in Hz, channels and sample format, of which only the sample format has been judged.

    Raises:
        BadConfig: No sample format that is known here.
    """
    sample_format = _FORMATS_BY_NUMBER.get(message.sample_format)
    if sample_format is None:
        raise BadConfig(
            f"expected sample format F32LE or S16LE, got number {message.sample_format}; name one of them",
            field=f"{field}.sample_format",
        )
    return message.sample_rate_hz, message.n_channels, sample_format


def write_format(sample_rate_hz: int, n_channels: int, sample_format: SampleFormat) -> audio_pb2.AudioFormat:
    """Rate in Hz, channels and sample format as a message."""
    return audio_pb2.AudioFormat(
        sample_rate_hz=sample_rate_hz, n_channels=n_channels, sample_format=_FORMATS[sample_format]
    )


def read_config(message: transfer_service_pb2.StreamConfig) -> StreamConfig:
    """A config as ours.

    Raises:
        RequestError: A field is wrong; ``field`` says which.
    """
    rate_hz, n_channels, sample_format = read_format(message.format, field="config.format")
    try:
        audio_format = AudioFormat(sample_rate_hz=rate_hz, n_channels=n_channels)
    except BadConfig as error:
        error.field = f"config.format.{error.field}"
        raise
    if len(message.style.styles) == 0:
        raise BadConfig("expected a style, got none; name the style to play", field="config.style")
    match message.WhichOneof("pacing"):
        case "live":
            deadline_samples = message.live.deadline_samples
        case "fast":
            deadline_samples = None
        case _:
            raise BadConfig("expected pacing live or fast, got neither; choose one", field="config.pacing")
    try:
        shares = _read_mix(message.style)
    except RequestError as error:
        error.field = f"config.{error.field}"
        raise
    return StreamConfig(
        audio_format=audio_format,
        styles=shares,
        sample_format=sample_format,
        bundle=message.bundle,
        bundle_digest=message.bundle_digest,
        session_id=message.session_id,
        nominal_block_samples=message.nominal_block_samples,
        settings=tuple(_read_setting(value) for value in message.parameters),
        deadline_samples=deadline_samples,
        noise_seed=message.seed,
        statistics=(
            read_statistics(message.statistics, field="config.statistics") if message.HasField("statistics") else None
        ),
    )


def write_config(config: StreamConfig) -> transfer_service_pb2.StreamConfig:
    """Our config as a message."""
    message = transfer_service_pb2.StreamConfig(
        session_id=config.session_id,
        bundle=config.bundle,
        bundle_digest=config.bundle_digest,
        style=_write_mix(config.styles),
        format=write_format(config.audio_format.sample_rate_hz, config.audio_format.n_channels, config.sample_format),
        nominal_block_samples=config.nominal_block_samples,
        parameters=[parameters_pb2.ParameterValue(name=s.name, number=s.value) for s in config.settings],
        seed=config.noise_seed,
        statistics=None if config.statistics is None else write_statistics(config.statistics),
    )
    if config.deadline_samples is None:
        message.fast.SetInParent()
    else:
        message.live.deadline_samples = config.deadline_samples
    return message


def _read_setting(value: parameters_pb2.ParameterValue) -> Setting:
    """First value of a parameter; its name and range are judged by the session."""
    name = value.name if len(value.name) <= MAX_NAME_CHARACTERS else shortened(value.name)
    match value.WhichOneof("value"):
        case "number":
            return Setting(name=name, value=value.number)
        case "on":
            return Setting(name=name, value=float(value.on))
        case _:
            raise BadParameter(
                f"expected a number or a switch for {shortened(name)}; a style belongs into config.style",
                field="config.parameters",
            )


def _read_control(change: parameters_pb2.ControlChange) -> Control | StyleControl | IgnoredControl:
    value = change.parameter
    at_sample = change.at_sample if change.HasField("at_sample") else None
    ramp_samples = change.ramp_samples if change.HasField("ramp_samples") else None
    parameter = PARAMETERS.get(value.name)
    name = value.name if len(value.name) <= MAX_NAME_CHARACTERS else shortened(value.name)
    if parameter is None:
        return IgnoredControl(
            kind=EventKind.UNKNOWN_PARAMETER,
            name=name,
            message=f"expected one of {', '.join(PARAMETERS)}, got {shortened(value.name)}; ignored",
        )
    is_style = parameter.kind in (ParameterKind.STYLE, ParameterKind.STYLE_WEIGHTS)
    match value.WhichOneof("value"):
        case "number" if not is_style:
            return Control(name=name, value=value.number, at_sample=at_sample, ramp_samples=ramp_samples)
        case "on" if not is_style:
            return Control(name=name, value=float(value.on), at_sample=at_sample, ramp_samples=ramp_samples)
        case "style" | "mix" as member if is_style:
            try:
                styles = (StyleShare(name=value.style),) if member == "style" else _read_mix(value.mix)
            except RequestError as error:
                return IgnoredControl(kind=EventKind.STYLE_REFUSED, name=name, message=error.message)
            return StyleControl(styles=styles, at_sample=at_sample, fade_samples=ramp_samples)
        case member:
            wanted = "a style or a mix" if is_style else "a number or a switch"
            return IgnoredControl(
                kind=EventKind.VALUE_IGNORED,
                name=name,
                message=f"expected {wanted} for {name}, got {member or 'nothing'}; ignored",
            )


def _read_mix(mix: style_pb2.StyleMix) -> tuple[StyleShare, ...]:
    if len(mix.styles) > MAX_STYLES:
        raise BadConfig(f"expected at most {MAX_STYLES} styles in a mix, got {len(mix.styles)}", field="style")
    shares = tuple(StyleShare(name=share.name, weight=share.weight) for share in mix.styles)
    if not any(share.weight > 0.0 for share in shares):
        raise BadConfig("expected at least one style with a weight above 0, got none", field="style.weight")
    return shares


def _write_mix(styles: tuple[StyleShare, ...]) -> style_pb2.StyleMix:
    return style_pb2.StyleMix(
        styles=[style_pb2.WeightedStyle(name=share.name, weight=share.weight) for share in styles]
    )


def _change(
    value: parameters_pb2.ParameterValue, at_sample: int | None, ramp_samples: int | None
) -> parameters_pb2.ControlChange:
    # The past is the next sample, however far back; the fields have no sign.
    first, ramp = (None if count is None else max(0, count) for count in (at_sample, ramp_samples))
    return parameters_pb2.ControlChange(parameter=value, at_sample=first, ramp_samples=ramp)
