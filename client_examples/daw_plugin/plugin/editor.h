// The plug-in's window: where it plays, with which styles, how they are mixed, and how things stand.
#pragma once

#include <juce_audio_processors/juce_audio_processors.h>

#include <array>
#include <memory>
#include <vector>

#include "plugin/morph_pad.h"
#include "transport/bridge.h"

namespace deepmusic {

class Processor;

class Editor final : public juce::AudioProcessorEditor, public juce::FileDragAndDropTarget, private juce::Timer {
 public:
  explicit Editor(Processor& processor);
  ~Editor() override;

  void paint(juce::Graphics& graphics) override;
  void resized() override;

  // A file on a slot, or anywhere else for the slot that is heard, becomes its style.
  bool isInterestedInFileDrag(const juce::StringArray& files) override;
  void filesDropped(const juce::StringArray& files, int x, int y) override;

 private:
  void timerCallback() override;
  void show(const Snapshot& snapshot);
  void show_settings();
  void fill_slots(const Snapshot& snapshot);
  void choose_style(std::size_t slot);
  void choose_server();
  void paint_meter(juce::Graphics& graphics, juce::Rectangle<int> area, float peak, const char* name) const;
  juce::String latency_text() const;
  juce::String counters_text() const;

  Processor& processor_;
  juce::TextEditor server_;
  juce::String shown_server_;  // as the project has it; what the field has beyond it was typed
  juce::TextButton browse_{"Browse"}, learn_{"Learn 10 s"}, other_{"A / B"};
  juce::ToggleButton resets_{"Reset at start"};
  juce::Label state_, facts_;
  juce::ComboBox deadline_;
  std::array<juce::ComboBox, kSlots> styles_;
  std::array<juce::TextButton, kSlots> slots_;
  juce::Slider strength_, mix_;
  juce::Label strength_label_, mix_label_;
  std::unique_ptr<juce::SliderParameterAttachment> strength_attachment_, mix_attachment_;
  std::unique_ptr<juce::ButtonParameterAttachment> resets_attachment_;
  MorphPad pad_;
  juce::Rectangle<int> meters_;
  juce::String problem_;  // of the last file
  std::uint32_t n_browsed_ = ~0u;
  std::array<std::string, kSlots> shown_styles_;
};

}  // namespace deepmusic
