#include "tests/host.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <random>
#include <thread>

#include "tests/check.h"

namespace host {
namespace {

deepmusic::Settings two_styles(const std::string& server) {
  deepmusic::Settings settings;
  settings.server = server;
  settings.styles[0] = "brass";
  settings.styles[1] = "strings";
  return settings;
}

}  // namespace

Audio noise(std::uint32_t n_channels, std::uint64_t n_samples, unsigned seed) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<float> uniform(-0.5f, 0.5f);
  Audio audio(n_channels, std::vector<float>(n_samples));
  for (auto& channel : audio) {
    for (float& sample : channel) sample = uniform(generator);
  }
  return audio;
}

Audio tone(std::uint32_t n_channels, std::uint64_t n_samples, double cycles_per_sample) {
  Audio audio(n_channels, std::vector<float>(n_samples));
  for (auto& channel : audio) {
    for (std::uint64_t i = 0; i < n_samples; ++i) {
      channel[i] = static_cast<float>(0.5 * std::sin(6.283185307179586 * cycles_per_sample * static_cast<double>(i)));
    }
  }
  return audio;
}

Run play(Rig& rig, const Audio& audio, const std::vector<std::uint32_t>& block_sizes, double speed) {
  Run run;
  run.heard = audio;
  const double began = check::now_s();
  std::uint64_t first = 0;
  for (std::size_t i = 0; first < audio[0].size(); ++i) {
    const auto n = static_cast<std::uint32_t>(
        std::min<std::uint64_t>(block_sizes[i % block_sizes.size()], audio[0].size() - first));
    std::vector<float*> io;
    for (auto& channel : run.heard) io.push_back(channel.data() + first);
    if (speed > 0.0) {
      const double due = began + static_cast<double>(first + n) / rig.spec.sample_rate_hz / speed;
      while (check::now_s() < due) std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    const double called = check::now_s();
    rig.bridge.process(io.data(), n, rig.values);
    run.longest_block_s = std::max(run.longest_block_s, check::now_s() - called);
    first += n;
  }
  return run;
}

deepmusic::LineSpec spec(bool is_offline, std::uint32_t n_channels, std::uint32_t max_block_samples, double deadline_s) {
  return deepmusic::LineSpec::made_for(48000, n_channels, max_block_samples, deadline_s, 1000, is_offline);
}

Rig::Rig(const std::string& server, const deepmusic::LineSpec& line_spec) : Rig(two_styles(server), line_spec) {}

Rig::Rig(const deepmusic::Settings& settings, const deepmusic::LineSpec& line_spec)
    : spec(line_spec), bridge({"strength", "mix", "freeze"}) {
  values.numbers = {1.0f, 1.0f, 0.0f};
  values.weights[0] = 1.0f;
  bridge.configure(settings);
  bridge.prepare(spec, values);
}

double error(const Audio& heard, const Audio& input, double gain, std::uint64_t delay_samples, std::uint64_t from,
             std::uint64_t to) {
  double largest = 0.0;
  for (std::size_t channel = 0; channel < heard.size(); ++channel) {
    for (std::uint64_t i = from; i < std::min<std::uint64_t>(to, heard[channel].size()); ++i) {
      const double expected = i < delay_samples ? 0.0 : gain * input[channel][i - delay_samples];
      largest = std::max(largest, std::abs(heard[channel][i] - expected));
    }
  }
  return largest;
}

void check_that_nothing_waits_for(const std::string& server) {
  auto rig = std::make_unique<Rig>(server, spec(false));
  const Audio input = noise(2, 24000);
  const Run run = play(*rig, input, {512}, 1.0);
  CHECK_EQUAL(error(run.heard, input, 1.0, rig->delay_samples(), 0, 24000), 0.0);
  CHECK_LESS(run.longest_block_s, kLongestBlock_s);
  const double began = check::now_s();
  rig.reset();
  CHECK_LESS(check::now_s() - began, 0.1);
}

double steepest(const Audio& audio) {
  double largest = 0.0;
  for (const auto& channel : audio) {
    for (std::size_t i = 1; i < channel.size(); ++i) {
      largest = std::max<double>(largest, std::abs(channel[i] - channel[i - 1]));
    }
  }
  return largest;
}

}  // namespace host
