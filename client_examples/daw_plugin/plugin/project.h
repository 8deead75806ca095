// What a project of the host keeps of a plug-in: where it plays, with what, and how its parameters stand.
#pragma once

#include <juce_audio_processors/juce_audio_processors.h>

#include "plugin/parameters.h"
#include "transport/environment.h"

namespace deepmusic {

struct Project {
  Settings settings;
  double deadline_ms = kDeadline_ms;  // what the server may take for a step: the adjustable part of the cushion
  juce::ValueTree other;              // parameters of the other of A and B
  bool is_b = false;

  // A new plug-in's; see `Environment`.
  static Project from_environment();

  // To and from the bytes that a host keeps. `read` gives false, and changes nothing, where they are no such project.
  void write(const Parameters& parameters, juce::MemoryBlock& bytes) const;
  bool read(const Parameters& parameters, const void* bytes, int size);
};

// The parameters' values by name, and back; what is not named keeps its value.
juce::ValueTree values_of(const Parameters& parameters);
void set_values(const Parameters& parameters, const juce::ValueTree& values);

}  // namespace deepmusic
