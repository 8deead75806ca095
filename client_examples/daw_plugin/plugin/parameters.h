// The parameters as a host lists them: a style slot, the registry's numbers and switches, the weights of a morph, and
// whether a stream begins anew where the host starts.
#pragma once

#include <juce_audio_processors/juce_audio_processors.h>

#include <array>
#include <string>
#include <vector>

#include "transport/line.h"

namespace deepmusic {

// Owned by the processor that they are added to. Values may be read on any thread.
class Parameters {
 public:
  // Adds them to a processor, in the order that never changes: automation refers to it.
  explicit Parameters(juce::AudioProcessor& processor);

  // [audio] What they stand at.
  Values values() const;

  // [message] The registry's names, in the order of `Values::numbers`.
  static std::vector<std::string> names();

  juce::AudioParameterBool* bypass() const { return bypass_; }
  juce::AudioParameterInt* slot() const { return slot_; }
  juce::AudioParameterBool* resets_at_start() const { return resets_at_start_; }
  juce::RangedAudioParameter* number(const juce::String& name) const;
  juce::AudioParameterFloat* weight(std::size_t slot) const { return weights_[slot]; }
  const std::vector<juce::RangedAudioParameter*>& all() const { return all_; }

 private:
  juce::AudioParameterInt* slot_ = nullptr;
  std::vector<juce::RangedAudioParameter*> numbers_;  // in the registry's order
  std::array<juce::AudioParameterFloat*, kSlots> weights_{};
  juce::AudioParameterBool* bypass_ = nullptr;
  juce::AudioParameterBool* resets_at_start_ = nullptr;
  std::vector<juce::RangedAudioParameter*> all_;
};

}  // namespace deepmusic
