"""Messages become our types and back without loss; what makes no sense becomes an error or an ignored control."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from google.protobuf.message import DecodeError

from deepmusic.audio import SUPPORTED_RATES_HZ, AudioFormat
from deepmusic.errors import BadBlockSize, BadConfig, BadName, BadParameter, RequestError
from deepmusic.session.config import Setting
from deepmusic.session.events import AudioFlag, Control, Finish, Flush, Notice, NoticeKind, Timing
from deepmusic.session.parameters import PARAMETERS
from deepmusic.session.stats import SessionStats
from deepmusic.transports.wire.listings import (
    BundleListing,
    BundleState,
    StyleListing,
    read_bundle_listing,
    read_style_listing,
    write_bundle_listing,
    write_parameter,
    write_style_listing,
)
from deepmusic.transports.wire.messages import (
    AudioMessage,
    EventKind,
    IgnoredControl,
    KeepAlive,
    StreamConfig,
    StreamEvent,
    StreamReady,
    StreamSummary,
    StyleControl,
    StyledMessage,
    StyleShare,
    UnknownMessage,
    check_name,
)
from deepmusic.transports.wire.pcm import PcmCodec, SampleFormat
from deepmusic.transports.wire.requests import read_request, write_config, write_request
from deepmusic.transports.wire.responses import event_from_notice, read_response, write_response
from deepmusic.v1 import audio_pb2, parameters_pb2, transfer_service_pb2

names = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=64)
positions = st.integers(0, 2**64 - 1)
shares = st.builds(StyleShare, name=names, weight=st.floats(0.001, 100.0))
mixes = st.lists(shares, min_size=1, max_size=16).map(tuple)
settings = st.builds(Setting, name=names, value=st.floats(-1e6, 1e6))
configs = st.builds(
    StreamConfig,
    audio_format=st.builds(
        AudioFormat, sample_rate_hz=st.sampled_from(SUPPORTED_RATES_HZ), n_channels=st.integers(1, 8)
    ),
    styles=mixes,
    sample_format=st.sampled_from(SampleFormat),
    bundle=st.one_of(st.just(""), names),
    bundle_digest=st.text("0123456789abcdef", max_size=64),
    session_id=st.one_of(st.just(""), names),
    nominal_block_samples=st.integers(0, 16384),
    settings=st.lists(settings, max_size=8).map(tuple),
    deadline_samples=st.one_of(st.none(), st.integers(0, 2**31)),
    noise_seed=st.integers(0, 2**63 - 1),
)
numeric = st.sampled_from(["strength", "mix", "bypass", "low_hz"])
requests = st.one_of(
    configs,
    st.builds(AudioMessage, pcm=st.binary(max_size=64), first_sample=positions, sequence=positions),
    st.builds(
        Control,
        name=numeric,
        value=st.floats(allow_nan=False),
        at_sample=st.one_of(st.none(), positions),
        ramp_samples=st.one_of(st.none(), st.integers(0, 2**32 - 1)),
    ),
    st.builds(
        StyleControl,
        styles=mixes,
        at_sample=st.one_of(st.none(), positions),
        fade_samples=st.one_of(st.none(), st.integers(0, 2**32 - 1)),
    ),
    st.just(Flush()),
    st.just(Finish()),
    st.just(KeepAlive()),
    st.just(UnknownMessage()),
)
responses = st.one_of(
    st.builds(
        StyledMessage,
        pcm=st.binary(max_size=64),
        first_sample=positions,
        sequence=positions,
        flags=st.sampled_from([AudioFlag.NONE, AudioFlag.DRY | AudioFlag.LATE, AudioFlag.TAIL]),
        timing=st.just(Timing(queue_s=0.25, inference_s=0.001)),
    ),
    st.builds(
        StreamEvent,
        kind=st.sampled_from(EventKind),
        message=st.text(max_size=20),
        at_sample=st.one_of(st.none(), positions),
        name=st.text(max_size=20),
    ),
    st.builds(
        StreamReady,
        session_id=names,
        config=configs,
        bundle=names,
        bundle_digest=names,
        latency_samples=st.integers(0, 2**32 - 1),
        step_samples=st.integers(0, 2**32 - 1),
        max_block_samples=st.integers(0, 2**32 - 1),
        credit_samples=st.integers(0, 2**32 - 1),
        idle_limit_s=st.floats(0, 1e6),
        duration_limit_s=st.floats(0, 1e6),
        provider=names,
        precision=names,
        requested_device=names,
    ),
    st.builds(
        StreamSummary,
        stats=st.builds(SessionStats, samples_in=positions, late_blocks=positions, failed_steps=positions),
        unread_blocks=positions,
        latency_samples=st.integers(0, 2**32 - 1),
        bundle=names,
    ),
    st.just(UnknownMessage()),
)


@hypothesis.given(requests)
def test_a_request_comes_out_as_it_went_in(request_):
    data = write_request(request_).SerializeToString()
    assert read_request(transfer_service_pb2.StreamTransferRequest.FromString(data)) == request_


@pytest.mark.parametrize("at_sample", [-1, -(2**70)])
def test_a_moment_before_the_stream_travels_as_its_start(at_sample: int) -> None:
    message = write_request(Control(name="mix", value=0.5, at_sample=at_sample, ramp_samples=-5))
    assert read_request(message) == Control(name="mix", value=0.5, at_sample=0, ramp_samples=0)


@hypothesis.given(responses)
def test_a_response_comes_out_as_it_went_in(response):
    data = write_response(response).SerializeToString()
    assert read_response(transfer_service_pb2.StreamTransferResponse.FromString(data)) == response


@hypothesis.given(st.binary(max_size=200))
def test_any_bytes_become_a_request_or_a_request_error(data: bytes):
    message = transfer_service_pb2.StreamTransferRequest()
    with contextlib.suppress(DecodeError, RequestError):
        message.ParseFromString(data)
        read_request(message)


@pytest.mark.parametrize("kind", NoticeKind)
def test_every_notice_of_a_session_has_an_event(kind: NoticeKind):
    event = event_from_notice(Notice(kind=kind, message="so it is", at_sample=7, name="strength"))
    assert event == StreamEvent(kind=EventKind[kind.name], message="so it is", at_sample=7, name="strength")
    assert read_response(write_response(event)) == event


def test_the_wire_has_the_flags_of_the_session_bit_for_bit():
    on_wire = {name.removeprefix("BLOCK_FLAG_"): number for name, number in audio_pb2.BlockFlag.items()}
    assert {name: int(flag) for name, flag in AudioFlag.__members__.items()} | {"UNSPECIFIED": 0} == on_wire | {
        "NONE": 0
    }


def test_the_wire_has_the_kinds_of_events_that_we_have():
    on_wire = {name.removeprefix("STREAM_EVENT_KIND_") for name in transfer_service_pb2.StreamEventKind.keys()}  # noqa: SIM118 (no dict)
    assert on_wire - {"UNSPECIFIED"} == set(EventKind.__members__)


def test_an_event_of_a_later_version_is_an_unknown_message():
    message = transfer_service_pb2.StreamTransferResponse()
    message.event.kind = 999  # type: ignore[assignment]
    assert read_response(message) == UnknownMessage()


def control(name: str, **value: object) -> transfer_service_pb2.StreamTransferRequest:
    change = parameters_pb2.ControlChange(parameter=parameters_pb2.ParameterValue(name=name, **value))
    return transfer_service_pb2.StreamTransferRequest(control=change)


@pytest.mark.parametrize(
    ("request_", "kind"),
    [
        (control("volume", number=11.0), EventKind.UNKNOWN_PARAMETER),
        (control("x" * 10000, number=11.0), EventKind.UNKNOWN_PARAMETER),
        (control("strength", style="brass"), EventKind.VALUE_IGNORED),
        (control("strength"), EventKind.VALUE_IGNORED),
        (control("style", number=1.0), EventKind.VALUE_IGNORED),
        (control("style", style=""), EventKind.STYLE_REFUSED),
        (control("style", style="\0"), EventKind.STYLE_REFUSED),
        (control("style_weights", mix={"styles": []}), EventKind.STYLE_REFUSED),
        (control("style_weights", mix={"styles": [{"name": "a", "weight": float("nan")}]}), EventKind.STYLE_REFUSED),
        (control("style_weights", mix={"styles": [{"name": "a", "weight": 1e308}] * 2}), EventKind.STYLE_REFUSED),
        (control("style_weights", mix={"styles": [{"name": "a", "weight": 1.0}] * 17}), EventKind.STYLE_REFUSED),
    ],
    ids=[
        "unknown",
        "a long name",
        "a style for a number",
        "nothing for a number",
        "a number for a style",
        "no name",
        "a name that does not print",
        "an empty mix",
        "a weight that is no number",
        "weights whose sum is no number",
        "more styles than a mix has",
    ],
)
def test_a_control_that_makes_no_sense_is_ignored_with_a_reason(request_, kind: EventKind):
    ignored = read_request(request_)
    assert isinstance(ignored, IgnoredControl)
    assert ignored.kind is kind
    assert len(ignored.name) <= 80


def test_a_switch_and_a_style_are_read_as_what_they_are():
    assert read_request(control("bypass", on=True)) == Control(name="bypass", value=1.0)
    assert read_request(control("style", style="brass")) == StyleControl(styles=(StyleShare(name="brass"),))


BASE = StreamConfig(audio_format=AudioFormat(sample_rate_hz=48000, n_channels=1), styles=(StyleShare(name="brass"),))


@pytest.mark.parametrize(
    ("damage", "error", "field"),
    [
        (lambda m: m.ClearField("style"), BadConfig, "config.style"),
        (lambda m: m.ClearField("live"), BadConfig, "config.pacing"),
        (lambda m: setattr(m.style.styles[0], "weight", -1.0), BadConfig, "config.style.weight"),
        (lambda m: setattr(m.style.styles[0], "weight", 1e308), BadConfig, "config.style.weight"),
        (lambda m: setattr(m.style.styles[0], "name", "a\nb"), BadName, "config.style.name"),
        (lambda m: setattr(m, "bundle", "x" * 65), BadName, "config.bundle"),
        (lambda m: setattr(m, "seed", 2**63), BadConfig, "config.seed"),
        (lambda m: m.parameters.add(name="style", style="brass"), BadParameter, "config.parameters"),
        (lambda m: [m.parameters.add(name="mix", number=1) for _ in range(65)], BadConfig, "config.parameters"),
        (lambda m: [m.style.styles.add(name="a", weight=1) for _ in range(16)], BadConfig, "config.style"),
    ],
    ids=[
        "no style",
        "no pacing",
        "weight",
        "too large a weight",
        "style name",
        "bundle name",
        "seed",
        "style as parameter",
        "too many parameters",
        "too many styles",
    ],
)
def test_a_config_that_is_wrong_names_its_field(damage, error: type[RequestError], field: str):
    message = write_config(BASE)
    damage(message)
    with pytest.raises(error) as refused:
        read_request(transfer_service_pb2.StreamTransferRequest(config=message))
    assert refused.value.field == field


def test_a_config_needs_a_style():
    with pytest.raises(BadConfig, match="name the style to play"):
        replace(BASE, styles=())


@pytest.mark.parametrize("n_samples", [-1, 2**32])
@pytest.mark.parametrize("name", ["deadline_samples", "nominal_block_samples"])
def test_a_number_of_samples_that_no_config_has_room_for_is_refused(name: str, n_samples: int):
    sound = AudioFormat(sample_rate_hz=48000, n_channels=2)
    with pytest.raises(BadConfig, match="expected 0 to 4294967295 samples") as refused:
        StreamConfig(audio_format=sound, styles=(StyleShare(name="cello"),), **{name: n_samples})
    assert str(refused.value.field).endswith(name)


@pytest.mark.parametrize("name", ["", "x" * 65, "a\0b", "a\nb", "\u202e"], ids=ascii)
def test_a_name_that_does_not_print_is_refused(name: str):
    with pytest.raises(BadName):
        check_name(name, field="name")


@pytest.mark.parametrize("n_channels", [1, 2, 8])
def test_float_samples_come_out_bit_for_bit(n_channels: int):
    codec = PcmCodec(n_channels, SampleFormat.F32LE)
    block = np.random.default_rng(0).normal(size=(n_channels, 100)).astype(np.float32)
    decoded = codec.decode(codec.encode(block), max_samples=100)
    np.testing.assert_array_equal(decoded, block)
    assert decoded.flags.c_contiguous
    assert decoded.flags.owndata
    assert decoded.flags.writeable


def test_sixteen_bit_samples_are_rounded_and_clipped():
    codec = PcmCodec(1, SampleFormat.S16LE)
    block = np.array([[0.0, 0.5, -1.0, 1.0, 3.0, -3.0, 0.6 / 32768.0]], np.float32)
    assert np.frombuffer(codec.encode(block), "<i2").tolist() == [0, 16384, -32768, 32767, 32767, -32768, 1]
    assert codec.decode(codec.encode(block), max_samples=7)[0, 1] == 0.5


@pytest.mark.parametrize("n_bytes", [0, 1, 9, 88])
def test_bytes_that_are_no_whole_block_are_refused(n_bytes: int):
    with pytest.raises(BadBlockSize):
        PcmCodec(2, SampleFormat.F32LE).decode(bytes(n_bytes), max_samples=10)


@pytest.mark.parametrize("state", BundleState)
def test_listings_come_out_as_they_went_in(state: BundleState):
    bundle = BundleListing(
        name="live", state=state, problem="none", version="1", digest="ab", kind="stream", profile="live", style_size=3
    )
    assert read_bundle_listing(write_bundle_listing(bundle)) == bundle
    style = StyleListing(name="brass", bundle_digests=("ab", "cd"), source_s=3.5, temporary=True)
    assert read_style_listing(write_style_listing(style)) == style


@pytest.mark.parametrize("name", PARAMETERS)
def test_every_parameter_is_listed_as_the_registry_has_it(name: str):
    parameter, listed = PARAMETERS[name], write_parameter(PARAMETERS[name])
    assert (listed.name, listed.unit, listed.description) == (name, parameter.unit, parameter.doc)
    assert (listed.minimum, listed.maximum, listed.default_value) == (
        parameter.minimum,
        parameter.maximum,
        parameter.default,
    )
