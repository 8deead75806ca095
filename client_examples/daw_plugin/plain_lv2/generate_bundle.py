"""Writes what an LV2 host reads of the plain plug-in: its manifest, and its ports from the server's registry.

python generate_bundle.py FOLDER LIBRARY     # with the repository's server/ and registry/ on PYTHONPATH
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from generate_registry import numbers_and_switches

from deepmusic.session.parameters import Parameter, ParameterKind

SLOTS = 8
"""As ``kSlots`` of the transport."""

PLUGINS = (("urn:deepmusic:plain", "deepmusic plain", 2), ("urn:deepmusic:plain:mono", "deepmusic plain mono", 1))
"""URI, name and number of channels, in the order of the library's descriptors."""

PREFIXES = """@prefix doap: <http://usefulinc.com/ns/doap#> .
@prefix bufsz: <http://lv2plug.in/ns/ext/buf-size#> .
@prefix lv2: <http://lv2plug.in/ns/lv2core#> .
@prefix opts: <http://lv2plug.in/ns/ext/options#> .
@prefix pprops: <http://lv2plug.in/ns/ext/port-props#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix units: <http://lv2plug.in/ns/extensions/units#> .
@prefix urid: <http://lv2plug.in/ns/ext/urid#> .
"""

UNITS = {"dB": "units:db", "Hz": "units:hz"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """One port of a plug-in."""

    types: tuple[str, str]
    """Its classes."""
    symbol: str
    """Its name for programs, as ``lv2apply -c`` takes it."""
    name: str
    """Its name for people."""
    facts: tuple[str, ...] = ()
    """What else there is to say: predicates with their objects."""

    def turtle(self, index: int) -> str:
        """The port as a node."""
        facts = (
            f"a {', '.join(self.types)}",
            f"lv2:index {index}",
            f"lv2:symbol {json.dumps(self.symbol)}",
            f"lv2:name {json.dumps(self.name)}",
            *self.facts,
        )
        return "[\n" + "".join(f"    {fact} ;\n" for fact in facts) + "  ]"


def control(symbol: str, name: str, bounds: tuple[float, float], default: float, *facts: str) -> Port:
    """A control input."""
    numbers = zip(("minimum", "maximum", "default"), (*bounds, default), strict=True)
    ranges = tuple(f"lv2:{word} {value:.9g}" for word, value in numbers)
    return Port(types=("lv2:InputPort", "lv2:ControlPort"), symbol=symbol, name=name, facts=ranges + facts)


def title(name: str) -> str:
    """``output_gain_db`` is "Output gain", with the unit dB."""
    text = name.removesuffix("_db").removesuffix("_hz").replace("_", " ")
    return text[0].upper() + text[1:]


def of_registry(parameter: Parameter) -> Port:
    """A port for a number or a switch; bypass is the host's own switch, the other way round."""
    if parameter.name == "bypass":
        facts = (
            "lv2:portProperty lv2:toggled",
            "lv2:designation lv2:enabled",
            'rdfs:comment "Off: the delayed input."',
        )
        return control("enabled", "Enabled", (0.0, 1.0), 1.0, *facts)
    facts = [f"rdfs:comment {json.dumps(parameter.doc)}"]
    if parameter.kind is ParameterKind.SWITCH:
        facts.append("lv2:portProperty lv2:toggled")
    if parameter.unit:
        facts.append(f"units:unit {UNITS[parameter.unit]}")
    if parameter.unit == "Hz":
        facts.append("lv2:portProperty pprops:logarithmic")
    bounds = (parameter.minimum, parameter.maximum)
    return control(parameter.name, title(parameter.name), bounds, parameter.default, *facts)


def ports(n_channels: int) -> list[Port]:
    """All ports, in the order in which the library counts them."""
    sides = [("", "")] if n_channels == 1 else [("_left", " left"), ("_right", " right")]
    audio = [
        Port(types=(f"lv2:{way}putPort", "lv2:AudioPort"), symbol=f"{way.lower()}{symbol}", name=f"{way}{name}")
        for way in ("In", "Out")
        for symbol, name in sides
    ]
    slot = control("style_slot", "Style slot", (1.0, SLOTS), 1.0, "lv2:portProperty lv2:integer")
    weights = [control(f"morph_{n}", f"Morph {n}", (0.0, 1.0), 0.0) for n in range(1, SLOTS + 1)]
    freewheel = control(
        "freewheel",
        "Freewheel",
        (0.0, 1.0),
        0.0,
        "lv2:portProperty lv2:toggled, pprops:notOnGUI",
        "lv2:designation lv2:freeWheeling",
        'rdfs:comment "On: waits for the server, however long a block takes."',
    )
    latency = Port(
        types=("lv2:OutputPort", "lv2:ControlPort"),
        symbol="latency",
        name="Latency",
        facts=(
            "lv2:portProperty lv2:reportsLatency, lv2:integer, pprops:notOnGUI",
            "lv2:designation lv2:latency",
            "units:unit units:frame",
        ),
    )
    return [*audio, slot, *map(of_registry, numbers_and_switches()), *weights, freewheel, latency]


def plugin(uri: str, name: str, of_ports: Iterable[Port]) -> str:
    """A plug-in as hosts read it."""
    nodes = " , ".join(port.turtle(index) for index, port in enumerate(of_ports))
    return f"""
<{uri}>
  a lv2:Plugin, lv2:FilterPlugin ;
  doap:name {json.dumps(name)} ;
  doap:license <https://opensource.org/licenses/MIT> ;
  lv2:minorVersion 0 ;
  lv2:microVersion 1 ;
  lv2:optionalFeature lv2:hardRTCapable, urid:map, opts:options ;
  opts:supportedOption bufsz:maxBlockLength ;
  lv2:port {nodes} .
"""


def main(folder: str, library: str) -> None:
    """Writes both files."""
    manifest = "".join(
        f"\n<{uri}>\n  a lv2:Plugin ;\n  lv2:binary <{library}> ;\n  rdfs:seeAlso <deepmusic.ttl> .\n"
        for uri, _, _ in PLUGINS
    )
    (Path(folder) / "manifest.ttl").write_text(PREFIXES + manifest)
    description = "".join(plugin(uri, name, ports(n_channels)) for uri, name, n_channels in PLUGINS)
    (Path(folder) / "deepmusic.ttl").write_text(PREFIXES + description)


if __name__ == "__main__":
    main(*sys.argv[1:])
