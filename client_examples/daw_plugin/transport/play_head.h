// Follows the host's play head: where it starts, and where it jumps, by a seek or at the end of a loop.
#pragma once

#include <cstdint>
#include <optional>

namespace deepmusic {

// What a host says of a block. VST3 hosts say it with each; LV2 hosts only when it is not what was to be expected.
struct HostPosition {
  bool is_playing = false;
  std::optional<std::int64_t> sample;  // of the session, at the block's first one
};

class PlayHead {
 public:
  enum class Move { kNone, kStart, kJump };

  // [audio] How a block stands to the one before it.
  //
  // A jump is one block out of step. A host whose positions keep another pace than its blocks (varispeed, backwards) has
  // jumped once and not with every block.
  Move follow(const std::optional<HostPosition>& said, std::uint32_t n_samples) {
    Move move = Move::kNone;
    if (said) {
      if (said->is_playing && !is_playing_) {
        move = Move::kStart;
        is_in_step_ = true;
      } else if (said->is_playing && said->sample && expected_) {
        const bool is_in_step = is_near(*said->sample, *expected_);
        if (is_in_step_ && !is_in_step) move = Move::kJump;
        is_in_step_ = is_in_step;
      }
      is_playing_ = said->is_playing;
      if (said->sample) expected_ = said->sample;
    }
    if (is_playing_ && expected_) *expected_ += n_samples;
    return move;
  }

  // Forgets what the host said.
  void reset() {
    is_playing_ = false;
    is_in_step_ = true;
    expected_.reset();
  }

 private:
  static constexpr std::int64_t kRounding = 16;  // samples that a host may be off whose positions come from its tempo map

  static bool is_near(std::int64_t a, std::int64_t b) { return a - b <= kRounding && b - a <= kRounding; }

  bool is_playing_ = false;
  bool is_in_step_ = true;
  std::optional<std::int64_t> expected_;  // the next block's first sample
};

}  // namespace deepmusic
