// Does with the plug-in what a user's hands do, without a screen, and says what came of it: for the tests.
//
//   DEEPMUSIC_SERVER=HOST:PORT deepmusic_hands drop FILE SLOT       drops a file on a slot
//   DEEPMUSIC_SERVER=HOST:PORT deepmusic_hands sidechain FILE       learns from noise on the track, FILE in the sidechain
//   DEEPMUSIC_SERVER=HOST:PORT deepmusic_hands track FILE           learns from FILE on the track, silence in the sidechain
//   DEEPMUSIC_SERVER=HOST:PORT deepmusic_hands changed FILE         the same, begun at another rate, which the host changes
//   deepmusic_hands nan PARAMETER                                   sets a parameter to what is no number
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iostream>

#include "plugin/dropped_file.h"
#include "plugin/editor.h"
#include "plugin/processor.h"

namespace {

constexpr int kBlock = 512;
constexpr double kRate_hz = 48000.0;
constexpr double kOtherRate_hz = 44100.0;
constexpr juce::uint32 kPatience_ms = 60000;

// Runs the message loop until the server has answered for what it was to learn.
struct Watch final : juce::Timer {
  explicit Watch(deepmusic::Processor& watched) : processor(watched) { startTimer(20); }
  void timerCallback() override {
    const auto snapshot = processor.bridge().snapshot();
    is_learned = !snapshot.learned.empty() && !snapshot.is_learning;
    if (is_learned && n_more++ < 20) return;  // the processor looks ten times a second
    if (is_learned || juce::Time::getMillisecondCounter() - began > kPatience_ms) {
      juce::MessageManager::getInstance()->stopDispatchLoop();
    }
  }
  deepmusic::Processor& processor;
  juce::uint32 began = juce::Time::getMillisecondCounter();
  int n_more = 0;
  bool is_learned = false;
};

int wait_and_tell(deepmusic::Processor& processor) {
  Watch watch(processor);
  juce::MessageManager::getInstance()->runDispatchLoop();
  std::cout << processor.bridge().snapshot().learned << "\n";
  for (const auto& style : processor.project().settings.styles) std::cout << style << "\n";
  return watch.is_learned ? 0 : 1;
}

int drop(deepmusic::Processor& processor, const juce::String& path, int slot) {
  const std::unique_ptr<juce::AudioProcessorEditor> editor(processor.createEditor());
  auto& target = dynamic_cast<deepmusic::Editor&>(*editor);
  if (!target.isInterestedInFileDrag({path})) {
    std::cout << "not of interest\n";
    return 1;
  }
  // The window has asked for the server's styles and bundles; a hand is slower than their answers.
  for (int i = 0; i < 500 && processor.bridge().snapshot().n_browsed < 2; ++i) juce::Thread::sleep(10);
  int n_boxes = 0;
  for (auto* const child : target.getChildren()) {
    if (dynamic_cast<juce::ComboBox*>(child) == nullptr || n_boxes++ != slot) continue;  // box 0 is the deadline
    target.filesDropped({path}, child->getBounds().getCentreX(), child->getBounds().getCentreY());
  }
  return wait_and_tell(processor);
}

// Whether strength 0 gave the track back, delayed by the reported latency, bit for bit, whatever the sidechain holds.
int play_and_learn(deepmusic::Processor& processor, const juce::String& path, bool is_in_sidechain, bool is_changed) {
  auto layout = processor.getBusesLayout();
  layout.inputBuses.getReference(1) = juce::AudioChannelSet::stereo();
  if (!processor.setBusesLayout(layout)) return 1;
  juce::String problem;
  const auto recording = deepmusic::read_recording(juce::File(path), problem);
  if (!recording || recording->n_channels != 2) return 1;
  *dynamic_cast<juce::AudioParameterFloat*>(processor.parameters().number("strength")) = 0.0f;
  const auto prepare = [&processor](double rate_hz) {
    processor.setRateAndBufferSizeDetails(rate_hz, kBlock);
    processor.prepareToPlay(rate_hz, kBlock);
  };
  prepare(is_changed ? kOtherRate_hz : kRate_hz);
  const auto n_samples = recording->samples.size() / 2;
  processor.record(static_cast<double>(n_samples) / kRate_hz);
  juce::Random random(1);
  juce::MidiBuffer midi;
  if (is_changed) {
    for (int n = 0; n < 100; ++n) {
      juce::AudioBuffer<float> audio(processor.getTotalNumInputChannels(), kBlock);
      for (int i = 0; i < kBlock; ++i) {
        for (int channel = 0; channel < audio.getNumChannels(); ++channel) {
          audio.setSample(channel, i, random.nextFloat() - 0.5f);
        }
      }
      processor.processBlock(audio, midi);
    }
    prepare(kRate_hz);
  }
  std::vector<float> track, heard;
  for (std::size_t first = 0; first < n_samples; first += kBlock) {
    juce::AudioBuffer<float> audio(processor.getTotalNumInputChannels(), kBlock);
    audio.clear();
    for (int i = 0; i < kBlock; ++i) {
      const std::size_t at = first + static_cast<std::size_t>(i);
      for (int channel = 0; channel < 2; ++channel) {
        const float sample = at < n_samples ? recording->samples[2 * at + static_cast<std::size_t>(channel)] : 0.0f;
        audio.setSample(channel, i, is_in_sidechain ? random.nextFloat() - 0.5f : sample);
        if (is_in_sidechain) audio.setSample(2 + channel, i, sample);
      }
      track.push_back(audio.getSample(0, i));
    }
    processor.processBlock(audio, midi);
    for (int i = 0; i < kBlock; ++i) heard.push_back(audio.getSample(0, i));
  }
  const auto delay = static_cast<std::size_t>(processor.getLatencySamples());
  for (std::size_t i = delay; i < heard.size(); ++i) {
    if (heard[i] != track[i - delay]) return 3;
  }
  return wait_and_tell(processor);
}

// Whether the plug-in plays with the default of a parameter that a host has set to what is no number.
int set_no_number(deepmusic::Processor& processor, const juce::String& name) {
  const auto names = deepmusic::Parameters::names();
  const auto at = std::find(names.begin(), names.end(), name.toStdString());
  auto* const parameter = processor.parameters().number(name);
  if (at == names.end() || parameter == nullptr) return 2;
  parameter->setValue(std::nanf(""));
  const float value = processor.parameters().values().numbers[static_cast<std::size_t>(at - names.begin())];
  return value == parameter->convertFrom0to1(parameter->getDefaultValue()) ? 0 : 1;
}

}  // namespace

int main(int n_arguments, char** arguments) {
  if (n_arguments < 3) return 2;
  const juce::ScopedJuceInitialiser_GUI juce_lives;
  deepmusic::Processor processor;
  const juce::String what(arguments[1]), path(arguments[2]);
  if (what == "drop") return n_arguments > 3 ? drop(processor, path, std::atoi(arguments[3])) : 2;
  if (what == "nan") return set_no_number(processor, path);
  return play_and_learn(processor, path, what == "sidechain", what == "changed");
}
