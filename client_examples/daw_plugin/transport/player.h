// The audio thread's half of a bridge. `process` never allocates, locks, logs or makes a system call; only offline, where
// time is the renderer's own, it waits.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "transport/line.h"

namespace deepmusic {

class Player {
 public:
  explicit Player(Counters& counters) : counters_(counters) {}

  // [message] Plays on a new line from here on. Not while `process` runs.
  void prepare(std::shared_ptr<Line> line);

  // [any] The next block begins a new epoch: nothing from before it is heard.
  void reset() { is_reset_asked_.store(true, std::memory_order_release); }

  // [any] From the next block on the host renders, or plays again: that begins an epoch with the other pacing.
  void set_offline(bool is_offline) { is_offline_.store(is_offline, std::memory_order_relaxed); }

  // [audio] Replaces the block by what came back for earlier ones, or by the delayed input.
  //
  // io: one pointer a channel of the line.
  // n_parameters: how many of the values' numbers are in use.
  void process(float* const* io, std::uint32_t n_samples, const Values& values, std::size_t n_parameters);

 private:
  void take(float* const* io, std::uint32_t offset, std::uint32_t n_samples);
  void turn(const Values& values, std::size_t n_parameters, std::uint32_t n_samples);
  void wait(std::uint64_t until);
  void play(float* const* io, std::uint32_t offset, std::uint32_t n_samples);

  Counters& counters_;
  std::shared_ptr<Line> line_;
  std::vector<float> fade_;  // gain of the wet sound at each level of the crossfade
  std::atomic<bool> is_reset_asked_{false};
  std::atomic<bool> is_offline_{false};
  Values sent_;
  std::uint64_t weights_due_ = 0;
  std::uint64_t base_ = 0;
  std::uint32_t level_ = 0;  // of the crossfade: 0 dry, fade_samples wet
  bool has_given_up_ = false;
  bool has_waited_for_room_ = false;
};

}  // namespace deepmusic
