// A host: hands blocks to a bridge, in real time or as fast as they come back.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "transport/bridge.h"

namespace host {

using Audio = std::vector<std::vector<float>>;  // [channel][sample]

Audio noise(std::uint32_t n_channels, std::uint64_t n_samples, unsigned seed = 1);
Audio tone(std::uint32_t n_channels, std::uint64_t n_samples, double cycles_per_sample);

// A bridge on a server, with one style, that is prepared.
struct Rig {
  Rig(const std::string& server, const deepmusic::LineSpec& spec);
  Rig(const deepmusic::Settings& settings, const deepmusic::LineSpec& spec);
  deepmusic::LineSpec spec;
  deepmusic::Values values;
  deepmusic::Bridge bridge;
  std::uint32_t delay_samples() const { return bridge.latency_samples() + spec.cushion_samples; }
};

// What a rig plays for a recording, block after block of these sizes, over and over.
//
// Offline it runs as fast as it can. Live, each block comes when its time has come: `speed` times real time.
struct Run {
  Audio heard;
  double longest_block_s = 0.0;
};
Run play(Rig& rig, const Audio& audio, const std::vector<std::uint32_t>& block_sizes, double speed = 0.0);

// deadline_s: what the server may take; a long one where the machine's other work is not to be heard.
constexpr double kLong_s = 0.3;
deepmusic::LineSpec spec(bool is_offline, std::uint32_t n_channels = 2, std::uint32_t max_block_samples = 512,
                         double deadline_s = 0.02);

// Largest difference between what was heard and a gain times the input, delayed, from one sample to another.
double error(const Audio& heard, const Audio& input, double gain, std::uint64_t delay_samples, std::uint64_t from,
             std::uint64_t to);

// While half a second is played live through a server that does not answer, the input comes back bit for bit, no block
// takes long, and the bridge goes at once.
constexpr double kLongestBlock_s = 0.005;
void check_that_nothing_waits_for(const std::string& server);

// Largest step from one sample to the next.
double steepest(const Audio& audio);

}  // namespace host
