// The plain LV2: audio and control ports, and nothing that a host has to offer for it. Ports are described by the bundle
// that generate_bundle.py writes, in the order below.
#include <lv2/buf-size/buf-size.h>
#include <lv2/core/lv2.h>
#include <lv2/options/options.h>
#include <lv2/urid/urid.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <exception>
#include <iterator>
#include <vector>

#include "registry.h"
#include "transport/bridge.h"
#include "transport/environment.h"

namespace deepmusic {
namespace {

constexpr std::uint32_t kAssumedBlockSamples = 1024;  // of a host that does not say how long its blocks are at most
constexpr std::uint32_t kPieceSamples = 1024;         // a longer block is played in pieces
constexpr std::size_t kMostChannels = 2;

constexpr std::size_t kNumbers = std::size(registry::kParameters);
static_assert(kNumbers <= kMaxParameters, "raise kMaxParameters");

// Control ports, which follow the audio ports.
enum ControlPort : std::size_t {
  kSlot = 0,
  kFirstNumber = 1,
  kFirstWeight = kFirstNumber + kNumbers,
  kFreewheel = kFirstWeight + kSlots,
  kLatency,
  kControls,
};

std::vector<std::string> names() {
  std::vector<std::string> names;
  for (const registry::Parameter& parameter : registry::kParameters) names.emplace_back(parameter.name);
  return names;
}

bool is_bypass(const registry::Parameter& parameter) { return std::strcmp(parameter.name, "bypass") == 0; }

const void* find(const LV2_Feature* const* features, const char* uri) {
  for (; features != nullptr && *features != nullptr; ++features) {
    if (std::strcmp((*features)->URI, uri) == 0) return (*features)->data;
  }
  return nullptr;
}

std::uint32_t most_block_samples(const LV2_Feature* const* features) {
  const auto* const map = static_cast<const LV2_URID_Map*>(find(features, LV2_URID__map));
  const auto* option = static_cast<const LV2_Options_Option*>(find(features, LV2_OPTIONS__options));
  if (map == nullptr || option == nullptr) return kAssumedBlockSamples;
  const LV2_URID wanted = map->map(map->handle, LV2_BUF_SIZE__maxBlockLength);
  for (; option->key != 0; ++option) {
    if (option->key != wanted || option->size != sizeof(std::int32_t) || option->value == nullptr) continue;
    std::int32_t samples;
    std::memcpy(&samples, option->value, sizeof samples);
    if (samples > 0) return static_cast<std::uint32_t>(samples);
  }
  return kAssumedBlockSamples;
}

class Plain {
 public:
  Plain(std::size_t n_channels, double sample_rate_hz, const LV2_Feature* const* features)
      : n_channels_(n_channels),
        spec_(LineSpec::made_for(static_cast<std::uint32_t>(std::lround(sample_rate_hz)),
                                 static_cast<std::uint32_t>(n_channels), most_block_samples(features),
                                 environment_.deadline_ms / 1000.0, registry::latency_samples(sample_rate_hz), false)) {
    spec_.opens_with_first_block = true;  // ports have values in `run` only
    bridge_.configure(environment_.settings);
  }

  void connect(std::size_t port, float* data) {
    if (port < n_channels_) {
      inputs_[port] = data;
    } else if (port < 2 * n_channels_) {
      outputs_[port - n_channels_] = data;
    } else if (port < 2 * n_channels_ + kControls) {
      controls_[port - 2 * n_channels_] = data;
    }
  }

  void activate() { bridge_.prepare(spec_, values()); }
  void deactivate() { bridge_.rest(); }

  // [audio]
  void run(std::uint32_t n_samples) {
    is_running_ = true;
    bridge_.set_offline(control(kFreewheel, 0.0f) > 0.0f);
    const Values now = values();
    for (std::uint32_t offset = 0; offset < n_samples; offset += kPieceSamples) {
      const std::uint32_t n = std::min(kPieceSamples, n_samples - offset);
      // A host may give any output the memory of any input.
      std::array<float*, kMostChannels> io{};
      for (std::size_t channel = 0; channel < n_channels_; ++channel) {
        io[channel] = piece_[channel].data();
        std::copy_n(inputs_[channel] + offset, n, io[channel]);
      }
      bridge_.process(io.data(), n, now);
      for (std::size_t channel = 0; channel < n_channels_; ++channel) {
        std::copy_n(io[channel], n, outputs_[channel] + offset);
      }
    }
    if (float* const latency = controls_[kLatency]) {
      *latency = static_cast<float>(bridge_.latency_samples() + spec_.cushion_samples);
    }
    is_running_ = false;
  }

 private:
  // What a control port has; a default where it is not connected, may not be read yet, or has no number.
  float control(std::size_t index, float default_value) const {
    const float* const port = controls_[index];
    return !is_running_ || port == nullptr || !std::isfinite(*port) ? default_value : *port;
  }

  Values values() const {
    Values values;
    for (std::size_t i = 0; i < kNumbers; ++i) {
      const registry::Parameter& parameter = registry::kParameters[i];
      if (is_bypass(parameter)) {  // the other way round: lv2:enabled
        values.numbers[i] = control(kFirstNumber + i, 1.0f) > 0.0f ? 0.0f : 1.0f;
      } else {
        const float value = control(kFirstNumber + i, parameter.default_value);
        values.numbers[i] = parameter.is_switch ? (value > 0.0f ? 1.0f : 0.0f)
                                                : std::clamp(value, parameter.minimum, parameter.maximum);
      }
    }
    for (std::size_t slot = 0; slot < kSlots; ++slot) {
      values.weights[slot] = std::clamp(control(kFirstWeight + slot, 0.0f), 0.0f, 1.0f);
    }
    const float slot = std::clamp(control(kSlot, 1.0f), 1.0f, static_cast<float>(kSlots));
    values.default_to(static_cast<std::size_t>(std::lround(slot)) - 1);
    return values;
  }

  const std::size_t n_channels_;
  const Environment environment_ = Environment::read();
  LineSpec spec_;
  std::array<const float*, kMostChannels> inputs_{};
  std::array<float*, kMostChannels> outputs_{};
  std::array<float*, kControls> controls_{};
  std::array<std::array<float, kPieceSamples>, kMostChannels> piece_{};
  bool is_running_ = false;
  Bridge bridge_{names()};
};

Plain* plain(LV2_Handle handle) { return static_cast<Plain*>(handle); }

template <std::size_t n_channels>
constexpr LV2_Descriptor descriptor(const char* uri) {
  return {uri,
          [](const LV2_Descriptor*, double sample_rate_hz, const char*, const LV2_Feature* const* features) -> LV2_Handle {
            try {
              return new Plain(n_channels, sample_rate_hz, features);
            } catch (const std::exception&) {  // no thread or no memory: the host says that there is no plug-in
              return nullptr;
            }
          },
          [](LV2_Handle handle, std::uint32_t port, void* data) { plain(handle)->connect(port, static_cast<float*>(data)); },
          [](LV2_Handle handle) { plain(handle)->activate(); },
          [](LV2_Handle handle, std::uint32_t n_samples) { plain(handle)->run(n_samples); },
          [](LV2_Handle handle) { plain(handle)->deactivate(); },
          [](LV2_Handle handle) { delete plain(handle); },
          nullptr};
}

constexpr LV2_Descriptor kDescriptors[] = {descriptor<2>("urn:deepmusic:plain"), descriptor<1>("urn:deepmusic:plain:mono")};

}  // namespace
}  // namespace deepmusic

LV2_SYMBOL_EXPORT const LV2_Descriptor* lv2_descriptor(std::uint32_t index) {
  return index < std::size(deepmusic::kDescriptors) ? &deepmusic::kDescriptors[index] : nullptr;
}
