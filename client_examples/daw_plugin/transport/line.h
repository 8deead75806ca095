// What the audio thread and the network thread share of one prepared plug-in: two rings and a few numbers.
//
//   audio thread    --- input, controls --->   network thread
//                   <-- styled sound, link --
//
// Positions count the samples of one channel since the line was made. A reset does not count anew: it starts an epoch,
// whose first sample is its base, and the server's stream counts from there.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>

#include "transport/ring.h"

namespace deepmusic {

constexpr std::size_t kSlots = 8;           // styles that can be morphed between
constexpr std::size_t kMaxParameters = 16;  // numbers and switches of the registry, at most

// What a line has room for: longer blocks are played in pieces, and live they run dry; the longest segment that a bundle
// may have is late by 5.6 s.
constexpr std::uint32_t kMostBlockSamples = 1u << 17;
constexpr std::uint64_t kMostLatency_s = 8;

// What a player turns. Numbers are in the order of the parameters' names that the bridge was made with.
struct Values {
  std::array<float, kMaxParameters> numbers{};
  std::array<float, kSlots> weights{};

  // Without a morph, which is to say with no weight above 0, a slot is heard alone.
  void default_to(std::size_t slot) {
    for (const float weight : weights) {
      if (weight > 0.0f) return;
    }
    weights[slot] = 1.0f;
  }
};

// A change of one number, or of all weights, at an input position.
struct Control {
  static constexpr std::uint32_t kWeights = ~0u;
  std::uint32_t index = kWeights;
  float number = 0.0f;
  std::array<float, kSlots> weights{};
  std::uint64_t at = 0;
  std::uint32_t ramp_samples = 0;
};

// A queue between two threads; a full one takes no more, and the writer tries again with its next block.
class ControlQueue {
 public:
  bool push(const Control& control) {
    const std::uint32_t end = end_.load(std::memory_order_relaxed);
    if (end - begin_.load(std::memory_order_acquire) == kCapacity) return false;
    controls_[end % kCapacity] = control;
    end_.store(end + 1, std::memory_order_release);
    return true;
  }
  // The next control, which stays.
  const Control* peek() const {
    const std::uint32_t begin = begin_.load(std::memory_order_relaxed);
    return begin == end_.load(std::memory_order_acquire) ? nullptr : &controls_[begin % kCapacity];
  }
  bool pop(Control& control) {
    const std::uint32_t begin = begin_.load(std::memory_order_relaxed);
    if (begin == end_.load(std::memory_order_acquire)) return false;
    control = controls_[begin % kCapacity];
    begin_.store(begin + 1, std::memory_order_release);
    return true;
  }

 private:
  static constexpr std::uint32_t kCapacity = 1024;
  std::array<Control, kCapacity> controls_;
  std::atomic<std::uint32_t> begin_{0}, end_{0};
};

// How a line stands with the server.
enum class Link : std::uint32_t {
  kConnecting,  // the first try runs
  kOpening,     // the server is there, and has been asked
  kStreaming,   // sound comes
  kFull,        // the server has no room; it is asked again
  kAway,        // no connection; it is tried again
  kRefused,     // the server will not play what is asked for
  kUntrusted,   // nobody that is trusted vouches for the server
  kPlainText,   // the server does not encrypt, and was asked to
  kUnset,       // no style is chosen
};

// Whether sound is not to be waited for: somebody has to do something first.
constexpr bool is_hopeless(Link link) { return link == Link::kAway || link >= Link::kRefused; }

struct LineSpec {
  std::uint32_t sample_rate_hz = 48000;
  std::uint32_t n_channels = 2;
  std::uint32_t max_block_samples = 512;
  std::uint32_t chunk_samples = 256;      // what goes out at a time
  std::uint32_t fade_samples = 240;       // from wet to dry and back
  std::uint32_t deadline_samples = 1024;  // what the server may take for a step
  std::uint32_t cushion_samples = 2272;   // what is waited for beyond the stream's latency, all told
  std::uint32_t latency_samples = 1855;   // of the stream, until the server has said it
  bool is_offline = false;                // whether the host renders, as it begins
  // Whether a stream is opened once the first block is there, with that block's values and pacing: for hosts that tell
  // neither before. The connection is made at once.
  bool opens_with_first_block = false;

  // The rest follows from what the host says, and from how long the server may take.
  static LineSpec made_for(std::uint32_t sample_rate_hz, std::uint32_t n_channels, std::uint32_t max_block_samples,
                           double deadline_s, std::uint32_t latency_samples, bool is_offline) {
    LineSpec spec;
    spec.sample_rate_hz = sample_rate_hz;
    spec.n_channels = n_channels;
    spec.max_block_samples = std::min(max_block_samples, kMostBlockSamples);
    spec.chunk_samples = sample_rate_hz > 96000 ? 1024 : sample_rate_hz > 48000 ? 512 : 256;
    spec.fade_samples = std::max(sample_rate_hz / 200, 1u);  // a host may prepare before it knows a rate
    spec.deadline_samples = static_cast<std::uint32_t>(deadline_s * sample_rate_hz) + 1;
    const std::uint32_t travel_samples = sample_rate_hz / 200;
    // The sound for a block must lie ready, with a fade beyond it, when its call begins: before any of its own input, and
    // behind a chunk that is not yet full.
    spec.cushion_samples =
        spec.max_block_samples + spec.chunk_samples + spec.fade_samples + travel_samples + spec.deadline_samples;
    spec.latency_samples = latency_samples;
    spec.is_offline = is_offline;
    return spec;
  }
};

struct Line {
  Line(const LineSpec& line_spec, const Values& values)
      : spec(line_spec),
        first_values(values),
        input(line_spec.n_channels, ring_samples(line_spec)),
        wet(line_spec.n_channels, ring_samples(line_spec)),
        is_offline(line_spec.is_offline),
        latency_samples(line_spec.latency_samples) {}

  // Room for twice what a live stream may lag, and for the delay line.
  static std::uint32_t ring_samples(const LineSpec& spec) {
    const std::uint64_t latency_samples = std::min<std::uint64_t>(spec.latency_samples, kMostLatency_s * spec.sample_rate_hz);
    const std::uint64_t wanted =
        2ull * spec.sample_rate_hz + 4ull * spec.max_block_samples + 4ull * spec.cushion_samples + latency_samples;
    std::uint32_t samples = 1u << 16;
    while (samples < wanted) samples <<= 1;
    return samples;
  }

  // [network] Whether a stream may be opened.
  bool is_begun() const { return !spec.opens_with_first_block || written.load(std::memory_order_acquire) != 0; }

  const LineSpec spec;
  const Values first_values;

  PositionRing input;  // written by the audio thread
  PositionRing wet;    // written by the network thread
  ControlQueue controls;

  // By the audio thread. An epoch's base is stored before its number, that before the first sample, and controls before
  // the samples that they belong to.
  std::atomic<std::uint64_t> written{0};
  std::atomic<std::uint64_t> epoch_base{0};
  std::atomic<std::uint32_t> epoch{0};
  std::atomic<bool> is_offline;  // stored before the epoch, which changes with it
  std::atomic<bool> is_waiting{false};

  // By the network thread. Wet sound lies in [wet_from, wet_end); `from` is stored before `end`. What sounds at a
  // position is the input of `latency_samples` earlier.
  std::atomic<std::uint64_t> wet_from{0};
  std::atomic<std::uint64_t> wet_end{0};
  std::atomic<std::uint32_t> latency_samples;
  std::atomic<Link> link{Link::kConnecting};
};

// What happened, since the bridge was made.
struct Counters {
  std::atomic<std::uint64_t> played_samples{0};
  std::atomic<std::uint64_t> wet_samples{0};      // of these fully wet
  std::atomic<std::uint64_t> dry_outs{0};         // times that wet sound ran out
  std::atomic<std::uint64_t> failed_waits{0};     // offline: times that waiting was given up
  std::atomic<std::uint64_t> lost_samples{0};     // input that could not be sent in time
  std::atomic<std::uint64_t> skipped_samples{0};  // silence that the model was spared
  std::atomic<std::uint64_t> late_blocks{0};      // of the server: a model step was late, or gave no numbers
  std::atomic<std::uint64_t> streams{0};          // opened
  std::atomic<std::uint64_t> jumps{0};            // of the host's play head
  std::atomic<std::uint64_t> refusals{0};         // NO_CAPACITY and others
  std::atomic<std::int64_t> slack_samples{0};     // how far wet sound was ahead of its use, at the last block
  std::atomic<std::uint32_t> queue_us{0};         // of the last block
  std::atomic<std::uint32_t> inference_us{0};
};

}  // namespace deepmusic
