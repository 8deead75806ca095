// The plain LV2 under a host of a few lines, with the fake server.
#include <lv2/core/lv2.h>

#include <cstdio>
#include <cstdlib>
#include <limits>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "registry.h"
#include "tests/check.h"
#include "tests/fake_server.h"
#include "tests/guard.h"
#include "tests/host.h"
#include "transport/line.h"

namespace {

constexpr std::uint32_t kLatency = 1000;  // of the fake server
constexpr std::uint32_t kNumbers = std::size(registry::kParameters);

std::uint32_t place_of(const std::string& name) {
  for (std::uint32_t i = 0; i < kNumbers; ++i) {
    if (name == registry::kParameters[i].name) return i;
  }
  check::fail(__FILE__, __LINE__, "no parameter " + name);
}

// A host that connects its ports after it has activated the plug-in, as a host may.
class Host {
 public:
  Host(const std::string& server, std::uint32_t n_channels, double sample_rate_hz = 48000.0)
      : n_channels_(n_channels), descriptor_(lv2_descriptor(n_channels == 2 ? 0 : 1)) {
    setenv("DEEPMUSIC_SERVER", server.c_str(), 1);
    setenv("DEEPMUSIC_STYLES", " brass ;strings", 1);
    setenv("DEEPMUSIC_DEADLINE_MS", "300", 1);
    controls_.assign(kNumbers + 11, 0.0f);
    controls_[0] = 1.0f;
    for (std::uint32_t i = 0; i < kNumbers; ++i) controls_[1 + i] = registry::kParameters[i].default_value;
    number("bypass") = 1.0f;  // lv2:enabled
    handle_ = descriptor_->instantiate(descriptor_, sample_rate_hz, "", nullptr);
    CHECK(handle_ != nullptr);
    descriptor_->activate(handle_);
    for (std::uint32_t i = 0; i < controls_.size(); ++i) {
      descriptor_->connect_port(handle_, 2 * n_channels + i, &controls_[i]);
    }
  }
  ~Host() {
    descriptor_->deactivate(handle_);
    descriptor_->cleanup(handle_);
  }

  float& number(const std::string& name) { return controls_[1 + place_of(name)]; }
  float& weight(std::size_t slot) { return controls_[1 + kNumbers + slot]; }
  float& freewheel() { return controls_[1 + kNumbers + 8]; }
  std::uint32_t latency_samples() {
    descriptor_->run(handle_, 0);
    return static_cast<std::uint32_t>(controls_[1 + kNumbers + 9]);
  }

  void run(float* const* in, float* const* out, std::uint32_t n_samples) {
    for (std::uint32_t channel = 0; channel < n_channels_; ++channel) {
      descriptor_->connect_port(handle_, channel, in[channel]);
      descriptor_->connect_port(handle_, n_channels_ + channel, out[channel]);
    }
    descriptor_->run(handle_, n_samples);
  }

  // What comes of a recording, in blocks of these sizes, over and over; in place.
  host::Audio play(const host::Audio& audio, const std::vector<std::uint32_t>& sizes) {
    host::Audio heard = audio;
    std::uint64_t first = 0;
    for (std::size_t i = 0; first < audio[0].size(); ++i) {
      const auto n = static_cast<std::uint32_t>(std::min<std::uint64_t>(sizes[i % sizes.size()], audio[0].size() - first));
      std::vector<float*> io;
      for (auto& channel : heard) io.push_back(channel.data() + first);
      run(io.data(), io.data(), n);
      first += n;
    }
    return heard;
  }

  void begin_anew() {
    descriptor_->deactivate(handle_);
    descriptor_->activate(handle_);
  }

 private:
  std::uint32_t n_channels_;
  const LV2_Descriptor* descriptor_;
  LV2_Handle handle_ = nullptr;
  std::vector<float> controls_;
};

}  // namespace

TEST("there are two plug-ins, and no third one") {
  CHECK_EQUAL(std::string(lv2_descriptor(0)->URI), "urn:deepmusic:plain");
  CHECK_EQUAL(std::string(lv2_descriptor(1)->URI), "urn:deepmusic:plain:mono");
  CHECK(lv2_descriptor(2) == nullptr);
}

TEST("freewheeling, all of it is styled at any rate, in blocks of one sample and of changing sizes, from sample 0") {
  fake::Server server({});
  for (const double rate_hz : {44100.0, 48000.0, 88200.0, 96000.0, 176400.0, 192000.0}) {
    for (const std::uint32_t n_channels : {1u, 2u}) {
      Host host(server.address(), n_channels, rate_hz);
      host.freewheel() = 1.0f;
      for (const auto& sizes : {std::vector<std::uint32_t>{1}, {1, 5000, 64, 20000, 1023, 1025}}) {
        const auto audio = host::noise(n_channels, static_cast<std::uint64_t>(2.0 * rate_hz));
        host.begin_anew();
        const auto heard = host.play(audio, sizes);
        CHECK_LESS(host::error(heard, audio, 0.5, host.latency_samples(), 0, ~0ull), 1e-6);
        CHECK_EQUAL(server.configs().back().sample_rate_hz, static_cast<std::uint32_t>(rate_hz));
      }
    }
  }
}

TEST("a stream begins with what the ports have at the first block") {
  fake::Server server({});
  Host host(server.address(), 2);
  host.freewheel() = 1.0f;
  host.number("mix") = 0.25f;
  host.number("low_hz") = 1.0f;  // below its range
  host.number("output_gain_db") = std::numeric_limits<float>::quiet_NaN();
  host.number("bypass") = 0.0f;
  host.weight(1) = 1.0f;
  host.play(host::noise(2, 48000), {480});
  CHECK_EQUAL(server.configs().size(), 1u);
  const auto config = server.configs()[0];
  CHECK_EQUAL(config.styles.size(), 1u);
  CHECK_EQUAL(config.styles[0], "strings");
  CHECK_EQUAL(config.settings[place_of("mix")].second, 0.25);
  CHECK_EQUAL(config.settings[place_of("low_hz")].second, 20.0);
  CHECK_EQUAL(config.settings[place_of("output_gain_db")].second, 0.0);
  CHECK_EQUAL(config.settings[place_of("bypass")].second, 1.0);
  CHECK_EQUAL(server.changes().size(), 0u);
}

TEST("outputs may have the memory of the inputs the other way round") {
  fake::Server server({});
  Host host(server.address(), 2);
  host.freewheel() = 1.0f;
  const auto audio = host::noise(2, 48000);
  auto heard = audio;
  for (std::uint64_t first = 0; first < audio[0].size(); first += 3000) {
    float* const in[] = {heard[0].data() + first, heard[1].data() + first};
    float* const out[] = {in[1], in[0]};
    host.run(in, out, 3000);
  }
  std::swap(heard[0], heard[1]);
  CHECK_LESS(host::error(heard, audio, 0.5, host.latency_samples(), 0, ~0ull), 1e-6);
}

TEST("without a server the input comes back bit for bit, live and freewheeling") {
  for (const float freewheel : {0.0f, 1.0f}) {
    Host host("127.0.0.1:1", 2);
    host.freewheel() = freewheel;
    const auto audio = host::noise(2, 48000);
    CHECK_EQUAL(host::error(host.play(audio, {1, 700, 5000}), audio, 1.0, host.latency_samples(), 0, ~0ull), 0.0);
  }
}

TEST("live it neither allocates nor locks nor waits, with the server there, killed and back") {
  auto server = std::make_unique<fake::Server>(fake::Terms{});
  const int port = server->port();
  Host host(server->address(), 2);
  auto block = host::noise(2, 2048);
  float* const io[] = {block[0].data(), block[1].data()};
  const std::uint32_t sizes[] = {1, 64, 480, 2048};
  std::uint64_t n_played = 0;
  const double began = check::now_s();
  const auto play = [&](double seconds) {
    const double end = check::now_s() + seconds;
    for (std::size_t i = 0; check::now_s() < end; ++i) {
      while (check::now_s() < began + static_cast<double>(n_played) / 48000.0) {
        std::this_thread::sleep_for(std::chrono::microseconds(200));
      }
      host.number("mix") = static_cast<float>(i % 100) / 100.0f;
      host.weight(1) = static_cast<float>(i % 77) / 77.0f;
      const guard::Watch watch;
      host.run(io, io, sizes[i % 4]);
      n_played += sizes[i % 4];
    }
  };
  const auto before = guard::n_offences();
  play(0.5);
  CHECK_LESS(0, server->n_open_streams());
  server.reset();
  play(0.3);
  server = std::make_unique<fake::Server>(fake::Terms{}, port);
  play(1.0);
  CHECK_LESS(0, server->n_open_streams());
  if (guard::n_offences() != before) check::fail(__FILE__, __LINE__, guard::last_offence());
}
