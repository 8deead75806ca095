"""Writes the registry of parameters, and the streams' latencies, as C++: a host lists both with the server away.

python generate_registry.py OUT.h        # with the repository's server/ on PYTHONPATH
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from deepmusic.audio import SUPPORTED_RATES_HZ
from deepmusic.dsp.levels import lookahead_samples
from deepmusic.dsp.windows import StftGeometry, stream_latency_samples
from deepmusic.session.parameters import PARAMETERS, Parameter, ParameterKind

HEADER = """// Generated from the server's registry by generate_registry.py; not to be edited.
#pragma once

#include <cstdint>

namespace registry {

struct Parameter {
  const char* name;
  const char* unit;
  float minimum;
  float maximum;
  float default_value;
  bool is_switch;
  const char* description;
};

struct Latency {
  std::uint32_t sample_rate_hz;
  std::uint32_t samples;
};

"""

FOOTER = """
// Latency of a stream at a rate, as the server's code has it; at other rates that of the next one below.
inline std::uint32_t latency_samples(double sample_rate_hz) {
  std::uint32_t samples = kLatencies[0].samples;
  for (const Latency& latency : kLatencies) {
    if (latency.sample_rate_hz <= sample_rate_hz) samples = latency.samples;
  }
  return samples;
}

}  // namespace registry
"""


def real(value: float) -> str:
    """A float literal of C++."""
    text = f"{value:.9g}"
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"


def numbers_and_switches() -> list[Parameter]:
    """In the registry's order; styles have slots of their own in a plug-in."""
    return [p for p in PARAMETERS.values() if p.kind in (ParameterKind.NUMBER, ParameterKind.SWITCH)]


def parameters() -> list[str]:
    """One line a parameter."""
    lines: list[str] = []
    for p in numbers_and_switches():
        is_switch = json.dumps(p.kind is ParameterKind.SWITCH)
        numbers = ", ".join(real(value) for value in (p.minimum, p.maximum, p.default))
        texts = [json.dumps(text) for text in (p.name, p.unit, p.doc)]
        lines.append(f"    {{{texts[0]}, {texts[1]}, {numbers}, {is_switch}, {texts[2]}}},")
    return lines


def latencies() -> list[str]:
    """What ``ready`` will say at each rate; the plug-in reports it before it has asked."""
    return [
        f"    {{{rate}, {stream_latency_samples(StftGeometry.for_rate(rate)) + lookahead_samples(rate)}}},"
        for rate in SUPPORTED_RATES_HZ
    ]


def main(out: str) -> None:
    """Writes the header where it differs, so that nothing is compiled anew for nothing."""
    lines = ["constexpr Parameter kParameters[] = {", *parameters(), "};", ""]
    lines += ["constexpr Latency kLatencies[] = {", *latencies(), "};"]
    text = HEADER + "\n".join(lines) + "\n" + FOOTER
    path = Path(out)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
