#include "plugin/processor.h"

#include <cmath>

#include "plugin/dropped_file.h"
#include "plugin/editor.h"
#include "registry.h"

namespace deepmusic {
namespace {

constexpr int kLooksPerSecond = 10;
constexpr float kSounding = 0.003f;  // of a sidechain: -50 dBFS, below which the server learns nothing
constexpr double kTail_s = 0.1;  // a window of the synthesis and the fade of a level

// Starting points; what is not named stands at its default.
struct Preset {
  const char* name;
  std::array<std::pair<const char*, float>, 3> values;
};
const Preset kPresets[] = {
    {"Full", {}},
    {"Half strength", {{{"strength", 0.5f}}}},
    {"Blend", {{{"mix", 0.5f}}}},
    {"Above 2 kHz", {{{"low_hz", 2000.0f}}}},
    {"Below 500 Hz", {{{"high_hz", 500.0f}}}},
};

}  // namespace

Processor::Processor()
    : AudioProcessor(BusesProperties()
                         .withInput("Input", juce::AudioChannelSet::stereo())
                         .withInput("Sidechain", juce::AudioChannelSet::stereo(), false)
                         .withOutput("Output", juce::AudioChannelSet::stereo())) {
  bridge_.configure(project_.settings);
  startTimerHz(kLooksPerSecond);
}

Processor::~Processor() { stopTimer(); }

bool Processor::isBusesLayoutSupported(const BusesLayout& layout) const {
  // JUCE's own hosts ask for the latency before they let a plug-in prepare, and this is the last call before that in
  // which rate and block size are known.
  if (getSampleRate() > 0.0) const_cast<Processor*>(this)->report_latency(spec_for(getSampleRate(), getBlockSize()));
  const auto is_narrow = [](const juce::AudioChannelSet& set) {
    return set == juce::AudioChannelSet::mono() || set == juce::AudioChannelSet::stereo();
  };
  const auto& in = layout.getMainInputChannelSet();
  const auto side = layout.inputBuses.size() > 1 ? layout.inputBuses[1] : juce::AudioChannelSet::disabled();
  return in == layout.getMainOutputChannelSet() && is_narrow(in) && (side.isDisabled() || is_narrow(side));
}

LineSpec Processor::spec_for(double sample_rate_hz, int max_block_samples) const {
  const auto rate_hz = static_cast<std::uint32_t>(std::lround(sample_rate_hz));
  return LineSpec::made_for(rate_hz, static_cast<std::uint32_t>(juce::jlimit(1, 2, getMainBusNumInputChannels())),
                            static_cast<std::uint32_t>(std::max(max_block_samples, 1)),
                            project().deadline_ms / 1000.0, latency_at(rate_hz), isNonRealtime());
}

// What a stream's latency will be, as far as one can know: a render that is prepared is not told of another one.
std::uint32_t Processor::latency_at(std::uint32_t sample_rate_hz) const {
  const juce::ScopedLock lock(lock_);
  return known_rate_hz_ == sample_rate_hz ? known_latency_samples_ : registry::latency_samples(sample_rate_hz);
}

void Processor::remember_latency() {
  const auto latency = bridge_.latency_samples();
  if (latency == 0) return;
  const juce::ScopedLock lock(lock_);
  known_rate_hz_ = spec_.sample_rate_hz;
  known_latency_samples_ = latency;
}

void Processor::report_latency(const LineSpec& spec) {
  setLatencySamples(static_cast<int>(spec.latency_samples + spec.cushion_samples));
}

void Processor::prepareToPlay(double sample_rate_hz, int max_block_samples) {
  remember_latency();
  spec_ = spec_for(sample_rate_hz, max_block_samples);
  bridge_.prepare(spec_, parameters_.values());
  report_latency(spec_);
  // One recording has one rate and one layout: it begins again where the host has changed either.
  if (is_recording_.load(std::memory_order_acquire) &&
      (recording_rate_hz_ != spec_.sample_rate_hz || n_track_channels_ != spec_.n_channels)) {
    start_recording();
  }
  play_head_.reset();
  line_is_prepared_ = true;
}

void Processor::releaseResources() {
  line_is_prepared_ = false;
  bridge_.rest();
}

void Processor::reset() { bridge_.reset(); }

void Processor::processBlock(juce::AudioBuffer<float>& audio, juce::MidiBuffer&) {
  const juce::ScopedNoDenormals no_denormals;
  const int n_channels = static_cast<int>(spec_.n_channels);
  if (audio.getNumChannels() < n_channels || audio.getNumSamples() == 0) return;
  keep(audio);
  for (int channel = n_channels; channel < audio.getNumChannels(); ++channel) {
    audio.clear(channel, 0, audio.getNumSamples());
  }
  measure(audio, 0);
  look_at_play_head(static_cast<std::uint32_t>(audio.getNumSamples()));
  bridge_.set_offline(isNonRealtime());
  for (int channel = 0; channel < n_channels; ++channel) {
    io_[static_cast<std::size_t>(channel)] = audio.getWritePointer(channel);
  }
  bridge_.process(io_.data(), static_cast<std::uint32_t>(audio.getNumSamples()), parameters_.values());
  measure(audio, 1);
}

void Processor::look_at_play_head(std::uint32_t n_samples) {
  std::optional<HostPosition> said;
  if (juce::AudioPlayHead* const head = getPlayHead()) {
    if (const auto position = head->getPosition()) {
      said.emplace().is_playing = position->getIsPlaying();
      if (const auto sample = position->getTimeInSamples()) said->sample = *sample;
    }
  }
  const auto move = play_head_.follow(said, n_samples);
  if (move == PlayHead::Move::kJump) bridge_.jump();
  if (move != PlayHead::Move::kNone && parameters_.resets_at_start()->get()) bridge_.begin_anew();
}

void Processor::measure(const juce::AudioBuffer<float>& audio, std::size_t place) {
  const float peak = audio.getMagnitude(0, audio.getNumSamples());
  peaks_[place].store(std::max(peak, 0.8f * peaks_[place].load(std::memory_order_relaxed)), std::memory_order_relaxed);
}

void Processor::keep(juce::AudioBuffer<float>& audio) {
  if (!is_recording_.load(std::memory_order_acquire)) return;
  const std::size_t n_channels = n_track_channels_, first = n_recorded_.load(std::memory_order_relaxed);
  const std::size_t n = std::min(static_cast<std::size_t>(audio.getNumSamples()), recording_.size() / n_channels - first);
  for (std::size_t channel = 0; channel < std::min<std::size_t>(n_channels, spec_.n_channels); ++channel) {
    const float* const samples = audio.getReadPointer(static_cast<int>(channel));
    for (std::size_t i = 0; i < n; ++i) recording_[(first + i) * n_channels + channel] = samples[i];
  }
  if (n_side_channels_ != 0) {
    const auto side = getBusBuffer(audio, true, 1);
    const auto n_there = std::min(n_side_channels_, static_cast<std::size_t>(side.getNumChannels()));
    for (std::size_t channel = 0; channel < n_there; ++channel) {
      const float* const samples = side.getReadPointer(static_cast<int>(channel));
      for (std::size_t i = 0; i < n; ++i) {
        side_recording_[(first + i) * n_side_channels_ + channel] = samples[i];
        has_side_sounded_ = has_side_sounded_ || std::abs(samples[i]) > kSounding;
      }
    }
  }
  n_recorded_.store(first + n, std::memory_order_relaxed);
  if ((first + n) * n_channels == recording_.size()) is_recording_.store(false, std::memory_order_release);
}

void Processor::record(double seconds) {
  if (is_recording_.load(std::memory_order_acquire) || recorded() > 0.0) return;
  recording_s_ = seconds;
  start_recording();
}

// [not beside processBlock, or while nothing is recorded]
void Processor::start_recording() {
  const auto n_samples = static_cast<std::size_t>(recording_s_ * spec_.sample_rate_hz);
  n_track_channels_ = spec_.n_channels;
  recording_rate_hz_ = spec_.sample_rate_hz;
  const auto* const side = getBus(true, 1);
  n_side_channels_ = side != nullptr && side->isEnabled() ? static_cast<std::size_t>(side->getNumberOfChannels()) : 0;
  recording_.assign(n_samples * n_track_channels_, 0.0f);
  side_recording_.assign(n_samples * n_side_channels_, 0.0f);
  has_side_sounded_ = false;
  n_recorded_.store(0, std::memory_order_relaxed);
  is_recording_.store(true, std::memory_order_release);
}

double Processor::recorded() const {
  if (recording_.empty()) return 0.0;
  return static_cast<double>(n_recorded_.load() * n_track_channels_) / static_cast<double>(recording_.size());
}

juce::String Processor::learn(const juce::File& file, std::size_t slot) {
  const auto snapshot = bridge_.snapshot();
  if (snapshot.is_learning) return "a style is being learned already; drop " + file.getFileName() + " once it is";
  juce::String problem;
  auto recording = read_recording(file, problem);
  if (!recording) return problem;
  recording->name = style_name_for(file, snapshot.styles);
  learning_slot_ = slot;
  bridge_.learn(std::move(*recording));
  return {};
}

// [message] A latency that the server has said, a recording that is full, and a style that is learned.
void Processor::timerCallback() {
  if (const auto latency = bridge_.latency_samples(); latency != 0 && latency != spec_.latency_samples) {
    spec_.latency_samples = latency;
    remember_latency();
    report_latency(spec_);
  }
  look_at_recording();
  look_at_learned();
}

void Processor::look_at_recording() {
  if (recording_.empty() || is_recording_.load(std::memory_order_acquire)) return;
  Recording recording;
  recording.name = juce::Time::getCurrentTime().formatted("take %Y-%m-%d %H.%M.%S").toStdString();
  recording.sample_rate_hz = recording_rate_hz_;
  recording.n_channels = static_cast<std::uint32_t>(has_side_sounded_ ? n_side_channels_ : n_track_channels_);
  recording.samples = std::move(has_side_sounded_ ? side_recording_ : recording_);
  recording_.clear();
  side_recording_.clear();
  n_recorded_.store(0);
  bridge_.learn(std::move(recording));
}

void Processor::look_at_learned() {
  if (!learning_slot_) return;
  const auto snapshot = bridge_.snapshot();
  if (snapshot.is_learning) return;
  if (!snapshot.learned_style.empty()) {
    Project now = project();
    now.settings.styles[*learning_slot_] = snapshot.learned_style;
    now.settings.vectors[*learning_slot_].clear();
    change(now);
  }
  learning_slot_.reset();
}

double Processor::getTailLengthSeconds() const { return kTail_s; }

int Processor::getNumPrograms() { return static_cast<int>(std::size(kPresets)); }

const juce::String Processor::getProgramName(int index) {
  return juce::isPositiveAndBelow(index, getNumPrograms()) ? kPresets[index].name : "";
}

void Processor::setCurrentProgram(int index) {
  if (!juce::isPositiveAndBelow(index, getNumPrograms()) || index == program_) return;
  program_ = index;
  for (const char* name : {"strength", "mix", "low_hz", "high_hz"}) {
    auto* const parameter = parameters_.number(name);
    float value = parameter->getDefaultValue();
    for (const auto& [preset_name, preset_value] : kPresets[index].values) {
      if (preset_name != nullptr && juce::String(preset_name) == name) value = parameter->convertTo0to1(preset_value);
    }
    parameter->setValueNotifyingHost(value);
  }
}

Project Processor::project() const {
  const juce::ScopedLock lock(lock_);
  return project_;
}

void Processor::apply(const Project& project) {
  {
    const juce::ScopedLock lock(lock_);
    project_ = project;
  }
  bridge_.configure(project.settings);
}

void Processor::change(const Project& project) {
  apply(project);
  updateHostDisplay(ChangeDetails().withNonParameterStateChanged(true));
}

void Processor::swap_a_and_b() {
  Project now = project();
  const auto here = values_of(parameters_);
  if (now.other.isValid()) {  // as a hand turns them: that is what hosts record and undo
    for (juce::RangedAudioParameter* const parameter : parameters_.all()) parameter->beginChangeGesture();
    set_values(parameters_, now.other);
    for (juce::RangedAudioParameter* const parameter : parameters_.all()) parameter->endChangeGesture();
  }
  now.other = here;
  now.is_b = !now.is_b;
  change(now);
}

void Processor::set_deadline(double milliseconds) {
  Project now = project();
  now.deadline_ms = juce::jlimit(kLeastDeadline_ms, kMostDeadline_ms, milliseconds);
  change(now);
  if (line_is_prepared_) {
    suspendProcessing(true);  // JUCE's wrappers give silence meanwhile
    prepareToPlay(getSampleRate(), getBlockSize());
    suspendProcessing(false);
  }
}

// A project names the bundle that it was played with, so that another machine plays the same or says what is missing. It
// has the styles of its slots, and what a frozen plug-in knows of its content.
void Processor::getStateInformation(juce::MemoryBlock& bytes) {
  Project now = project();
  const auto snapshot = bridge_.snapshot();
  if (now.settings.bundle.empty() && snapshot.link == Link::kStreaming) {
    now.settings.bundle = snapshot.bundle;
    now.settings.bundle_digest = snapshot.bundle_digest;
  }
  if (parameters_.number("freeze")->getValue() < 0.5f) {
    now.settings.statistics.clear();
  } else if (!snapshot.statistics.empty()) {
    now.settings.statistics = snapshot.statistics;
  }
  for (std::size_t slot = 0; slot < kSlots; ++slot) {
    const auto fetched = snapshot.vectors.find(now.settings.styles[slot]);
    if (now.settings.vectors[slot].empty() && fetched != snapshot.vectors.end()) {
      now.settings.vectors[slot] = fetched->second;
    }
  }
  now.write(parameters_, bytes);
}

void Processor::setStateInformation(const void* bytes, int size) {
  Project read = project();
  if (read.read(parameters_, bytes, size)) apply(read);  // a project that is opened has not been changed
}

juce::AudioProcessorEditor* Processor::createEditor() { return new Editor(*this); }

}  // namespace deepmusic

juce::AudioProcessor* JUCE_CALLTYPE createPluginFilter() { return new deepmusic::Processor(); }
