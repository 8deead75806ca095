// A square between the first four style slots: where the dot lies is what is heard of each.
#pragma once

#include <juce_audio_processors/juce_audio_processors.h>

#include <array>

#include "plugin/parameters.h"

namespace deepmusic {

class MorphPad final : public juce::Component {
 public:
  explicit MorphPad(Parameters& parameters) : parameters_(parameters) {}

  // Names at the corners, from the top left in the direction of reading.
  void name_corners(const std::array<juce::String, 4>& names);

  void paint(juce::Graphics& graphics) override;
  void mouseDown(const juce::MouseEvent& event) override;
  void mouseDrag(const juce::MouseEvent& event) override;
  void mouseUp(const juce::MouseEvent& event) override;
  void mouseDoubleClick(const juce::MouseEvent& event) override;  // no morph: the slot alone is heard

 private:
  void move_to(juce::Point<float> place);
  std::array<float, 4> weights() const;

  Parameters& parameters_;
  std::array<juce::String, 4> names_;
};

}  // namespace deepmusic
