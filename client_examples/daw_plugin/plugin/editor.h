#pragma once
#include <juce_audio_processors/juce_audio_processors.h>
namespace deepmusic {
class Processor;
class Editor final : public juce::GenericAudioProcessorEditor {
 public:
  explicit Editor(Processor& processor);
};
}  // namespace deepmusic
