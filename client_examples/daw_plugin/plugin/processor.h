// The plug-in as a host sees it. What it does with sound is the bridge's work.
#pragma once

#include <juce_audio_processors/juce_audio_processors.h>

#include <array>
#include <atomic>
#include <optional>

#include "plugin/parameters.h"
#include "plugin/project.h"
#include "transport/bridge.h"
#include "transport/play_head.h"

namespace deepmusic {

class Processor final : public juce::AudioProcessor, private juce::Timer {
 public:
  Processor();
  ~Processor() override;

  void prepareToPlay(double sample_rate_hz, int max_block_samples) override;
  void releaseResources() override;
  void reset() override;
  void processBlock(juce::AudioBuffer<float>& audio, juce::MidiBuffer& midi) override;
  bool isBusesLayoutSupported(const BusesLayout& layout) const override;

  const juce::String getName() const override { return "deepmusic"; }
  juce::AudioProcessorParameter* getBypassParameter() const override { return parameters_.bypass(); }
  double getTailLengthSeconds() const override;
  bool acceptsMidi() const override { return false; }
  bool producesMidi() const override { return false; }

  int getNumPrograms() override;
  int getCurrentProgram() override { return program_; }
  void setCurrentProgram(int index) override;
  const juce::String getProgramName(int index) override;
  void changeProgramName(int, const juce::String&) override {}

  void getStateInformation(juce::MemoryBlock& bytes) override;
  void setStateInformation(const void* bytes, int size) override;

  juce::AudioProcessorEditor* createEditor() override;
  bool hasEditor() const override { return true; }

  // For the editor. [message]
  Parameters& parameters() { return parameters_; }
  Bridge& bridge() { return bridge_; }
  Project project() const;
  void change(const Project& project);
  void swap_a_and_b();
  void set_deadline(double milliseconds);  // changes the latency, and begins anew
  float peak(bool is_output) const { return peaks_[is_output ? 1 : 0].load(); }  // linear, of the last block
  std::uint32_t cushion_samples() const { return spec_.cushion_samples; }
  const LineSpec& spec() const { return spec_; }

  // Begins to keep what comes in, for a style; `recorded` says how far it is, 0 to 1. Of a sidechain in which something
  // sounds meanwhile that is learned, and not the track.
  void record(double seconds);
  double recorded() const;

  // Has a style learned from a file, which then lies in a slot; says why not, where it cannot be read.
  juce::String learn(const juce::File& file, std::size_t slot);

 private:
  void timerCallback() override;
  LineSpec spec_for(double sample_rate_hz, int max_block_samples) const;
  std::uint32_t latency_at(std::uint32_t sample_rate_hz) const;
  void remember_latency();
  void apply(const Project& project);
  void report_latency(const LineSpec& spec);
  void measure(const juce::AudioBuffer<float>& audio, std::size_t place);
  void keep(juce::AudioBuffer<float>& audio);
  void start_recording();
  void look_at_recording();
  void look_at_learned();
  void look_at_play_head(std::uint32_t n_samples);

  Parameters parameters_{*this};
  Bridge bridge_{Parameters::names()};
  mutable juce::CriticalSection lock_;  // hosts save on any thread; the audio thread never takes it
  Project project_ = Project::from_environment();
  LineSpec spec_;
  std::uint32_t known_rate_hz_ = 0, known_latency_samples_ = 0;  // of the last stream; 0: there was none
  int program_ = 0;
  std::array<float*, 2> io_{};
  std::array<std::atomic<float>, 2> peaks_{};
  PlayHead play_head_;
  bool line_is_prepared_ = false;

  // A recording for a style: room is made before `is_recording_` is set, and read after it is cleared. Of the track, and
  // of the sidechain where there is one; interleaved, as many samples of each.
  std::vector<float> recording_, side_recording_;
  std::size_t n_track_channels_ = 1, n_side_channels_ = 0;  // as they were when it began
  double recording_s_ = 0.0;
  std::uint32_t recording_rate_hz_ = 0;
  bool has_side_sounded_ = false;  // the audio thread's, while it records
  std::atomic<std::size_t> n_recorded_{0};  // samples of one channel
  std::optional<std::size_t> learning_slot_;
  std::atomic<bool> is_recording_{false};
};

}  // namespace deepmusic
