#include "plugin/dropped_file.h"

#include <algorithm>
#include <memory>

namespace deepmusic {
namespace {

constexpr char kPatterns[] = "*.wav;*.wave;*.bwf;*.aif;*.aiff";
constexpr int kMostChannels = 8;
constexpr double kLowest_hz = 8000.0, kHighest_hz = 192000.0;

// As the server has it (deepmusic/styles/source.py): it cuts what it gets into such pieces, so that no piece has a joint.
constexpr double kExcerpt_s = 6.0;
constexpr juce::int64 kMostExcerpts = 16;
constexpr juce::int64 kMostValues = 20'000'000;  // over all channels: that of a server's upload

constexpr int kLongestName = 56;  // room for a number behind it

}  // namespace

bool is_recording(const juce::String& path) {
  return juce::WildcardFileFilter(kPatterns, "", "").isFileSuitable(juce::File(path));
}

std::optional<Recording> read_recording(const juce::File& file, juce::String& problem) {
  juce::AudioFormatManager formats;
  formats.registerBasicFormats();
  const std::unique_ptr<juce::AudioFormatReader> reader(formats.createReaderFor(file));
  if (reader == nullptr) {
    problem = "expected a WAV or AIFF file, got " + file.getFileName();
    return {};
  }
  if (reader->numChannels < 1 || reader->numChannels > kMostChannels || reader->sampleRate < kLowest_hz ||
      reader->sampleRate > kHighest_hz) {
    problem = "expected 1 to 8 channels at 8 to 192 kHz, got others in " + file.getFileName();
    return {};
  }
  Recording recording;
  recording.sample_rate_hz = static_cast<std::uint32_t>(juce::roundToInt(reader->sampleRate));
  recording.n_channels = reader->numChannels;
  const auto excerpt = static_cast<juce::int64>(juce::roundToInt(kExcerpt_s * reader->sampleRate));
  const juce::int64 n_excerpts = std::min(kMostExcerpts, kMostValues / (excerpt * recording.n_channels));  // at least two
  const bool is_long = reader->lengthInSamples > n_excerpts * excerpt;
  const juce::int64 n_parts = is_long ? n_excerpts : 1;
  const auto n_samples = static_cast<int>(is_long ? excerpt : reader->lengthInSamples);
  juce::AudioBuffer<float> part(static_cast<int>(recording.n_channels), n_samples);
  for (juce::int64 index = 0; index < n_parts; ++index) {
    const juce::int64 first = is_long ? (reader->lengthInSamples - excerpt) * index / (n_parts - 1) : 0;
    if (!reader->read(&part, 0, n_samples, first, true, true)) {
      problem = file.getFileName() + " breaks off";
      return {};
    }
    for (int i = 0; i < n_samples; ++i) {
      for (int channel = 0; channel < part.getNumChannels(); ++channel) {
        recording.samples.push_back(part.getSample(channel, i));
      }
    }
  }
  return recording;
}

std::string style_name_for(const juce::File& file, const std::vector<wire::StyleListing>& taken) {
  const auto allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _-";
  juce::String base = file.getFileNameWithoutExtension().retainCharacters(allowed).trim().trimCharactersAtStart(" _-");
  base = base.substring(0, kLongestName).trim();
  if (base.isEmpty()) base = "dropped";
  const auto is_taken = [&taken](const std::string& name) {
    return std::any_of(taken.begin(), taken.end(), [&name](const auto& style) { return style.name == name; });
  };
  std::string name = base.toStdString();
  for (int number = 2; is_taken(name); ++number) name = (base + " " + juce::String(number)).toStdString();
  return name;
}

}  // namespace deepmusic
