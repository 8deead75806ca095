"""A set: the cues of an evening in their order, read from TOML, with every mistake named.

::

    title = "Friday"
    bpm = 120
    beats_per_bar = 4
    midi = { next = 64, previous = 67 }

    [[cue]]
    name = "verse"
    style = "brass"
    quantise = "bar"
    ramp_ms = 500
    parameters = { strength = 0.6, low_hz = 200 }

    [[cue]]
    name = "bridge"
    blend = { brass = 0.3, strings = 0.7 }
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, cast

from deepmusic.errors import BadConfig, BadName, BadParameter
from deepmusic.model.style_share import MAX_STYLES, StyleShare, check_name, shortened
from deepmusic.session.config import Setting
from deepmusic.session.parameters import check_setting, numeric_names
from deepmusic.stage.tempo import Quantise, Tempo
from deepmusic.stage.toml_text import parsed

MOST_CUES = 500
"""Cues of a set."""

LONGEST_RAMP_MS = 600_000.0
"""Ten minutes."""

SET_KEYS = ("title", "bpm", "beats_per_bar", "midi", "cue")
"""What a set may say."""

MIDI_KEYS = ("next", "previous", "channel")
"""What the table ``midi`` may say."""

CUE_KEYS = ("name", "style", "blend", "parameters", "ramp_ms", "quantise", "bpm")
"""What a cue may say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cue:
    """What changes at one moment of a set; what it does not name stays as it is."""

    name: str
    """Unique in its set, 1 to 64 printable characters."""
    styles: tuple[StyleShare, ...] = ()
    """The style, or a blend of up to 16; empty keeps what plays."""
    settings: tuple[Setting, ...] = ()
    """Where parameters go."""
    ramp_ms: float | None = None
    """Length of ramps and crossfade; ``None``: each parameter's own."""
    quantise: Quantise = Quantise.OFF
    """What it waits for."""
    bpm: float | None = None
    """The tempo that begins with it, at once; ``None`` keeps the tempo."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MidiMap:
    """Which switch does what."""

    next: int = 64
    """Controller that plays the next cue, 0 to 127; 64 is a sustain pedal."""
    previous: int = 67
    """Controller that plays the cue before, 0 to 127; 67 is a soft pedal."""
    channel: int | None = None
    """1 to 16; ``None`` for any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetList:
    """The cues of an evening."""

    title: str = ""
    """For people."""
    tempo: Tempo | None = None
    """The tempo to begin with; ``None`` where the set says nothing of it."""
    midi: MidiMap = MidiMap()
    """Which switch does what."""
    cues: tuple[Cue, ...] = ()
    """In order."""

    @property
    def style_names(self) -> tuple[str, ...]:
        """Every style that a cue names, once."""
        return tuple(dict.fromkeys(style.name for cue in self.cues for style in cue.styles))


def parse_set(text: str) -> SetList:
    """Reads a set.

    Raises:
        BadConfig: It is no TOML, a key is unknown, or a value is of the wrong type or out of its range.
    """
    table = parsed(text, what="a set in TOML", example='title = "Friday"')
    _check_keys(table, SET_KEYS, where="the set")
    entries = table.get("cue", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in cast("list[object]", entries)):
        raise BadConfig("expected cues as [[cue]] tables, got something else; write [[cue]] above each", field="cue")
    cue_tables = cast("list[dict[str, Any]]", entries)
    if not 1 <= len(cue_tables) <= MOST_CUES:
        raise BadConfig(f"expected 1 to {MOST_CUES} cues, got {len(cue_tables)}; write [[cue]] above each", field="cue")
    cues = tuple(_cue(entry, f"cue {number}") for number, entry in enumerate(cue_tables, 1))
    names = [cue.name for cue in cues]
    for name in names:
        if names.count(name) > 1:
            raise BadConfig(f"expected every cue once, got {name!r} twice; rename one", field="cue.name")
    title = _text(table, "title", "the set")
    return SetList(title=title, tempo=_tempo(table), midi=_midi(table.get("midi", {})), cues=cues)


def _cue(table: Mapping[str, Any], where: str) -> Cue:
    _check_keys(table, CUE_KEYS, where=where)
    name = _name(_text(table, "name", where), where)
    if "style" in table and "blend" in table:
        raise BadConfig(f"{where}: expected a style or a blend, got both; leave one out", field=where)
    styles: tuple[StyleShare, ...] = ()
    if "style" in table:
        styles = (StyleShare(name=_name(_text(table, "style", where), where)),)
    elif "blend" in table:
        styles = _blend(table["blend"], where)
    ramp_ms = _number(table["ramp_ms"], "ramp_ms", where) if "ramp_ms" in table else None
    if ramp_ms is not None and not 0.0 <= ramp_ms <= LONGEST_RAMP_MS:
        raise BadConfig(f"{where}: expected ramp_ms of 0 to {LONGEST_RAMP_MS:g}, got {ramp_ms:g}", field=where)
    waits_for = {quantise.value: quantise for quantise in Quantise}
    quantise = table.get("quantise", Quantise.OFF.value)
    if not isinstance(quantise, str) or quantise not in waits_for:
        raise BadConfig(f"{where}: expected quantise {', '.join(waits_for)}, got {_short(quantise)}", field=where)
    bpm = _bpm(table["bpm"], where) if "bpm" in table else None
    return Cue(
        name=name,
        styles=styles,
        settings=_settings(table.get("parameters", {}), where),
        ramp_ms=ramp_ms,
        quantise=waits_for[quantise],
        bpm=bpm,
    )


def _blend(value: object, where: str) -> tuple[StyleShare, ...]:
    if not isinstance(value, dict):
        raise BadConfig(f"{where}: expected blend = {{ brass = 0.3, strings = 0.7 }}, got {_short(value)}", field=where)
    shares = cast("dict[str, object]", value)
    styles = tuple(
        StyleShare(name=_name(name, where), weight=_weight(name, weight, where)) for name, weight in shares.items()
    )
    if not 1 <= len(styles) <= MAX_STYLES or not any(style.weight > 0.0 for style in styles):
        raise BadConfig(
            f"{where}: expected a blend of 1 to {MAX_STYLES} styles, one of them with a weight above 0", field=where
        )
    return styles


def _weight(name: str, value: object, where: str) -> float:
    weight = _number(value, f"the weight of {shortened(name)}", where)
    if weight < 0.0:
        raise BadConfig(f"{where}: expected weights of at least 0, got {weight:g} for {shortened(name)}", field=where)
    return weight


def _settings(value: object, where: str) -> tuple[Setting, ...]:
    if not isinstance(value, dict):
        raise BadConfig(f"{where}: expected parameters = {{ mix = 0.5 }}, got {_short(value)}", field=where)
    table = cast("dict[str, object]", value)
    _check_keys(table, numeric_names(), where=f"{where}, parameters")
    settings: list[Setting] = []
    for name, entry in table.items():
        number = float(entry) if isinstance(entry, bool) else _number(entry, name, where)
        setting = Setting(name=name, value=number)
        try:
            check_setting(setting)
        except BadParameter as error:
            raise BadConfig(f"{where}: {error.message}", field=where) from error
        settings.append(setting)
    return tuple(settings)


def _bpm(value: object, where: str) -> float:
    bpm = _number(value, "bpm", where)
    try:
        return Tempo(bpm=bpm).bpm
    except BadConfig as error:
        raise BadConfig(f"{where}: {error.message}", field=where) from error


def _tempo(table: Mapping[str, Any]) -> Tempo | None:
    if "bpm" not in table and "beats_per_bar" not in table:
        return None
    default = Tempo()
    bpm = _number(table.get("bpm", default.bpm), "bpm", "the set")
    beats = table.get("beats_per_bar", default.beats_per_bar)
    if type(beats) is not int:
        raise BadConfig(f"expected beats_per_bar as a whole number, got {_short(beats)}", field="beats_per_bar")
    return Tempo(bpm=bpm, beats_per_bar=beats)


def _midi(value: object) -> MidiMap:
    if not isinstance(value, dict):
        raise BadConfig(f"expected a table [midi], got {_short(value)}", field="midi")
    table = cast("dict[str, object]", value)
    _check_keys(table, MIDI_KEYS, where="midi")
    numbers: dict[str, int] = {}
    for key, entry in table.items():
        lowest, highest = (1, 16) if key == "channel" else (0, 127)
        if type(entry) is not int or not lowest <= entry <= highest:
            raise BadConfig(f"midi: expected {key} from {lowest} to {highest}, got {_short(entry)}", field="midi")
        numbers[key] = entry
    switches = MidiMap(**numbers)
    if switches.next == switches.previous:
        raise BadConfig(f"midi: expected two controllers, got {switches.next} for both ways", field="midi")
    return switches


def _check_keys(table: Mapping[str, Any], valid: Collection[str], *, where: str) -> None:
    for key in table:
        if key not in valid:
            raise BadConfig(f"{where}: unknown key {_short(key)}; valid keys: {', '.join(valid)}", field=where)


def _name(name: str, where: str) -> str:
    try:
        return check_name(name, field=where)
    except BadName as error:
        raise BadConfig(f"{where}: {error.message}", field=where) from error


def _text(table: Mapping[str, Any], key: str, where: str) -> str:
    value = table.get(key, "")
    if not isinstance(value, str):
        raise BadConfig(f"{where}: expected {key} as a text in quotes, got {_short(value)}", field=where)
    return value


def _number(value: object, key: str, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadConfig(f"{where}: expected {key} as a number, got {_short(value)}", field=where)
    return float(value)


def _short(value: object) -> str:
    return repr(value)[:60]
