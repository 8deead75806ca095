// A recording through a server's stream, by two clients that are told the same: ours and gRPC's own. What each sends,
// receives and waits for is written down, for a test to compare.
#pragma once

#include <chrono>
#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

namespace exchange {

constexpr std::uint32_t kRate_hz = 48000;
constexpr std::uint32_t kChannels = 2;
constexpr std::uint32_t kDeadlineSamples = 1028;
constexpr double kMix = 0.5;  // what a control in the middle of the recording moves the mix to
constexpr std::uint32_t kRampSamples = 480;

// What to stream, as the command line says it:
//
//   SERVER STYLE INPUT OUTPUT BLOCK_SAMPLES fast|live [ROOT_CERTIFICATE]
//
// INPUT has interleaved float32. OUTPUT gets the messages: a direction, the length in four bytes, and the bytes.
struct Task {
  Task(int argc, char** argv);

  std::string server, style, output, root_certificate;
  std::uint32_t block_samples = 0;
  bool is_live = false;
  std::vector<float> samples;

  std::uint64_t n_blocks() const { return samples.size() / kChannels / block_samples; }
  std::uint64_t control_block() const { return n_blocks() / 2; }
  std::string_view pcm(std::uint64_t block) const;
  // When a live block is due, from the first one on.
  std::chrono::steady_clock::duration due(std::uint64_t block) const;
};

// What went to and fro. Sending and receiving may be threads of their own.
class Record {
 public:
  explicit Record(const Task& task) : sent_at_(task.n_blocks()), came_at_(task.n_blocks()) {}

  void sent(std::string_view message) { sent_.emplace_back(message); }
  void received(std::string_view message) { received_.emplace_back(message); }
  void sending(std::uint64_t block) { sent_at_[block] = std::chrono::steady_clock::now(); }
  void came(std::uint64_t block) { came_at_[block] = std::chrono::steady_clock::now(); }

  // Writes the messages, and prints the status and the quantiles of the round trips; the program's exit code.
  int close(const Task& task, int status, const std::string& message) const;

 private:
  std::vector<std::string> sent_, received_;
  std::vector<std::chrono::steady_clock::time_point> sent_at_, came_at_;
};

}  // namespace exchange
