"""MIDI in: a clock that the beat follows, and a foot switch that steps through the set."""
