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

  // [audio] The next block does not go on where the last one ended. What sounds fades out before the place where they
  // meet, and in behind it, when it comes to be heard; the stream goes on.
  void jump() { has_jumped_ = true; }

  // [audio] The next block begins a new epoch, and what came before it is heard to its end: wet as far as that lies ready,
  // then dry.
  void begin_anew() { begins_anew_ = true; }

  // [audio] Replaces the block by what came back for earlier ones, or by the delayed input.
  //
  // io: one pointer a channel of the line.
  // n_parameters: how many of the values' numbers are in use.
  void process(float* const* io, std::uint32_t n_samples, const Values& values, std::size_t n_parameters);

 private:
  // Where input does not go on, from the first such place to the last of some that lie close together.
  struct Cut {
    std::uint64_t first, last;
    bool rises;  // or what follows begins at its full level
  };
  // Wet sound of a line, by position.
  struct Span {
    std::uint64_t from = 0, end = 0;
  };

  void begin_epoch(std::uint64_t now);
  void cut(std::uint64_t now);
  bool is_silent_before(std::uint64_t now) const;
  float level_at_cut(std::uint64_t heard);
  void take(float* const* io, std::uint32_t offset, std::uint32_t n_samples);
  void turn(const Values& values, std::size_t n_parameters, std::uint32_t n_samples);
  void wait(std::uint64_t until);
  void play(float* const* io, std::uint32_t offset, std::uint32_t n_samples);

  Counters& counters_;
  std::shared_ptr<Line> line_;
  std::vector<float> fade_;  // gain of the wet sound at each level of the crossfade
  std::vector<Cut> cuts_;    // a ring of those that are still to be heard; room for as many as the delay can hold
  std::uint64_t first_cut_ = 0, n_cuts_ = 0;
  std::atomic<bool> is_reset_asked_{false};
  std::atomic<bool> is_offline_{false};
  Values sent_;
  std::uint64_t weights_due_ = 0;
  std::uint64_t base_ = 0;        // of the epoch
  std::uint64_t silent_to_ = 0;   // what came before is never heard
  bool rings_out_ = false;        // whether what came before the epoch is
  Span ringing_;                  // that of it which is wet
  bool has_jumped_ = false, begins_anew_ = false;
  std::uint32_t level_ = 0;  // of the crossfade: 0 dry, fade_samples wet
  bool has_given_up_ = false;
  bool has_waited_for_room_ = false;
};

}  // namespace deepmusic
